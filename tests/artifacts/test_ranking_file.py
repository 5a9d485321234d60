import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spin_hub.artifacts.container import KEY, canonical, write_container
from spin_hub.artifacts.ranking_file import RankingFile, read_ranking, write_ranking
from spin_hub.checkpoint.header import read_header
from spin_hub.core.dtypes import itemsize
from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights, kept_count_of
from spin_hub.errors import CorruptFile, RankingMismatch, RatioBeyondRanking, UnknownSet, UnsupportedFormat
from spin_hub.recipe import ScoringRecipe, SelectionRecipe
from spin_hub.record import ModelRecord, ScoringRecord, SetRecord
from spin_hub.scoring.selecting import delta_from

PATH = Path("spin_ranking.safetensors")
DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
NONE = TopWeights(np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 2), np.uint8))
MODEL = ModelRecord("tiny", "org/tiny", "c" * 40, {"config.json": "0" * 64}, {"x.bin": "1" * 64}, {"license": "mit"})
SETS = (SetRecord("fairness", "builtin:fairness", "CC0-1.0", 9, 4, 99, 55, "0" * 64, "1" * 64),)
SCORING = ScoringRecord(ScoringRecipe(samples=4), SETS, {"torch": "2"})


def top(seed, dtype, size, kept):
    generator = np.random.default_rng(seed)
    importance = np.sort(generator.random(kept, np.float32))[::-1]
    original = generator.integers(0, 256, (kept, itemsize(dtype)), dtype=np.uint8)
    return TopWeights(generator.permutation(size)[:kept], importance, original)


def content(dtype="BF16", shapes=((4, 5), (4, 5), (3, 2)), keep=0.5, seed=0, sets=("fairness", "privacy")):
    tensors = {}
    for number, shape in enumerate(shapes):
        size, kept = math.prod(shape), kept_count_of(keep, shape)
        tops = {name: top((seed, number, place), dtype, size, kept) for place, name in enumerate(sets)}
        tensors[f"layers.{number}.up"] = RankedTensor(shape, dtype, tops)
    return RankingFile(Ranking(tensors, keep), MODEL, SCORING)


def plain(file):
    tensors = {
        name: (
            tensor.shape,
            tensor.dtype,
            {
                set_name: (best.indices.tolist(), best.importance.tolist(), best.original.tolist())
                for set_name, best in tensor.tops.items()
            },
        )
        for name, tensor in file.ranking.tensors.items()
    }
    return tensors, file.ranking.keep, file.model, file.scoring


def written(file, path=PATH):
    path.unlink(missing_ok=True)
    write_ranking(path, file)
    return path.read_bytes()


def parts():
    """The arrays and the description of a ranking, to write them again with one thing changed."""
    written(content())
    raw, header = PATH.read_bytes(), read_header(PATH)
    arrays = {}
    for name, span in header.spans.items():
        rows = np.frombuffer(raw[span.start : span.start + span.nbytes], np.uint8).reshape(-1, itemsize(span.dtype))
        arrays[name] = (span.dtype, rows)
    return arrays, json.loads(header.metadata[KEY])


def refused(arrays, about, error=CorruptFile):
    write_container(PATH, arrays, about)
    with pytest.raises(error) as caught:
        read_ranking(PATH)
    return caught.value.message


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=4), st.floats(0.05, 0.95), st.integers(0, 1_000)
)
def test_a_ranking_comes_back_as_it_was(dtype, shapes, keep, seed):
    file = content(dtype, shapes, keep, seed)
    written(file)
    assert plain(read_ranking(PATH)) == plain(file)


def test_an_empty_set_of_weights_comes_back():
    file = content(keep=0.01)
    written(file)
    assert plain(read_ranking(PATH)) == plain(file)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_original_bytes_of_a_selection_are_found_in_the_file(dtype):
    file = content(dtype)
    written(file)
    chosen = file.ranking.top("fairness", 0.4) | file.ranking.top("privacy", 0.3)
    expected = [(name, values.tolist()) for name, _, values in file.ranking.originals(chosen)]
    assert [(name, values.tolist()) for name, _, values in read_ranking(PATH).ranking.originals(chosen)] == expected


def test_top_sets_are_those_of_the_ranking_that_was_written():
    file = content()
    written(file)
    ranking = read_ranking(PATH).ranking
    for ratio in (0.05, 0.2, 0.5):
        assert ranking.top("privacy", ratio) == file.ranking.top("privacy", ratio)


def test_a_ratio_beyond_what_was_kept_is_refused():
    written(content(keep=0.25))
    with pytest.raises(RatioBeyondRanking):
        read_ranking(PATH).ranking.top("privacy", 0.5)


def test_equal_contents_are_equal_files_in_whatever_order_they_were_built():
    file = content()
    tensors = {
        name: RankedTensor(tensor.shape, tensor.dtype, dict(reversed(tensor.tops.items())))
        for name, tensor in reversed(file.ranking.tensors.items())
    }
    other = RankingFile(Ranking(tensors, file.ranking.keep), file.model, file.scoring)
    assert written(other, Path("other")) == written(file)


def test_a_ranking_that_was_read_is_written_as_the_same_file():
    raw = written(content())
    assert written(read_ranking(PATH), Path("other")) == raw


def test_the_header_has_one_metadata_key_of_canonical_json():
    written(content())
    ((key, text),) = read_header(PATH).metadata.items()
    assert key == "spin_hub"
    assert text == canonical(json.loads(text))


@pytest.mark.parametrize(("shape", "code"), [((2**31 - 1,), "I32"), ((2**16, 2**15), "I64")])
def test_positions_have_32_bits_until_they_no_longer_fit(shape, code):
    best = TopWeights(np.array([math.prod(shape) - 1]), np.array([1.0], np.float32), np.zeros((1, 2), np.uint8))
    file = RankingFile(Ranking({"up": RankedTensor(shape, "BF16", {"a": best})}, 0.1), MODEL, SCORING)
    written(file)
    assert read_header(PATH).spans["up.a.indices"].dtype == code
    assert plain(read_ranking(PATH)) == plain(file)


def test_every_truncation_is_refused():
    size = len(written(content(shapes=((2, 2),))))
    for length in range(size - 1, 0, -7):
        os.truncate(PATH, length)
        with pytest.raises(CorruptFile):
            read_ranking(PATH)


PREFIX = "layers.2.up.privacy"  # three of six weights are kept


@pytest.mark.parametrize("indices", [[0, 1, 6], [0, -1, 2], [3, 1, 3]], ids=["outside", "negative", "doubled"])
def test_positions_that_do_not_fit_the_tensor_are_refused(indices):
    arrays, about = parts()
    arrays[f"{PREFIX}.indices"] = ("I32", np.array(indices, "<i4"))
    assert "doubled or outside" in refused(arrays, about)


@pytest.mark.parametrize(
    ("part", "code", "array"),
    [
        ("indices", "I32", np.array([0, 1], "<i4")),
        ("importance", "F32", np.array([3, 2, 1, 0], "<f4")),
        ("original", "BF16", np.zeros((4, 2), np.uint8)),
    ],
)
def test_vectors_of_different_lengths_are_refused(part, code, array):
    arrays, about = parts()
    arrays[f"{PREFIX}.{part}"] = (code, array)
    assert "different lengths" in refused(arrays, about)


@pytest.mark.parametrize(
    ("part", "code", "array"),
    [
        ("indices", "I64", np.array([0, 1, 2], "<i8")),
        ("importance", "F64", np.zeros((3, 8), np.uint8)),
        ("original", "F16", np.zeros((3, 2), np.uint8)),
    ],
)
def test_vectors_of_another_type_are_refused(part, code, array):
    arrays, about = parts()
    arrays[f"{PREFIX}.{part}"] = (code, array)
    assert f"{PREFIX}.{part}" in refused(arrays, about)


@pytest.mark.parametrize("part", ["indices", "importance", "original"])
def test_a_missing_vector_is_refused(part):
    arrays, about = parts()
    del arrays[f"{PREFIX}.{part}"]
    assert f"{PREFIX}.{part}" in refused(arrays, about)


def test_a_set_that_is_not_in_the_file_is_refused():
    arrays, about = parts()
    assert "safety" in refused(arrays, {**about, "sets": [*about["sets"], "safety"]})


@pytest.mark.parametrize("dtype", ["I32", "U8", "F4", "bfloat16"])
def test_types_that_cannot_be_edited_are_refused(dtype):
    arrays, about = parts()
    layouts = [{**layout, "dtype": dtype} for layout in about["layouts"]]
    assert "cannot be edited" in refused(arrays, {**about, "layouts": layouts})


@pytest.mark.parametrize("field", ["layouts", "sets", "keep", "model", "scoring"])
def test_a_missing_field_is_refused(field):
    arrays, about = parts()
    del about[field]
    assert field in refused(arrays, about)


@pytest.mark.parametrize("field", ["layouts", "sets", "keep", "model", "scoring"])
@pytest.mark.parametrize("value", [None, "text", [1], {"a": 1}], ids=repr)
def test_a_field_of_another_form_is_refused(field, value):
    arrays, about = parts()
    refused(arrays, {**about, field: value})


@pytest.mark.parametrize("changes", [{"samples": 0}, {"dtype": "float8"}, {"sets": 1}, {"seed": -1}], ids=str)
def test_a_wrong_recipe_is_a_damaged_file(changes):
    arrays, about = parts()
    scoring = {**about["scoring"], "recipe": {**about["scoring"]["recipe"], **changes}}
    assert next(iter(changes)) in refused(arrays, {**about, "scoring": scoring})


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_format_is_refused(version):
    arrays, about = parts()
    assert "does not know" in refused(arrays, {**about, "format": version}, UnsupportedFormat)


@pytest.mark.parametrize("shapes", [(), ((0, 4),), ((4,),)], ids=str)
def test_nothing_is_selected_from_what_holds_no_matrices(shapes):
    tensors = {f"{number}": RankedTensor(shape, "BF16", {"a": NONE}) for number, shape in enumerate(shapes)}
    recipe = SelectionRecipe(expression="a", q=0.5)
    with pytest.raises((RankingMismatch, UnknownSet)):
        delta_from(RankingFile(Ranking(tensors, 0.5), MODEL, SCORING), recipe, None)
