"""Pushing into a repo that holds something: what is sent, what goes, and what a person wrote stays."""

import json
import shutil

import pytest
from pushing import REPO, THERE, as_pushed, files_of, front_matter, in_repo
from stocking import UP, a_delta

NOTE = "\n## My notes\n\nThis model speaks *plainly*.\n"


def with_text(folder, target, text=NOTE, old="", new=""):
    """A copy of a folder in whose card a person wrote."""
    shutil.copytree(folder, target)
    card = (target / "README.md").read_text("utf-8").replace(old, new, 1)
    (target / "README.md").write_text(card + text, "utf-8")
    return target


def test_the_same_again_sends_nothing_and_makes_no_commit(desk, stock):
    first = desk.push(stock.edited)
    desk.hub.reset_traffic()
    again = desk.push(stock.edited)
    assert again.data["commit"] == first.data["commit"]
    assert again.data["uploaded"] == 0
    assert "nothing was sent" in again.notes
    for route in ("create", "preupload", "batch", "put", "commit"):
        assert desk.hub.traffic[route].requests == 0
    assert len(desk.hub.commits(REPO)) == 2
    assert "nothing: all of it was there" in desk.run("push", stock.edited).stdout


def test_another_edit_sends_only_what_changed(desk, stock):
    desk.push(stock.edited)
    desk.hub.reset_traffic()
    done = desk.push(stock.other)
    assert in_repo(desk.hub) == as_pushed(stock.other)
    before, after = files_of(stock.edited), files_of(stock.other)
    large = [name for name in after if name.endswith((".safetensors", ".png")) and before[name] != after[name]]
    assert desk.hub.traffic["put"].bytes_in == sum(len(after[name]) for name in large)
    assert "model-00002-of-00003.safetensors" not in large
    assert done.data["uploaded"] < sum(map(len, after.values()))
    assert len(desk.hub.commits(REPO)) == 3


def test_shards_and_parts_of_the_former_edit_go_and_what_a_person_added_stays(desk, stock):
    desk.push(stock.edited)
    theirs = {"notes.txt": b"mine", "adapter/adapter_model.safetensors": b"\0mine", "extra.safetensors": b"\1mine"}
    desk.hub.put(REPO, {**theirs, "spin/curves.png": b"\x89old"})
    assert desk.push(stock.whole).code == 0
    assert in_repo(desk.hub) == {**as_pushed(stock.whole), **theirs}


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["recipe"]["model"].update(files=["../x"], card=None),
        lambda record: record["recipe"]["model"].update(card=5),
        lambda record: record.update(recipe=None),
        lambda record: record.update(kind="../x"),
        None,
    ],
)
def test_a_record_on_the_hub_that_cannot_be_read_stops_nothing(desk, stock, change):
    record = json.loads(desk.hub.files(THERE)["spin/spin.json"])
    if change:
        change(record)
    desk.hub.put(THERE, {"spin/spin.json": json.dumps(record) if change else "{"})
    assert desk.push(stock.whole, repo=THERE).code == 0
    files = in_repo(desk.hub, THERE)
    assert {name: files[name] for name in as_pushed(stock.whole, THERE)} == as_pushed(stock.whole, THERE)
    assert [name for name in files if name.startswith("model")] == ["model.safetensors"]


def test_a_delta_does_not_mix_with_an_edited_model(desk, stock):
    desk.push(stock.edited)
    assert desk.push(stock.delta).code == 0
    assert in_repo(desk.hub) == as_pushed(stock.delta)
    assert desk.push(stock.edited).code == 0
    assert in_repo(desk.hub) == as_pushed(stock.edited)


def test_what_a_person_wrote_into_the_card_on_the_hub_stays(desk, stock):
    desk.push(stock.edited)
    card = in_repo(desk.hub)["README.md"].decode()
    card = card.replace("language:", "extra_gated_prompt: Be kind\nlanguage:").replace("- en", "- de") + NOTE
    desk.hub.put(REPO, {"README.md": card})
    assert desk.push(stock.other).code == 0
    files = in_repo(desk.hub)
    data = front_matter(files["README.md"])
    assert (data["extra_gated_prompt"], data["language"]) == ("Be kind", ["de"])
    assert data["spin_hub"]["weights"] == 4
    assert files["README.md"].decode().endswith(NOTE)
    assert files["README.md"].count(b"My notes") == 1
    head = desk.hub.sha(REPO)
    assert desk.push(stock.other).data["commit"] == head


def test_what_a_person_wrote_into_the_card_here_goes_along(desk, stock):
    local = with_text(
        stock.edited, desk.folder / "local", old="language:", new="thumbnail: https://x.org/a.png\nlanguage:"
    )
    desk.push(local)
    card = in_repo(desk.hub)["README.md"]
    assert card.decode().endswith(NOTE)
    assert front_matter(card)["thumbnail"] == "https://x.org/a.png"


def test_texts_of_both_places_are_kept_once_each(desk, stock):
    local = with_text(stock.edited, desk.folder / "local")
    desk.push(local)
    card = in_repo(desk.hub)["README.md"].decode()
    desk.hub.put(
        REPO, {"README.md": card.replace("language:", "thumbnail: here\nlanguage:") + "\nWritten on the Hub.\n"}
    )
    for folder in (local, local, with_text(stock.other, desk.folder / "other", "\nWritten here.\n")):
        assert desk.push(folder).code == 0
        card = in_repo(desk.hub)["README.md"].decode()
        assert card.count("My notes") == card.count("Written on the Hub.") == 1
        assert front_matter(card.encode())["thumbnail"] == "here"
    assert card.count("Written here.") == 1


def test_metadata_of_a_card_without_text_of_its_own_are_kept_too(desk, stock):
    desk.push(stock.edited)
    local = with_text(stock.edited, desk.folder / "local", "", "license: apache-2.0", "license: mit")
    desk.push(local)
    assert front_matter(in_repo(desk.hub)["README.md"])["license"] == "mit"


@pytest.mark.parametrize("kind", ["edited", "delta"])
def test_a_repo_that_spin_hub_did_not_make_needs_a_yes(desk, stock, kind):
    theirs = {"README.md": "---\nlicense: mit\nmodel_name: theirs\n---\n\n# Theirs\n", "notes.txt": "x"}
    before = desk.hub.put(REPO, theirs)
    error = desk.push(getattr(stock, kind)).error
    assert error["type"] == "NotOurRepo"
    assert "--yes" in error["hint"]
    assert desk.hub.sha(REPO) == before
    assert desk.push(getattr(stock, kind), "--yes").code == 0
    files = in_repo(desk.hub)
    assert files["notes.txt"] == b"x"
    assert files["README.md"].decode().endswith("# Theirs\n")
    assert front_matter(files["README.md"])["model_name"] == "theirs"
    assert {name: files[name] for name in as_pushed(getattr(stock, kind)) if name != "README.md"} == {
        name: data for name, data in as_pushed(getattr(stock, kind)).items() if name != "README.md"
    }


def test_weights_of_theirs_that_may_be_loaded_in_place_of_the_edit_are_told(desk, stock):
    desk.hub.put(REPO, {"model.safetensors": b"\0theirs"})
    done = desk.push(stock.edited, "--yes")
    assert "Careful: alice/tiny-spin keeps model.safetensors" in done.notes
    assert in_repo(desk.hub)["model.safetensors"] == b"\0theirs"


def test_the_licence_of_another_base_takes_the_place_of_the_former_one(desk, stock, sharded):
    desk.hub.put("org/mit", sharded)
    desk.hub.put("org/mit", {"README.md": "---\nlicense: mit\n---\n"})
    with desk.client_here():
        a_delta(desk.folder / "delta", "org/mit", {UP: [1]})
    assert front_matter(in_repo(desk.hub, THERE)["README.md"])["license"] == "apache-2.0"
    assert desk.run("apply", "delta", "org/mit", "--push", "--repo-id", THERE).code == 0
    data = front_matter(in_repo(desk.hub, THERE)["README.md"])
    assert (data["license"], data["base_model"]) == ("mit", "org/mit")


def test_an_empty_repo_is_anybodys(desk, stock):
    desk.hub.put(REPO, {".gitattributes": "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}, private=True)
    assert desk.push(stock.edited).code == 0
    assert in_repo(desk.hub) == as_pushed(stock.edited)
    assert desk.hub.repo(REPO).private
