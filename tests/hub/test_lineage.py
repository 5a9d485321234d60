"""Lineages with the real client against a Hub on this machine."""

import io
import json
import socket
from pathlib import Path

import models
import pytest
import server

from spin_hub.core.delta import BaseRef
from spin_hub.hub.base_models import lineage_of
from spin_hub.hub.resolve import ModelSource

NOBODY = [None, None]


def lineages(visitor, *cases: tuple, **environment: str) -> list[dict]:
    """The lineage of every case (variant, its config, the delta's base), without a token."""
    found = []
    with visitor.client(io.StringIO(), environment):
        for variant, config, base in cases:
            folder = Path(variant.get("folder", "nowhere"))
            source = ModelSource("variant", folder, variant.get("id"), variant.get("commit"))
            found.append(lineage_of(source, config, BaseRef(*base)).to_json())
    return found


def card(*bases: str, relation: str | None = None) -> str:
    lines = [f"base_model: {bases[0]}"] if len(bases) == 1 else ["base_model:", *(f"- {base}" for base in bases)]
    lines = lines if bases else ["license: mit"]
    return "\n".join(["---", *lines, *([f"base_model_relation: {relation}"] if relation else []), "---", "A model."])


def publish(hub, parents: dict[str, tuple[str, ...]]) -> None:
    """Models of the Hub by id, each with what its card names as its base."""
    for model, bases in parents.items():
        hub.put(model, {"README.md": card(*bases)})


def folder_of(place: Path, text: str) -> dict[str, str]:
    """A variant in a folder with this card."""
    place.mkdir(parents=True)
    (place / "README.md").write_text(text)
    return {"folder": str(place)}


def test_a_chain_of_fine_tunes_is_followed_to_the_base(hub, visitor, tmp_path):
    publish(hub, {"org/base": (), "org/chat": ("org/base",), "me/mine": ("org/chat",)})
    local = folder_of(tmp_path / "variant", card("me/mine", relation="adapter"))
    cases = [(local, {}, [base, None]) for base in ("org/base", "ORG/Base", "me/mine", "org/chat2", None)]
    first, shouted, near, far, unnamed = lineages(visitor, *cases)
    assert first["chain"] == ["me/mine", "org/chat", "org/base"]
    assert first["links"] == [
        {"model": "me/mine", "of": None, "relation": "adapter"},
        {"model": "org/chat", "of": "me/mine", "relation": "finetune"},
        {"model": "org/base", "of": "org/chat", "relation": "finetune"},
    ]
    assert first["ended"] is None
    assert [one["linked"] for one in (first, shouted, near, far, unnamed)] == [True, True, True, False, False]
    assert unnamed["config_differences"] is None
    assert "names no model of the Hub" in unnamed["unknown"]


def test_a_model_of_the_hub_begins_its_own_chain(hub, visitor, tmp_path):
    publish(hub, {"org/base": ()})
    commit = hub.put("me/mine", {"README.md": card("org/base")})
    hub.put("me/mine", {"README.md": card("org/gone")})
    own = folder_of(tmp_path / "snapshot", card("org/base"))
    [read, asked, itself] = lineages(
        visitor,
        ({**own, "id": "me/mine", "commit": commit}, {}, ["org/base", None]),
        ({"id": "me/mine", "commit": commit}, {}, ["org/base", None]),
        ({"id": "org/base"}, {}, ["org/base", None]),
    )
    assert read["chain"] == asked["chain"] == ["me/mine", "org/base"]
    assert (read["linked"], asked["linked"], itself["linked"]) == (True, True, True)
    assert (itself["chain"], itself["ended"]) == (["org/base"], None)


def test_merges_are_followed_breadth_first_and_each_model_once(hub, visitor, tmp_path):
    publish(
        hub,
        {"org/a": ("org/root",), "org/b": ("org/root", "org/a"), "org/c": ("me/merge", "org/C"), "org/root": ()},
    )
    publish(hub, {"me/merge": ("org/a", "org/b", "ORG/a", "org/c")})
    local = folder_of(tmp_path / "variant", card("me/merge"))
    [found] = lineages(visitor, (local, {}, NOBODY))
    assert found["chain"] == ["me/merge", "org/a", "org/b", "org/c", "org/root"]
    assert [link["of"] for link in found["links"]] == [None, *["me/merge"] * 3, "org/a"]
    assert [link["relation"] for link in found["links"]] == [None, "merge", "merge", "merge", "finetune"]
    assert found["ended"] is None
    assert hub.traffic["info"].requests == 5


@pytest.mark.parametrize("of", ["me/one", "me/two"])
def test_a_cycle_ends(hub, visitor, tmp_path, of):
    publish(hub, {"me/one": ("me/two",), "me/two": ("me/one", "me/two")})
    [found] = lineages(visitor, ({"id": of}, {}, NOBODY))
    assert sorted(found["chain"]) == ["me/one", "me/two"]
    assert found["ended"] is None


def test_a_long_chain_is_cut_and_says_so(hub, visitor, tmp_path):
    publish(hub, {f"me/m{n}": (f"me/m{n + 1}",) for n in range(20)})
    local = folder_of(tmp_path / "variant", card("me/m0"))
    [found] = lineages(visitor, (local, {}, NOBODY))
    assert found["chain"] == [f"me/m{n}" for n in range(9)]
    assert found["ended"] == "only 8 models are looked up"
    assert hub.traffic["info"].requests == 8
    hub.store._repos["model", "org/old"] = hub.repo("me/m2")
    [renamed] = lineages(visitor, (local, {}, ["org/old", None]))
    assert renamed["linked"]


def test_a_card_that_names_the_whole_hub_is_cut(hub, visitor, tmp_path):
    local = folder_of(tmp_path / "variant", card(*(f"me/m{n}" for n in range(1000))))
    [found] = lineages(visitor, (local, {}, NOBODY))
    assert found["chain"] == [f"me/m{n}" for n in range(32)]


def test_a_hub_that_hangs_up_is_asked_once(hub, visitor, tmp_path):
    hub.put("org/base", {"config.json": "{}"})
    hub.fail(server.Fault("info", cut_after=0, times=None))
    local = folder_of(tmp_path / "variant", card("org/chat", "org/base"))
    [found] = lineages(visitor, (local, {}, ["org/base", hub.sha("org/base")]))
    assert [path for _, _, path in hub.seen] == ["/api/models/org/chat"]
    assert found["linked"]
    assert found["unknown"] == found["ended"].replace("chat", "base")


def test_private_missing_and_gated_ancestors(hub, visitor, tmp_path):
    publish(hub, {"org/base": (), "me/open": ("org/base",)})
    hub.put("me/private", {"README.md": card("org/base")}, private=True)
    hub.put("me/gated", {"README.md": card("org/base")}, gated=True)
    hub.add_user("me", token="hf_me")
    variants = [
        folder_of(tmp_path / name, card(*bases))
        for name, bases in {
            "private": ("me/private",), "gone": ("me/gone", "me/open"), "gated": ("me/gated",),
        }.items()
    ]  # fmt: skip
    cases = [(variant, {}, ["org/base", None]) for variant in variants]
    private, gone, gated = lineages(visitor, *cases)
    assert (private["chain"], private["linked"]) == (["me/private"], False)
    assert private["ended"] == "me/private: the Hub has no such model, or it is private and the token gives no access"
    assert (gone["chain"], gone["linked"]) == (["me/gone", "me/open", "org/base"], True)
    assert gone["ended"].startswith("me/gone: the Hub has no such model")
    assert (gated["chain"], gated["ended"]) == (["me/gated", "org/base"], None)
    [allowed, *_] = lineages(visitor, *cases, HF_TOKEN="hf_me")
    assert (allowed["chain"], allowed["linked"], allowed["ended"]) == (["me/private", "org/base"], True, None)


@pytest.mark.parametrize("name", ["old", "new"])
def test_a_renamed_base_is_found_by_both_of_its_names(hub, visitor, tmp_path, name):
    hub.put("org/new", {"README.md": card()})
    # The real Hub redirects the old name to the new page, on which the client ends up.
    hub.store._repos["model", "org/old"] = hub.repo("org/new")
    variants = [folder_of(tmp_path / f"names-{base}", card(f"org/{base}")) for base in ("old", "new")]
    for found in lineages(visitor, *((variant, {}, [f"org/{name}", None]) for variant in variants)):
        assert found["linked"]
        assert found["chain"] == ["org/new"]
    both = [
        folder_of(tmp_path / "both", card("org/old", "org/new")),
        folder_of(tmp_path / "again", card("org/new", "org/old")),
    ]
    for found in lineages(visitor, *((variant, {}, NOBODY) for variant in both)):
        assert found["chain"] == ["org/new"]


CARDS = {
    "nothing": ("# No metadata\n", None),
    "no base": (card(), None),
    "null": ("---\nbase_model: null\n---\n", None),
    "a number": ("---\nbase_model: 7\n---\n", None),
    "an object": ("---\nbase_model: {a: b}\n---\n", None),
    "mixed": ("---\nbase_model: [7, null, org/base]\nbase_model_relation: [x]\n---\n", None),
    "a path": ("---\nbase_model: /home/someone/base\n---\n", "a card names a base model that is not an id of the Hub"),
    "broken": ("---\nbase_model: [\n---\n", "the metadata of its README.md cannot be read"),
    "a list": ("---\n- base_model\n---\n", "the metadata of its README.md cannot be read"),
    "no text": (b"---\nbase_model: \xff\n---\n", "the metadata of its README.md cannot be read"),
    "deep": ("---\nbase_model: " + "[" * 5000 + "\n---\n", "the metadata of its README.md cannot be read"),
}


def test_whatever_a_card_says_is_no_error(hub, visitor, tmp_path):
    publish(hub, {"org/base": ()})
    cases = []
    for number, (content, _) in enumerate(CARDS.values()):
        place = folder_of(tmp_path / str(number), "")
        (tmp_path / str(number) / "README.md").write_bytes(content if isinstance(content, bytes) else content.encode())
        cases.append((place, {}, NOBODY))
    (tmp_path / "bare").mkdir()
    *found, bare = lineages(visitor, *cases, ({"folder": str(tmp_path / "bare")}, {}, NOBODY))
    for (name, (_, ended)), lineage in zip(CARDS.items(), found, strict=True):
        assert lineage["ended"] == ended, name
        assert lineage["chain"] == (["org/base"] if name == "mixed" else []), name
        assert "someone" not in json.dumps(lineage)
    assert (bare["chain"], bare["ended"]) == ([], "the folder has no README.md")


def test_without_the_hub_the_own_card_still_tells(hub, visitor, tmp_path):
    local = folder_of(tmp_path / "variant", card("org/chat", "org/base"))
    case = (local, {}, ["org/base", "a" * 40])
    [offline] = lineages(visitor, case, HF_HUB_OFFLINE="1")
    assert (offline["chain"], offline["linked"]) == (["org/chat", "org/base"], True)
    assert offline["ended"] == "org/chat: offline mode is on"
    assert offline["unknown"] == "org/base: offline mode is on"
    assert not hub.seen

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        [unreachable] = lineages(visitor, case, HF_ENDPOINT=url)
    assert (unreachable["chain"], unreachable["linked"]) == (["org/chat", "org/base"], True)
    assert unreachable["ended"].startswith("org/chat: ")
    assert unreachable["unknown"].startswith("org/base: ")
    assert "\n" not in unreachable["ended"] + unreachable["unknown"]

    hub.fail(server.Fault("info", 503, times=None))
    [failing] = lineages(visitor, case)
    assert failing["linked"]
    assert failing["ended"] == "; ".join(
        f"{model}: it answered 503 (Made to fail with 503)" for model in ("org/chat", "org/base")
    )


def test_the_config_is_compared_with_the_one_at_the_delta_s_commit(hub, visitor, tmp_path):
    config = models.tiny_config(architectures=["LlamaForCausalLM"]).to_dict()
    commit = hub.put("org/base", {"config.json": json.dumps(config), "README.md": card()})
    hub.put("org/base", {"config.json": json.dumps({**config, "hidden_size": 1})})
    hub.put("org/strange", {"config.json": "[1]"})
    hub.put("org/broken", {"config.json": "{"})
    hub.put("org/deep", {"config.json": '{"a":' * 100_000})
    hub.put("org/empty", {"README.md": card()})
    hub.put("org/closed", {"config.json": json.dumps(config)}, gated=True)
    local = folder_of(tmp_path / "variant", card())
    longer = {**config, "max_position_embeddings": 9999, "eos_token_id": 3, "transformers_version": "0"}
    cases = [
        (local, config, ["org/base", commit]),
        (local, longer, ["org/base", commit]),
        (local, {**config, "model_type": "mistral"}, ["org/base", commit]),
        (local, config, ["org/base", None]),
    ]
    unknown = {
        ("org/base", "b" * 40): "org/base: the Hub has no such revision",
        ("org/base", "../../main"): "the delta's base has no commit of the Hub",
        ("org/gone", None): "org/gone: the Hub has no such model, or it is private and the token gives no access",
        ("org/closed", None): "org/closed: the model is gated",
        ("org/strange", None): "the config.json of org/strange is not a JSON object",
        ("org/broken", None): "the config.json of org/broken cannot be read",
        ("org/deep", None): "the config.json of org/deep cannot be read",
        ("org/empty", None): "org/empty: it answered 404 (Entry not found: config.json)",
        ("../up", None): "../up: it is not a name that the Hub allows",
    }
    same, changed, other, newest, *rest = lineages(visitor, *cases, *((local, config, list(base)) for base in unknown))
    assert (same["config_differences"], same["architecture"], same["unknown"]) == ([], None, None)
    assert changed["config_differences"] == [{"key": "max_position_embeddings", "base": 512, "variant": 9999}]
    assert other["architecture"] == "its architecture is mistral, but the delta's base is llama"
    assert newest["config_differences"] == [{"key": "hidden_size", "base": 1, "variant": 32}]
    for said, found in zip(unknown.values(), rest, strict=True):
        assert found["config_differences"] is None
        assert found["unknown"].startswith(said)
        assert found["unknown"] == said or said.endswith(" ")

    hub.fail(server.Fault("head", 501, times=None))
    [failing] = lineages(visitor, (local, config, ["org/empty", None]))
    assert failing["unknown"] == "org/empty: it answered 501 (Made to fail with 501)"
    hub.reset_traffic()
    assert lineages(visitor, *cases[:2], HF_HUB_OFFLINE="1") == [same, changed]
    assert not hub.seen
