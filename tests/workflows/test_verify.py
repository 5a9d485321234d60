"""An edited model is its base with the delta's weights set to zero, or what differs is told: everything in folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltas_of import DOWN, UP, delta_of

from spin_hub.artifacts.atomic import Placed
from spin_hub.artifacts.base_model import open_base, record_of
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.delta_file import read_delta, write_delta
from spin_hub.artifacts.open import base_ref
from spin_hub.artifacts.verification import Verification
from spin_hub.artifacts.write import describe, write_delta_folder
from spin_hub.checkpoint.index import read_index
from spin_hub.core.delta import Delta, TensorEdit
from spin_hub.core.files import SPIN
from spin_hub.errors import ArtefactNotFound, BaseNotNamed, CorruptFile, DeltaMismatch, DeltaNotFound, ModelNotFound
from spin_hub.progress import SILENT
from spin_hub.recipe import Destination
from spin_hub.workflows.apply import apply
from spin_hub.workflows.card import card
from spin_hub.workflows.verify import verify

README = "---\nlicense: apache-2.0\n---\n\n# The base\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sharded: Path) -> Path:
    """A base with a card and twins, an edit of it, and the delta alone; copied before anything is changed."""
    place = tmp_path_factory.mktemp("made")
    base = place / "base"
    shutil.copytree(sharded, base)
    (base / "README.md").write_text(README, "utf-8")
    (base / "pytorch_model.bin").write_bytes(b"twin")
    opened = open_base(str(base))
    record = record_of(opened, SILENT)
    found = delta_of(base)
    delta = Delta(found.edits, base_ref(record), found.method)
    write_delta_folder(Placed(place / "delta", False), opened, delta, describe("delta", delta, record))
    apply(place / "delta", base, Destination(place / "edited"))
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "place")
    return tmp_path / "place"


@pytest.fixture(params=["full", "quick"])
def quick(request: pytest.FixtureRequest) -> bool:
    return request.param == "quick"


def verified(place: Path, quick: bool = False, **options: Any) -> Verification:
    found = {"base": str(place / "base"), **options}
    return verify(place / "edited", quick=quick, **found)


def rows(found: Verification) -> set[tuple[str, str]]:
    return {(row.what, row.file) for row in found.differences}


def shard_of(place: Path, tensor: str) -> tuple[Path, int]:
    """The edited shard that holds a tensor, and where its bytes begin."""
    index = read_index(place / "base")
    return place / "edited" / index.tensors[tensor].shard, index.tensors[tensor].span.start


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def change(path: Path, work: Callable[[Any], None]) -> None:
    """Changes a JSON file."""
    content = json.loads(path.read_text("utf-8"))
    work(content)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def test_an_edited_model_is_its_base_with_the_edit(place, quick):
    found = verified(place, quick)
    assert found.differences == ()
    assert found.equal
    assert (found.kind, found.places, found.checked) == ("model", 5, 5)
    assert found.notes[0] == "Left out of the edited copy, and not compared: pytorch_model.bin."
    assert len(found.notes) == 1 + quick
    assert found.to_json()["equal"] is True


def test_the_delta_alone_gives_the_same_proof(place, quick):
    found = verified(place, quick, delta=str(place / "delta"))
    assert found.differences == ()


def test_nothing_is_written_or_changed(place, quick, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    verified(place, quick)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("where", ["header", "touched", "beside", "last"])
def test_one_byte_of_a_shard(place, where):
    path, start = shard_of(place, UP)
    at = {"header": 12, "touched": start + 2 * 70, "beside": start + 2 * 71, "last": -1}[where]
    flip(path, at)
    found = verified(place)
    assert rows(found) == {("weights", path.name)}
    row = found.differences[0]
    assert row.found.startswith("1 byte differ")
    if where in ("touched", "beside"):
        assert f"{UP}[7" in row.found
    quickly = verified(place, quick=True)
    assert rows(quickly) == (set() if where == "last" else {("weights", path.name)})
    assert any("the touched places alone were read" in note for note in quickly.notes)
    assert not any("alone were read" in note for note in found.notes)


def test_one_byte_of_a_shard_that_the_edit_left_alone(place):
    index = read_index(place / "base")
    other = next(shard for shard in index.shards if shard not in {index.tensors[name].shard for name in (UP, DOWN)})
    flip(place / "edited" / other)
    assert rows(verified(place)) == {("weights", other)}


def test_a_shard_cut_or_lengthened(place, quick):
    path, _ = shard_of(place, UP)
    path.write_bytes(path.read_bytes()[:-2])
    assert ("weights", path.name) in rows(verified(place, quick))
    path.write_bytes(path.read_bytes() + b"\0" * 9)
    assert ("weights", path.name) in rows(verified(place, quick))


def test_a_shard_that_is_missing(place, quick):
    path, _ = shard_of(place, UP)
    path.unlink()
    assert rows(verified(place, quick)) == {("missing", path.name)}


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "model.safetensors.index.json"])
def test_other_files_changed_or_missing(place, quick, name):
    flip(place / "edited" / name)
    assert rows(verified(place, quick)) == {("file", name)}
    (place / "edited" / name).unlink()
    assert rows(verified(place, quick)) == {("missing", name)}


def test_the_kept_card_of_the_base(place, quick):
    flip(place / "edited" / SPIN / "base-README.md")
    assert rows(verified(place, quick)) == {("file", f"{SPIN}/base-README.md")}
    (place / "edited" / SPIN / "base-README.md").unlink()
    assert rows(verified(place, quick)) == {("missing", f"{SPIN}/base-README.md")}


def test_added_files_are_named_and_no_difference(place, quick):
    (place / "edited" / "notes.txt").write_text("mine", "utf-8")
    found = verified(place, quick)
    assert found.equal
    assert any("notes.txt" in note for note in found.notes)


@pytest.mark.parametrize("name", ["model.safetensors", "adapter_config.json"])
def test_an_added_file_that_a_loader_takes_is_a_difference(place, quick, name):
    (place / "edited" / name).write_bytes(b"{}")
    assert rows(verified(place, quick)) == {("added", name)}


def test_another_base(place, quick):
    flip(place / "base" / "config.json")
    assert rows(verified(place, quick)) == {("base", "config.json"), ("file", "config.json")}


def test_a_base_with_another_byte_in_a_shard(place):
    path, _ = shard_of(place, UP)
    flip(place / "base" / path.name)
    assert rows(verified(place)) == {("base", path.name), ("weights", path.name)}


def test_a_base_that_was_edited_already(place, quick):
    shutil.copytree(place / "edited", place / "base", dirs_exist_ok=True)
    found = verified(place, quick)
    assert {row.what for row in found.differences} >= {"delta"}
    assert any("up_proj" in row.expected for row in found.differences)


def rewritten(place: Path, edits: dict[str, TensorEdit]) -> None:
    """Puts another delta into the edited model, and a record that knows it."""
    from spin_hub.checkpoint.digests import sha256

    path = place / "edited" / SPIN / DELTA
    old = read_delta(path)
    write_delta(path, Delta(edits, old.base, old.method))

    def known(record: Any) -> None:
        record["result"]["delta_sha256"] = sha256(path)

    change(place / "edited" / SPIN / "spin.json", known)
    card(place / "edited")


def test_a_delta_with_another_original(place, quick):
    edits = dict(read_delta(place / "edited" / SPIN / DELTA).edits)
    lie = edits[UP].original.copy()
    lie[1, 0] ^= 1
    edits[UP] = TensorEdit(edits[UP].shape, edits[UP].dtype, edits[UP].indices, lie)
    rewritten(place, edits)
    found = verified(place, quick)
    assert rows(found) == {("delta", shard_of(place, UP)[0].name)}
    assert found.differences[0].expected.endswith(f"{UP}[70]")
    assert ("delta", f"{SPIN}/{DELTA}") in rows(verified(place, quick, delta=str(place / "delta")))


def test_a_delta_with_another_position(place, quick):
    edits = dict(read_delta(place / "edited" / SPIN / DELTA).edits)
    raw = read_index(place / "base").raw(UP, np.array([3, 71, 2000]))
    edits[UP] = TensorEdit(edits[UP].shape, edits[UP].dtype, np.array([3, 71, 2000]), raw)
    rewritten(place, edits)
    found = verified(place)
    assert rows(found) == {("weights", shard_of(place, UP)[0].name)}
    named = verified(place, quick, delta=str(place / "delta"))
    assert rows(named) == {("delta", f"{SPIN}/{DELTA}")}, "the weights are those of the delta that is named"


def test_one_byte_of_the_delta_file(place, quick):
    path = place / "edited" / SPIN / DELTA
    flip(path)
    assert ("record", f"{SPIN}/spin.json") in rows(verified(place, quick))
    flip(path, 5)
    with pytest.raises(CorruptFile):
        verified(place, quick)


LIES: dict[str, Callable[[Any], None]] = {
    "weights": lambda record: record["result"].update(weights=6),
    "tensors": lambda record: record["result"].update(tensors=3),
    "counts": lambda record: record["result"]["counts"].update({UP: 4}),
    "a name": lambda record: record["result"]["counts"].update(other=record["result"]["counts"].pop(UP)),
    "shapes": lambda record: record["result"]["shapes"].update({UP: [1, 2]}),
    "the delta's sha256": lambda record: record["result"].update(delta_sha256="0" * 64),
    "the base's sha256": lambda record: record["recipe"]["model"]["files"].update({"config.json": "1" * 64}),
    "a file of the base": lambda record: record["recipe"]["model"]["files"].pop("config.json") and None,
    "the base": lambda record: record["recipe"]["model"].update(repo_id="org/other"),
    "the commit": lambda record: record["recipe"]["model"].update(commit="f" * 40),
    "the rule": lambda record: record["recipe"]["method"].update(rule="published"),
    "a ratio": lambda record: record["recipe"]["method"]["ratios"].update(fairness=0.5),
    "the kind": lambda record: record.update(kind="delta"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_record_that_lies(place, quick, lie):
    change(place / "edited" / SPIN / "spin.json", LIES[lie])
    card(place / "edited")  # the card tells the lie too
    assert ("record", f"{SPIN}/spin.json") in rows(verified(place, quick))


def test_a_record_that_is_missing_or_unreadable(place, quick):
    path = place / "edited" / SPIN / "spin.json"
    path.write_text("{", "utf-8")
    found = verified(place, quick)
    assert rows(found) == {("record", f"{SPIN}/spin.json")}
    assert any("card" in note for note in found.notes)
    path.unlink()
    assert rows(verified(place, quick)) == {("missing", f"{SPIN}/spin.json")}


@pytest.mark.parametrize(
    ("old", "new"),
    [("weights: 5", "weights: 7"), ("set to zero", "left alone"), ("library_name: transformers", "library_name: peft")],
)
def test_a_card_edited_by_hand(place, quick, old, new):
    path = place / "edited" / "README.md"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    assert rows(verified(place, quick)) == {("card", "README.md")}


def test_what_a_person_writes_around_the_card_is_no_difference(place, quick):
    path = place / "edited" / "README.md"
    path.write_text(path.read_text("utf-8").replace("---\n\n<!--", "---\n\n# Mine\n\n<!--") + "\nMore.\n", "utf-8")
    assert "# Mine" in path.read_text("utf-8")
    assert verified(place, quick).equal


def test_a_card_that_is_missing_or_no_text(place, quick):
    path = place / "edited" / "README.md"
    path.write_bytes(b"\xff\xfe")
    assert rows(verified(place, quick)) == {("card", "README.md")}
    path.unlink()
    assert rows(verified(place, quick)) == {("missing", "README.md")}


def test_the_text_of_another_version_s_card_is_not_compared_but_its_figures_are(place, quick):
    change(place / "edited" / SPIN / "spin.json", lambda record: record.update(tool="spin-hub 0.0.9"))
    path = place / "edited" / "README.md"
    path.write_text(path.read_text("utf-8").replace("set to zero", "made nothing"), "utf-8")
    found = verified(place, quick)
    assert found.equal
    assert any("0.0.9" in note for note in found.notes)
    path.write_text(path.read_text("utf-8").replace("weights: 5", "weights: 7"), "utf-8")
    assert rows(verified(place, quick)) == {("card", "README.md")}


def test_a_delta_folder(place, quick):
    found = verify(place / "delta", base=str(place / "base"), quick=quick)
    assert (found.kind, found.differences) == ("delta", ())
    flip(place / "delta" / DELTA)
    found = verify(place / "delta", base=str(place / "base"), quick=quick)
    assert {row.what for row in found.differences} == {"record", "delta"}


def test_a_variant_is_its_own_base(place, quick):
    variant = place / "variant"
    shutil.copytree(place / "base", variant)
    for name in (UP, DOWN):
        path, start = shard_of(place, name)
        flip(variant / path.name, start + 2 * 70)
        flip(variant / path.name, start + 2 * 9)
    apply(place / "delta", variant, Destination(place / "made"))
    found = verify(place / "made", base=str(variant), quick=quick)
    assert found.differences == ()
    against = verify(place / "made", base=str(place / "base"), quick=quick)
    assert {row.what for row in against.differences} >= {"delta"}


def test_a_delta_of_another_model(place, quick, tiny, tmp_path):
    base = open_base(str(tiny))
    record = record_of(base, SILENT)
    found = delta_of(tiny)
    delta = Delta(found.edits, base_ref(record), found.method)
    write_delta_folder(Placed(tmp_path / "other", False), base, delta, describe("delta", delta, record))
    with pytest.raises(DeltaMismatch, match="F32"):
        verified(place, quick, delta=str(tmp_path / "other"))


def test_a_base_that_lacks_a_tensor(place, quick):
    edits = {UP.replace("layers.0", "layers.9"): read_delta(place / "delta" / DELTA).edits[UP]}
    rewritten(place, edits)
    with pytest.raises(DeltaMismatch, match="layers.9"):
        verified(place, quick)


def test_what_cannot_be_verified(place, quick, tmp_path):
    with pytest.raises(BaseNotNamed, match="local folder"):
        verify(place / "edited", quick=quick)
    with pytest.raises(ModelNotFound):
        verified(place, quick, base=str(tmp_path / "nowhere"))
    with pytest.raises(DeltaNotFound, match="There is no delta at"):
        verify(place / "base", quick=quick)
    with pytest.raises(ArtefactNotFound):
        verify(tmp_path / "nowhere", quick=quick)


def test_an_interrupted_proof_ends_at_once(place):
    class Impatient:
        def __getattr__(self, name: str) -> Any:
            return getattr(SILENT, name)

        def task(self, title: str, total: int, unit: str) -> Any:
            class Stop:
                def __enter__(self) -> Any:
                    def stop(_: int) -> None:
                        raise KeyboardInterrupt

                    return stop

                def __exit__(self, *_: object) -> None:
                    pass

            return Stop()

    with pytest.raises(KeyboardInterrupt):
        verify(place / "edited", base=str(place / "base"), reporter=Impatient())


@pytest.mark.parametrize("text", ["---\na: [1\n---\n", "---\nmodel-index: 7\n---\n", "---\n- 1\n---\nx"])
def test_a_card_that_cannot_be_made_sense_of_is_a_difference(place, quick, text):
    (place / "edited" / "README.md").write_text(text, "utf-8")
    assert rows(verified(place, quick)) == {("card", "README.md")}
