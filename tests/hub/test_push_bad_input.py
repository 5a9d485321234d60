"""What cannot be pushed or applied: one sentence, what to do, and nothing is changed on the Hub or on the disk."""

import json
import shutil

import pytest
from pushing import REPO, THERE, as_pushed, front_matter, in_repo, refused
from stocking import UP, a_delta

BASE = "org/tiny"
COMMANDS = {
    "push": lambda stock: ("push", stock.edited),
    "apply": lambda stock: ("apply", stock.delta, BASE, "--push"),
    "edit": lambda stock: ("edit", BASE, "--push", "--p", "1e-2", "--q", "1e-1", "--samples", "2"),
}


@pytest.mark.parametrize("command", list(COMMANDS))
@pytest.mark.parametrize(
    ("who", "repo", "kind", "said"),
    [
        (None, REPO, "NotLoggedIn", "hf auth login"),
        ("nobody", REPO, "TokenRefused", "does not accept the token"),
        ("reader", REPO, "WriteDenied", "read-only"),
        ("narrow", REPO, "WriteDenied", "permissions do not include"),
        ("alice", "bob/tiny", "WriteDenied", "not a member of bob"),
        ("alice", "bob/tiny-spin --create-pr", "WriteDenied", "not a member of bob"),
    ],
)
def test_who_may_not_write_is_told_before_any_work(desk, stock, command, who, repo, kind, said):
    arguments = (*COMMANDS[command](stock), "--repo-id", *repo.split())
    assert said in refused(desk, *arguments, kind=kind, who=who)
    for route in ("put", "preupload", "create", "commit"):
        assert desk.hub.traffic[route].requests == 0
    if kind != "WriteDenied":
        assert desk.hub.traffic["resolve"].requests == 0


def test_what_a_narrow_token_may_do(desk, stock):
    assert desk.push(stock.edited, repo="alice/only-this", who="narrow").error["type"] == "WriteDenied"
    desk.hub.put("alice/only-this", {"README.md": "---\nlicense: mit\n---\n"})
    assert desk.push(stock.edited, "--yes", repo="alice/only-this", who="narrow").code == 0
    assert "no-such" not in desk.hub.repo_ids()
    desk.hub.add_user("alice", "hf_Proposes", "fineGrained", scopes={}, everywhere=("discussion.write",))
    assert desk.push(stock.edited, "--create-pr", repo="alice/only-this", who="hf_Proposes").code == 0
    desk.hub.add_user("alice", "hf_Reads", "fineGrained", scopes={"alice": ("repo.content.read",)})
    assert desk.push(stock.edited, "--create-pr", repo=THERE, who="hf_Reads").error["type"] == "WriteDenied"


@pytest.mark.parametrize("role", ["read", "no_access"])
def test_where_the_role_does_not_settle_it_the_hub_decides(desk, stock, role):
    """A resource group may let its members write, which ``whoami`` does not say."""
    repo, new = "acme/tiny-spin", "acme/new"
    desk.hub.put(repo, {"README.md": "---\nlicense: mit\n---\n"})
    desk.hub.add_user("dora", "hf_DoraReadsInAcme", orgs={"acme": role})
    arguments = ("push", stock.edited, "--yes", "--repo-id")
    said = refused(desk, *arguments, repo, kind="WriteDenied", who="hf_DoraReadsInAcme")
    assert f"only the role '{role}' in acme, and the Hub refuses it" in said
    assert not desk.hub.traffic["preupload"].requests
    said = refused(desk, *arguments, new, kind="WriteDenied", who="hf_DoraReadsInAcme")
    assert "rights to create" in said

    desk.hub.add_user("dora", "hf_DoraInAGroup", orgs={"acme": role}, groups=(repo, "acme"))
    assert desk.push(stock.edited, "--yes", repo=repo, who="hf_DoraInAGroup").code == 0
    assert in_repo(desk.hub, repo).keys() == as_pushed(stock.edited, repo).keys()
    desk.hub.add_user("dora", "hf_DoraInAGroup", orgs={"acme": role}, groups=(new, "acme"))
    done = desk.push(stock.edited, repo=new, who="hf_DoraInAGroup")
    assert done.code == 0
    assert f"only the role '{role}' in acme; whether acme/new may be created" in done.notes


@pytest.mark.parametrize(
    "name",
    ["a/b/c", "alice/bad name", "alice/-x", "alice/x..y", "alice/x--y", "alice/x.git", f"alice/{'x' * 97}", "alice/x.",
     "alice/", "/x", "-x/y", "alice/é", "alice/x?y", "../alice/x", "bad name"],
)  # fmt: skip
def test_a_name_that_the_hub_refuses(desk, stock, name):
    assert "--repo-id" in refused(desk, "push", stock.edited, "--repo-id", name, kind="RepoNameRefused")
    assert desk.hub.traffic["create"].requests == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--create-pr", "--branch", "x"], "--branch"),
        (["--create-pr", "--tag", "x"], "--tag"),
        (["--tag", "two words"], "--tag"),
        (["--branch", "a..b"], "--branch"),
        (["--branch", "x/"], "--branch"),
        (["--message", ""], "--message"),
        (["--repo-id", ""], "--repo-id"),
    ],
)
def test_options_that_cannot_be_meant_are_usage_errors(desk, stock, options, said):
    before = desk.state()
    done = desk.run("push", stock.edited, *options, "--json")
    assert done.code == 2
    assert said in json.loads(done.stdout)["error"]["message"]
    assert desk.state() == before
    assert not desk.hub.seen


@pytest.mark.parametrize("command", ["apply", "edit"])
def test_options_of_a_push_without_a_push(desk, stock, command):
    arguments = [word for word in COMMANDS[command](stock) if word != "--push"]
    for option in (["--repo-id", "x"], ["--private"], ["--create-pr"], ["--branch", "x"], ["--tag", "x"], ["--yes"]):
        done = desk.run(*arguments, *option)
        assert (done.code, "--push is not given" in done.notes) == (2, True)


@pytest.mark.parametrize("verb", ["apply DELTA org/tiny", "apply {delta} MODEL", "revert EDITED"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("org/data", "it is a data set, not a model"),
        ("org/nothing", "no such model"),
        ("org/tiny@v9", "no such revision"),
        ("bob/secret", "no such model"),
        ("org/bad name", "not a name that the Hub allows"),
    ],
)
def test_what_is_not_there_or_is_something_else(desk, stock, verb, name, said):
    desk.hub.put("org/data", {"README.md": "# Data\n"}, kind="dataset")
    desk.hub.put("bob/secret", {"config.json": "{}"}, private=True)
    words = [
        name if word in {"DELTA", "MODEL", "EDITED"} else word.format(delta=stock.delta) for word in verb.split(" ")
    ]
    kind = "ModelNotFound" if "MODEL" in verb else "ArtefactNotFound"
    assert said in refused(desk, *words, kind=kind)


def test_a_gated_delta_says_where_to_ask(desk, stock):
    desk.push(stock.delta, repo="acme/delta")
    desk.hub.repo("acme/delta").gated = "manual"
    said = refused(desk, "apply", "acme/delta", BASE, kind="AccessDenied", who="bob")
    assert f"{desk.hub.url}/acme/delta" in said
    command = ("push", stock.delta, "--repo-id", "acme/delta", "--create-pr")
    assert f"{desk.hub.url}/acme/delta" in refused(desk, *command, kind="AccessDenied", who="bob")


@pytest.mark.parametrize("name", [BASE, "acme/empty", "alice/adapter"])
def test_a_repo_without_a_delta_is_refused_before_a_byte_of_it_is_downloaded(desk, name):
    desk.hub.put("acme/empty", {"README.md": "# Empty\n"})
    desk.hub.put("alice/adapter", {"adapter_config.json": "{}", "adapter_model.safetensors": b"\0"})
    for verb in ("apply", "inspect", "revert"):
        said = refused(desk, verb, name, *([BASE] if verb == "apply" else []), kind="ArtefactNotFound")
        assert name in said and "the repo holds" in said
    assert desk.hub.traffic["resolve"].requests == desk.hub.traffic["get"].requests == 0


def test_a_delta_alone_cannot_be_reverted(desk, stock):
    desk.push(stock.delta, repo="alice/delta")
    assert "a delta alone" in refused(desk, "revert", "alice/delta", kind="ArtefactNotFound")


def spoiled(folder, target, name, change):
    shutil.copytree(folder, target)
    if change is None:
        (target / name).unlink()
    else:
        (target / name).write_bytes(change((target / name).read_bytes()))
    return target


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("model-00002-of-00003.safetensors", None, "NotPushable"),
        ("tokenizer.json", None, "NotPushable"),
        ("model-00001-of-00003.safetensors", lambda data: data[:-1], "CorruptFile"),
        ("model-00001-of-00003.safetensors", lambda data: data[:8000] + b"\1" * (len(data) - 8000), "NotPushable"),
        ("spin/spin.json", None, "NotPushable"),
        ("spin/spin.json", lambda data: data[:100], "CorruptFile"),
        ("spin/spin.json", lambda data: data.replace(b'"format": 1', b'"format": 9'), "UnsupportedFormat"),
        ("spin/spin.json", lambda data: data.replace(b'"kind": "model"', b'"kind": "../model"'), "CorruptFile"),
        ("spin/spin_delta.safetensors", None, "DeltaNotFound"),
        ("README.md", lambda data: b"---\nlicense: [mit\n---\n", "CardRefused"),
        ("README.md", lambda data: data.replace(b"license: apache-2.0", b"license: my own"), "CardRefused"),
        ("README.md", lambda data: data + "é".encode("latin-1"), "NotPushable"),
    ],
)
def test_a_folder_that_is_not_whole(desk, stock, name, change, kind):
    folder = spoiled(stock.edited, desk.folder / "mine", name, change)
    refused(desk, "push", folder, "--repo-id", REPO, kind=kind)
    assert desk.hub.traffic["create"].requests == 0


@pytest.mark.parametrize("place", ["missing", "README.md", "."])
def test_what_is_no_folder_of_ours(desk, place):
    (desk.folder / "README.md").write_text("# Mine\n")
    refused(desk, "push", place, "--repo-id", REPO, kind="DeltaNotFound")


def test_a_card_on_the_hub_that_does_not_parse_is_not_overwritten(desk, stock):
    desk.hub.put(THERE, {"README.md": "---\nlicense: [mit\n---\n\n# Mine\n"})
    assert f"README.md in {THERE} cannot be read" in refused(
        desk, "push", stock.other, "--repo-id", THERE, kind="CardRefused"
    )
    desk.hub.put(THERE, {"README.md": "---\nlicense: mit\n---\n\n# Mine\n"})
    assert desk.push(stock.other, repo=THERE).code == 0
    assert in_repo(desk.hub, THERE)["README.md"].endswith(b"# Mine\n")


ODD = {
    "a language no": ("---\nlicense: mit\nlanguage: [en, no]\n---\n\n# Mine\n", {"language": ["en", "no"]}),
    "a tab": ("---\nlicense:\tmit\nthumbnail:\tx.png\n---\n\n# Mine\n", {"thumbnail": "x.png"}),
    "an alias": ("---\nlicense: &l mit\nx: *l\n---\n\n# Mine\n", {"license": "mit", "x": "mit"}),
    "our own key twice": ("---\nlicense: mit\ntags: [a]\ntags: [b]\n---\n\n# Mine\n", {"license": "mit"}),
    "a mark": (b"\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n# Mine\r\n", {"license": "mit"}),
    "UTF-16": ("---\nlicense: mit\n---\n\n# Mine\n".encode("utf-16"), {"license": "mit"}),
    "no text": (b"---\nlicense: mit\n---\n\n# Mine, caf\xe9\n", "is not text in UTF-8"),
    "twice": ("---\nlicense: mit\nlicense: gpl-3.0\n---\n\n# Mine\n", "at 'license': it is there twice"),
    "a colon": ("---\nlicense: mit\nx: a: b\n---\n\n# Mine\n", "at 'x': line 3"),
    "a number": ("---\nlicense: mit\nlanguage: [en, 12]\n---\n\n# Mine\n", 'The Hub does not accept the card'),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_card_on_the_hub_is_kept_or_refused_by_whoever_refuses_it(desk, stock, name):
    content, expected = ODD[name]
    desk.hub.put(THERE, {"README.md": content})
    if isinstance(expected, str):
        assert expected in refused(desk, "push", stock.other, "--repo-id", THERE, "--yes", kind="CardRefused")
        return
    assert desk.push(stock.other, "--yes", repo=THERE).code == 0
    card = in_repo(desk.hub, THERE)["README.md"]
    data = front_matter(card)
    assert {key: data[key] for key in expected} == expected
    assert b"# Mine" in card


@pytest.mark.parametrize("command", ["apply", "edit"])
def test_a_base_whose_card_the_hub_would_refuse_is_told_before_any_work(desk, stock, sharded, command):
    desk.hub.put("org/odd", sharded)
    desk.hub.put("org/odd", {"README.md": "---\nlicense: my own\n---\n"})
    with desk.client_here():
        delta = a_delta(desk.folder / "delta", "org/odd", {UP: [1]})
    arguments = [{BASE: "org/odd", stock.delta: delta}.get(word, word) for word in COMMANDS[command](stock)]
    assert "license" in refused(desk, *arguments, kind="CardRefused")
    assert not (desk.folder / "odd-spin").exists()


@pytest.mark.parametrize("repo_id", ["../../etc", "a b/c", "x" * 200, "org/tiny/../../secrets", ""])
def test_a_record_that_names_an_impossible_base(desk, stock, repo_id):
    new = json.dumps({"repo_id": repo_id})[1:-1].encode()
    folder = spoiled(
        stock.edited, desk.folder / "mine", "spin/spin.json", lambda data: data.replace(b'"repo_id": "org/tiny"', new)
    )
    before = desk.state()
    done = desk.push(folder)
    if done.code == 3:
        # A name that is none gives a card without a base; that the record lies is found afterwards.
        assert [row["what"] for row in json.loads(done.stdout)["verification"]["differences"]] == ["record"]
    elif done.code:
        assert done.error["type"] in {"CardRefused", "NotPushable"}
        assert desk.state() == before


def test_hidden_files_and_unedited_twins_stay_here(desk, stock):
    folder = shutil.copytree(stock.edited, desk.folder / "mine")
    for name in (".env", ".git/config", "spin/.cache/x", "pytorch_model.bin", "original/consolidated.pth", "old.gguf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0secret")
    assert desk.push(folder).code == 0
    assert in_repo(desk.hub) == as_pushed(stock.edited)
