"""edit, score, select, apply, revert and card on a real small checkpoint, through the library."""

import json
import shutil
from pathlib import Path

import models
import pytest
import torch
import verbs
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import spin_hub
from spin_hub.errors import (
    CorruptFile,
    DeltaNotFound,
    EmptySelection,
    NoSpace,
    OutputExists,
    OutputNotAllowed,
    RankingMismatch,
    RatioBeyondRanking,
    RatioTooSmall,
    RevertFailed,
    UnknownSet,
    UsageError,
)
from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
from spin_hub.workflows.edit import EditRequest

SCORING = ScoringRecipe(samples=3)
SELECTION = SelectionRecipe(p=1e-2, q=1e-1)


def edit(model, output=None, selection=SELECTION, scoring=SCORING, **more):
    return spin_hub.edit(EditRequest(str(model), scoring, selection, destination=Destination(output), **more))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def edited(sharded, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("edited") / "model"
    edit(sharded, folder)
    return folder


@pytest.fixture(scope="module")
def ranking(sharded, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("ranking") / "ranking.safetensors"
    verbs.score(str(sharded), SCORING, Destination(path), 1e-1)
    return path


def test_the_edited_model_is_the_base_with_some_weights_zero(sharded, edited):
    delta = spin_hub.read_delta(edited / "spin" / "spin_delta.safetensors")
    assert delta.weights > 100
    base, after = files_of(sharded), files_of(edited)
    new = {"spin/spin.json", "spin/spin_delta.safetensors", "spin/base-README.md", "spin/heat-map.png"}
    assert set(after) == set(base) | new
    changed = {name for name in base if base[name] != after[name]}
    assert changed == {"README.md", *(name for name in base if name.endswith(".safetensors"))} & changed
    assert after["spin/base-README.md"] == base["README.md"]
    for shard in sharded.glob("*.safetensors"):
        for name, tensor in load_file(shard).items():
            expected = tensor.clone()
            expected.view(-1)[torch.from_numpy(delta.selection.of(name).copy())] = 0
            assert torch.equal(load_file(edited / shard.name)[name].view(torch.uint8), expected.view(torch.uint8))


def test_transformers_loads_it(edited):
    model = AutoModelForCausalLM.from_pretrained(edited)
    delta = spin_hub.read_delta(edited / "spin" / "spin_delta.safetensors")
    for name, indices in delta.selection:
        assert not model.get_parameter(name).view(-1)[torch.from_numpy(indices.copy())].any()


def test_revert_gives_the_base_back_byte_for_byte(sharded, edited, tmp_path):
    (edited / "notes.txt").write_text("added later")
    outcome = spin_hub.revert(edited, output=tmp_path / "back")
    (edited / "notes.txt").unlink()
    assert files_of(tmp_path / "back") == files_of(sharded)
    assert outcome.files == len(files_of(sharded))


def test_score_and_select_give_the_delta_of_edit(edited, ranking, tmp_path):
    verbs.select(ranking, SELECTION, Destination(tmp_path / "delta"))
    name = "spin_delta.safetensors"
    assert (tmp_path / "delta" / name).read_bytes() == (edited / "spin" / name).read_bytes()
    assert set(files_of(tmp_path / "delta")) == {name, "spin.json", "README.md", "heat-map.png"}


def test_apply_gives_the_edited_model_of_edit(sharded, edited, tmp_path):
    for number, source in enumerate((edited, edited / "spin", edited / "spin" / "spin_delta.safetensors")):
        target = tmp_path / str(number)
        verbs.apply(source, str(sharded), Destination(target))
        assert files_of(target) == files_of(edited)


def test_apply_works_from_a_bare_delta_file(sharded, edited, tmp_path):
    shutil.copy(edited / "spin" / "spin_delta.safetensors", tmp_path / "mine.safetensors")
    verbs.apply(tmp_path / "mine.safetensors", str(sharded), Destination(tmp_path / "model"))
    found, expected = files_of(tmp_path / "model"), files_of(edited)
    differing = {name for name in expected if found[name] != expected[name]}
    assert differing == {"README.md", "spin/spin.json"}
    assert "without the recipe" in found["README.md"].decode()
    spin_hub.revert(tmp_path / "model", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(sharded)


def test_apply_on_an_edited_model_does_nothing(edited, tmp_path):
    before = files_of(edited)
    outcome = verbs.apply(edited, str(edited), Destination(tmp_path / "model"))
    assert outcome.output is None
    assert not (tmp_path / "model").exists()
    assert files_of(edited) == before


def test_a_delta_folder_instead_of_a_model(tiny, tmp_path):
    outcome = edit(tiny, tmp_path / "delta", kind="delta")
    assert outcome.record.kind == "delta"
    assert set(files_of(tmp_path / "delta")) == {"spin_delta.safetensors", "spin.json", "README.md", "heat-map.png"}
    verbs.apply(tmp_path / "delta", str(tiny), Destination(tmp_path / "model"))
    spin_hub.revert(tmp_path / "model", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(tiny)


def test_default_names(tiny, own_folder):
    edit(tiny)
    edit(tiny, kind="delta")
    spin_hub.revert(Path("tiny-spin"))
    assert {path.name for path in own_folder.iterdir()} == {"tiny-spin", "tiny-spin-delta", "tiny-reverted"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_float_type_is_edited_and_reverted(tmp_path, dtype):
    base = models.save_checkpoint(tmp_path / "base")
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    edit(base, tmp_path / "edited", scoring=ScoringRecipe(samples=2, dtype="auto"))
    spin_hub.revert(tmp_path / "edited", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(base)
    assert files_of(tmp_path / "edited")["model.safetensors"] != files_of(base)["model.safetensors"]


def test_the_record_holds_everything_and_no_path(edited, sharded):
    text = (edited / "spin" / "spin.json").read_text()
    record = json.loads(text)
    assert record["recipe"]["scoring"]["recipe"]["dtype"] == "bfloat16"
    assert record["recipe"]["scoring"]["environment"]["torch"] == torch.__version__
    assert record["result"]["weights"] == sum(record["result"]["counts"].values())
    assert len(record["recipe"]["scoring"]["sets"]) == 3
    assert str(sharded) not in text
    assert str(sharded.parent) not in text
    assert not any(part in text for part in ("/tmp", "/home", "/root", "hf_"))


def test_equal_inputs_give_equal_outputs(sharded, edited, tmp_path):
    edit(sharded, tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(edited)


def test_the_random_rule_draws_as_many_weights_per_matrix(sharded, edited, ranking, tmp_path):
    recipe = SelectionRecipe(rule="random", p=1e-2, q=1e-1, seed=7)
    drawn = verbs.select(ranking, recipe, Destination(tmp_path / "delta"), str(sharded))
    delta = spin_hub.read_delta(edited / "spin" / "spin_delta.safetensors")
    assert drawn.record.result.counts == {name: len(indices) for name, indices in delta.selection}
    assert spin_hub.read_delta(tmp_path / "delta" / "spin_delta.safetensors").selection != delta.selection
    verbs.apply(tmp_path / "delta", str(sharded), Destination(tmp_path / "model"))
    spin_hub.revert(tmp_path / "model", output=tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(sharded)
    with pytest.raises(UsageError, match="--base"):
        verbs.select(ranking, recipe, Destination(tmp_path / "other"))


def test_expressions_and_ratios_of_ones_own(ranking, tmp_path):
    recipe = SelectionRecipe(expression="(fairness | privacy) - general", q=1e-2, ratios={"general": 1e-1})
    outcome = verbs.select(ranking, recipe, Destination(tmp_path / "delta"))
    assert outcome.record.method["ratios"] == {"fairness": 1e-2, "general": 1e-1, "privacy": 1e-2}
    assert "p" not in outcome.record.method


def test_the_published_rule_needs_scores_as_the_published_code_makes_them(tiny, ranking, tmp_path):
    published = SelectionRecipe(rule="published", p=1e-2, q=1e-2)
    with pytest.raises(RankingMismatch, match="--tokenization published"):
        verbs.select(ranking, published, Destination(tmp_path / "delta"))
    scoring = ScoringRecipe(samples=3, tokenization="published", accumulate="model")
    verbs.score(str(tiny), scoring, Destination(tmp_path / "r.safetensors"), 1e-1)
    outcome = verbs.select(tmp_path / "r.safetensors", published, Destination(tmp_path / "delta"))
    assert outcome.record.method["rule"] == "published"


def test_card_writes_the_same_card_again_and_keeps_a_persons_text(edited, tmp_path):
    folder = shutil.copytree(edited, tmp_path / "model")
    original = (folder / "README.md").read_text()
    spin_hub.card(folder)
    assert (folder / "README.md").read_text() == original
    with_notes = original.replace("<!-- spin-hub: generated from", "My own words.\n\n<!-- spin-hub: generated from")
    (folder / "README.md").write_text(with_notes.replace("weights set to zero", "weights set to five") + "\nThe end.\n")
    spin_hub.card(folder)
    assert (folder / "README.md").read_text() == with_notes + "\nThe end.\n"


# --- bad input: one sentence, nothing half-written ---------------------------------------------------------


def test_ratios_that_select_nothing_name_the_smallest_useful_one(tiny, own_folder):
    with pytest.raises(RatioTooSmall, match=r"2,048 weights\..* 0\.000489"):
        edit(tiny, selection=SelectionRecipe())
    with pytest.raises(RatioTooSmall, match=r"keep = 0\.0001 .*2,048 weights\..* 0\.000489"):
        spin_hub.score(tiny)
    assert 0.000489 * 2048 >= 1
    assert not list(own_folder.iterdir())


def test_an_empty_selection_names_the_smallest_useful_q(ranking, tmp_path):
    with pytest.raises(EmptySelection, match=r"smallest useful q for this model is ([\d.]+)") as caught:
        verbs.select(ranking, SelectionRecipe(p=1e-1, q=5e-4), Destination(tmp_path / "delta"))
    q = float(caught.value.hint.split()[-1].rstrip("."))
    assert verbs.select(ranking, SelectionRecipe(p=1e-1, q=q), Destination(tmp_path / "ok")).record.result.weights
    assert not (tmp_path / "delta").exists()


def test_a_ratio_beyond_the_ranking(ranking, tmp_path):
    with pytest.raises(RatioBeyondRanking, match=r"--keep 0\.2"):
        verbs.select(ranking, SelectionRecipe(p=1e-2, q=2e-1), Destination(tmp_path / "delta"))


def test_an_unknown_set(ranking, tmp_path):
    with pytest.raises(UnknownSet, match="kindness"):
        verbs.select(ranking, SelectionRecipe(expression="kindness & privacy", q=1e-2), Destination(tmp_path / "d"))


def test_an_output_that_is_there_is_replaced_only_when_asked(tiny, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(OutputExists):
        edit(tiny, tmp_path / "out")
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"
    spin_hub.edit(EditRequest(str(tiny), SCORING, SELECTION, destination=Destination(tmp_path / "out", True)))
    assert not (tmp_path / "out" / "precious.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_written_into_or_over_the_model(tiny):
    before = files_of(tiny)
    for output in (tiny, tiny / "edited", tiny.parent):
        with pytest.raises((OutputNotAllowed, OutputExists)):
            spin_hub.edit(EditRequest(str(tiny), SCORING, SELECTION, destination=Destination(output, True)))
    assert files_of(tiny) == before


def test_no_room_is_found_before_any_work(tiny, own_folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(NoSpace, match="1000 bytes free"):
        edit(tiny)
    assert not list(own_folder.iterdir())


def test_an_edited_model_that_was_changed_since_is_not_reverted(edited, tmp_path):
    folder = shutil.copytree(edited, tmp_path / "model")
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(RevertFailed, match=r"config\.json"):
        spin_hub.revert(folder, output=tmp_path / "back")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(RevertFailed, match=r"tokenizer\.json is missing"):
        spin_hub.revert(folder, output=tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_revert_of_something_else(tiny, tmp_path):
    with pytest.raises(DeltaNotFound):
        spin_hub.revert(tiny, output=tmp_path / "back")


def test_a_damaged_record_is_named(edited, tmp_path):
    folder = shutil.copytree(edited, tmp_path / "model")
    for text in ("{", "[]", '{"format": 1}'):
        (folder / "spin" / "spin.json").write_text(text)
        with pytest.raises(CorruptFile, match=r"spin\.json"):
            spin_hub.card(folder)


def test_an_interrupted_edit_leaves_only_finished_layers(tiny, own_folder, monkeypatch):
    import spin_hub.artifacts.write as outcome

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(outcome, "render_card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        edit(tiny)
    assert [path.name for path in own_folder.iterdir()] == ["tiny-spin.partial"]
