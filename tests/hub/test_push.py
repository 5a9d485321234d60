"""Pushing to a Hub that works: what one commit holds, where it goes, and what comes back."""

import json

import pytest
from huggingface_hub import snapshot_download
from pushing import REPO, THERE, as_pushed, files_of, front_matter, in_repo
from stocking import METHOD, UP, a_delta


def test_an_edited_model_is_one_commit_and_comes_back_byte_for_byte(desk, stock):
    done = desk.push(stock.edited)
    hub = desk.hub
    assert in_repo(hub) == as_pushed(stock.edited)
    assert {"spin/spin_delta.safetensors", "spin/spin.json", "spin/base-README.md"} <= set(in_repo(hub))
    assert [commit.title.split(" (")[0] for commit in hub.commits(REPO)] == [
        "Set 3 weights of org/tiny to zero",
        "initial commit",
    ]
    assert not hub.repo(REPO).private
    assert done.data["repo_id"] == REPO
    assert done.data["commit"] == hub.sha(REPO)
    assert done.data["url"] == f"{hub.url}/{REPO}"
    assert done.data["pull_request"] is None
    routes = ("preupload", "batch", "put", "verify", "commit")
    sent = sum(hub.traffic[route].bytes_in for route in routes) + hub.traffic["validate"].bytes_in / 2
    assert done.data["uploaded"] == sent

    with desk.client_here("bob"):
        snapshot_download(REPO, local_dir=desk.folder / "back")
    back = files_of(desk.folder / "back")
    assert {name: back[name] for name in in_repo(hub)} == as_pushed(stock.edited)


def test_the_card_says_what_it_is(desk, stock):
    desk.push(stock.edited)
    data = front_matter(desk.hub.files(REPO)["README.md"])
    assert data["base_model"] == "org/tiny"
    assert data["base_model_relation"] == "finetune"
    assert data["license"] == "apache-2.0"
    assert data["library_name"] == "transformers"
    assert {"spin-hub", "spin", "fairness", "privacy"} <= set(data["tags"])
    assert data["spin_hub"]["weights"] == 3
    assert data["spin_hub"]["p"] == METHOD["p"]
    assert data["spin_hub"]["base_commit"] == desk.hub.sha("org/tiny")


def test_a_delta_repo_holds_nothing_that_looks_loadable(desk, stock):
    done = desk.push(stock.delta, repo=None)
    assert done.data["repo_id"] == "alice/tiny-spin-delta"
    files = in_repo(desk.hub, "alice/tiny-spin-delta")
    assert files == as_pushed(stock.delta, "alice/tiny-spin-delta")
    assert set(files) == {"README.md", "spin_delta.safetensors", "spin.json", "heat-map.png"}
    data = front_matter(files["README.md"])
    assert (data["library_name"], data["base_model_relation"]) == ("spin-hub", "adapter")


def test_people_read_where_it_went_and_programs_a_line(desk, stock):
    done = desk.run("push", stock.edited)
    assert done.code == 0
    assert f"{desk.hub.url}/alice/tiny-spin" in done.stdout
    assert "to upload at most" in done.notes
    done = desk.run("push", stock.edited, "--repo-id", "tiny-2", "--quiet")
    assert (done.code, done.stdout, done.stderr) == (0, f"{desk.hub.url}/alice/tiny-2\n", "")


def test_a_private_repo_of_an_organisation_with_a_message_and_a_tag(desk, stock):
    repo = "acme/edited"
    done = desk.push(stock.edited, "--private", "--message", "The first\n\nof many", "--tag", "v1", repo=repo)
    assert desk.hub.repo(repo).private
    assert desk.hub.head(repo).title.startswith("The first")
    assert desk.hub.tags(repo) == {"v1": done.data["commit"]} == {"v1": desk.hub.sha(repo)}


@pytest.mark.parametrize("branch", ["trial", "people/my.locked-1"])
def test_a_branch_is_begun_and_gone_on_with_while_main_stays(desk, stock, branch):
    desk.push(stock.edited)
    main = desk.hub.sha(REPO)
    done = desk.push(stock.other, "--branch", branch)
    assert in_repo(desk.hub, revision=branch) == as_pushed(stock.other)
    assert done.data["commit"] == desk.hub.branches(REPO)[branch]
    assert branch in done.data["url"]
    assert desk.push(stock.edited, "--branch", branch).code == 0
    assert in_repo(desk.hub, revision=branch) == as_pushed(stock.edited)
    assert desk.hub.sha(REPO) == main
    assert len(desk.hub.commits(REPO, branch)) == 4


def test_a_branch_is_begun_even_where_main_holds_all_of_it(desk, stock):
    desk.push(stock.edited)
    done = desk.push(stock.edited, "--branch", "trial")
    assert desk.hub.branches(REPO)["trial"] == done.data["commit"] == desk.hub.sha(REPO)
    assert "trial" in done.data["url"]


def test_a_branch_of_a_repo_that_has_yet_to_be_made(desk, stock):
    assert desk.push(stock.edited, "--branch", "trial").code == 0
    assert in_repo(desk.hub, revision="trial") == as_pushed(stock.edited)
    assert in_repo(desk.hub) == {}


@pytest.mark.parametrize("owner", ["alice", "bob"])
def test_a_pull_request_never_touches_main(desk, stock, owner):
    repo = f"{owner}/theirs"
    before = desk.hub.put(repo, {"README.md": "# Theirs\n", "notes.txt": "mine"})
    done = desk.push(stock.edited, "--create-pr", repo=repo)
    assert done.data["pull_request"] == f"{desk.hub.url}/{repo}/discussions/1"
    assert desk.hub.sha(repo) == before
    (pull,) = desk.hub.pull_requests(repo)
    assert (pull.author, pull.status) == ("alice", "open")
    files = in_repo(desk.hub, repo, "refs/pr/1")
    assert files["notes.txt"] == b"mine"
    assert files["README.md"].endswith(b"# Theirs\n")
    assert {name: files[name] for name in files_of(stock.edited) if name != "README.md"} == {
        name: data for name, data in files_of(stock.edited).items() if name != "README.md"
    }
    assert done.data["commit"] == desk.hub.sha(repo, "refs/pr/1")


@pytest.mark.parametrize(
    ("model", "licence", "name", "notice"),
    [
        ("meta/Meta-Llama-3.1-1B", "license: llama3.1", "Llama-3.1-1B-spin", "Llama 3.1 is licensed"),
        ("meta/Tuned-3.2", "license: llama3.2", "Llama-Tuned-3.2-spin", "Llama 3.2 is licensed"),
        ("meta/Meta-Llama-3-8B", "license: llama3", "Llama-3-8B-spin", "Meta Llama 3 is licensed"),
        ("goog/gem", "license: gemma", "gem-spin", "Gemma is provided under"),
        ("org/free", "license: mit", "free-spin", None),
    ],
)
def test_names_and_notices_follow_the_licence_of_the_base(desk, sharded, model, licence, name, notice):
    desk.hub.put(model, sharded)
    desk.hub.put(model, {"README.md": f"---\n{licence}\n---\n", "LICENSE.txt": "the terms"})
    with desk.client_here():
        a_delta(desk.folder / "delta", model, {UP: [1]})
    done = desk.run("apply", "delta", model, "--push", "--json")
    assert done.data["repo_id"] == f"alice/{name}"
    assert done.data["output"] == name
    files = in_repo(desk.hub, f"alice/{name}")
    assert files["LICENSE.txt"] == b"the terms"
    assert ("NOTICE" in files) == (notice is not None)
    if notice:
        assert files["NOTICE"].decode().startswith(notice)
        assert "not legal advice" in done.notes
    assert front_matter(files["README.md"])["license"] == licence.removeprefix("license: ")


def test_a_delta_of_a_hub_repo_is_applied_to_a_variant_and_pushed(desk, stock, sharded):
    hub = desk.hub
    desk.push(stock.delta, repo="alice/delta")
    hub.put("acme/tuned", sharded)
    card = "---\nlicense: mit\nbase_model: org/tiny\n---\n\n# Tuned\n"
    hub.put("acme/tuned", {"README.md": card, "generation_config.json": "{}"})
    done = desk.run("apply", "alice/delta", "acme/tuned", "--push", "--repo-id", "acme/tuned-spin", "--json")
    assert done.data["fit"]["equal"] == 3
    files = in_repo(hub, "acme/tuned-spin")
    assert files == as_pushed(desk.folder / "tuned-spin", "acme/tuned-spin")
    assert files["generation_config.json"] == b"{}"
    assert json.loads(files["spin/spin.json"])["kind"] == "model"
    back = desk.run("revert", "acme/tuned-spin", "-o", "back", "--json")
    assert back.data["files"] == len(in_repo(hub, "acme/tuned"))
    assert files_of(desk.folder / "back") == in_repo(hub, "acme/tuned")


def test_a_delta_is_taken_from_the_hub_and_nothing_else_is_downloaded(desk, stock):
    desk.push(stock.delta, repo="alice/delta")
    desk.push(stock.edited, "--tag", "v1", repo="alice/model")
    desk.run("apply", stock.delta, "org/tiny", "-o", "warm")
    pinned = f"alice/delta@{desk.hub.sha('alice/delta')}"
    for given in ("alice/delta", "alice/delta@main", pinned, "alice/model", "alice/model@v1"):
        desk.hub.reset_traffic()
        done = desk.run("apply", given, "org/tiny", "-o", "out", "--overwrite", "--json")
        assert done.data["weights"] == 3
        assert files_of(desk.folder / "out") == files_of(stock.edited)
        fetched = {path.rpartition("/")[2] for _, _, path in desk.hub.seen if "/resolve/" in path and "/alice/" in path}
        assert fetched <= {"spin_delta.safetensors", "spin.json"}


def test_an_edit_is_pushed_as_a_delta_alone(desk):
    options = ("--p", "1e-2", "--q", "1e-1", "--samples", "2", "--no-eval", "--as", "delta")
    done = desk.run("edit", "org/tiny", *options, "--push", "--private", "--json")
    assert done.data["repo_id"] == "alice/tiny-spin-delta"
    assert desk.hub.repo("alice/tiny-spin-delta").private
    assert in_repo(desk.hub, "alice/tiny-spin-delta") == as_pushed(
        desk.folder / "tiny-spin-delta", "alice/tiny-spin-delta"
    )
    applied = desk.run("apply", "alice/tiny-spin-delta", "org/tiny", "-o", "out", "--json")
    assert applied.data["weights"] == done.data["weights"] > 3


def test_of_an_edited_model_the_delta_alone_is_pushed(desk, stock):
    done = desk.push(stock.edited, "--as", "delta", repo=None)
    assert done.data["repo_id"] == "alice/tiny-spin-delta"
    assert (done.data["kind"], done.data["output"]) == ("delta", str(stock.edited))
    files = in_repo(desk.hub, "alice/tiny-spin-delta")
    assert files["spin_delta.safetensors"] == (stock.edited / "spin" / "spin_delta.safetensors").read_bytes()
    assert set(files) == {"README.md", "spin_delta.safetensors", "spin.json", "heat-map.png"}
    applied = desk.run("apply", "alice/tiny-spin-delta", "org/tiny", "-o", "out", "--json")
    assert files_of(desk.folder / "out") == files_of(stock.edited)
    assert applied.data["weights"] == 3
    assert desk.push(stock.delta, "--as", "model").error["type"] == "NotPushable"


def test_a_plan_says_where_a_push_would_go_and_how_much_would_travel(desk, stock):
    done = desk.run("apply", stock.delta, "org/tiny", "--plan", "--push", "--json")
    assert done.data["plan"]["repo_id"] == REPO
    assert done.data["plan"]["visibility"] == "public"
    planned = done.data["plan"]["upload"]
    with pytest.raises(KeyError):
        desk.hub.repo(REPO)
    assert f"to {REPO} (public), at most" in desk.run("apply", stock.delta, "org/tiny", "--plan", "--push").stdout
    pushed = desk.run("apply", stock.delta, "org/tiny", "--push", "--json")
    assert 0 < pushed.data["uploaded"] <= planned


def test_an_edited_model_of_the_hub_is_reverted_to_the_bytes_of_its_base(desk, stock):
    desk.push(stock.edited, "--tag", "v1")
    for given in (REPO, f"{REPO}@v1"):
        done = desk.run("revert", given, "--json", "--overwrite")
        assert done.data["output"] == "tiny-reverted"
        assert files_of(desk.folder / "tiny-reverted") == in_repo(desk.hub, "org/tiny")


def test_large_files_are_also_sent_in_parts_and_long_lists_read_by_pages(desk, stock):
    desk.hub.state.part_size, desk.hub.state.page_size = 10_000, 3
    assert desk.push(stock.edited).code == 0
    assert in_repo(desk.hub) == as_pushed(stock.edited)
    assert desk.hub.traffic["complete"].requests > 1


def test_a_name_that_was_given_away_is_followed(desk, stock):
    desk.push(stock.edited)
    desk.hub.move(REPO, "alice/new-name")
    done = desk.push(stock.other)
    assert done.code == 0, done.stderr
    assert in_repo(desk.hub, "alice/new-name")["spin/spin.json"] == files_of(stock.other)["spin/spin.json"]


def test_what_a_delta_on_the_hub_holds_is_shown(desk, stock):
    done = desk.run("inspect", THERE, "--json")
    assert done.data["weights"] == 3


@pytest.mark.parametrize(
    ("repo", "options", "visibility"),
    [
        ("alice/new", (), "public"),
        ("alice/new", ("--private",), "private"),
        ("acme/new", (), "public, unless acme makes new repos private"),
        ("acme/new", ("--public",), "public"),
        (THERE, (), "public"),
    ],
)
def test_a_plan_says_who_will_see_the_repo(desk, stock, repo, options, visibility):
    ratios = ("--p", "1e-2", "--q", "1e-1", "--samples", "2")
    for command in (("edit", "org/tiny", *ratios), ("apply", stock.delta, "org/tiny")):
        arguments = (*command, "--plan", "--push", "--repo-id", repo, *options)
        data = desk.run(*arguments, "--json").data
        assert data.get("plan", data)["visibility"] == visibility
        assert f"to {repo} ({visibility})," in " ".join(desk.run(*arguments).stdout.split())
    assert not desk.hub.traffic["create"].requests
