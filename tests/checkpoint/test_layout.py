"""Weights laid out as people have them: what is read is what transformers reads, and what is set aside is said."""

import json
import shutil

import models
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import DOWN, POINTER, as_spin_hub_reads, as_transformers_reads, overlay, weight_map, write_map
from safetensors.torch import load_file, save_file

from spin_hub.checkpoint.index import read_index
from spin_hub.core.files import SHARDED, SINGLE
from spin_hub.errors import CorruptFile, LfsPointer, NoSafetensors, WeightsIncomplete

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model-overlay.safetensors")
SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 8}


@pytest.fixture
def copied(sharded, tmp_path):
    return shutil.copytree(sharded, tmp_path / "copy")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A llama of one layer in one file."""
    config = models.tiny_config(**SMALL, num_key_value_heads=1, bos_token_id=0, eos_token_id=1, pad_token_id=2)
    return models.save_checkpoint(tmp_path_factory.mktemp("models") / "small", config)


@st.composite
def layouts(draw):
    """Shards with the tensors that each holds, an index, and whether there is one file beside them."""
    shards = draw(st.lists(st.sampled_from([*SHARDS, "a.safetensors", "z.safetensors"]), min_size=1, unique=True))
    listed = draw(st.lists(st.sampled_from(shards), min_size=1, unique=True))
    homes = st.lists(st.sampled_from(shards), unique=True, max_size=3)
    return shards, listed, homes, draw(st.sampled_from([None, None, "whole", "explicit"]))


@settings(max_examples=30)
@given(layouts(), st.data())
def test_every_layout_is_read_as_transformers_reads_it(small, tmp_path_factory, layout, data):
    shards, listed, homes, single = layout
    folder = tmp_path_factory.mktemp("layout")
    config = json.loads((small / "config.json").read_text())
    tensors = load_file(small / SINGLE)
    held, index = {shard: {} for shard in shards}, {}
    for number, (name, tensor) in enumerate(sorted(tensors.items())):
        # One copy at least is in a shard that is read; all copies have values of their own.
        for copy, shard in enumerate({listed[0], *data.draw(homes)}):
            held[shard][name] = torch.full_like(tensor, number + copy / 8)
        if data.draw(st.booleans()):
            index[name] = data.draw(st.sampled_from(listed))
    index |= {f"absent.{number}": shard for number, shard in enumerate(listed)}
    for shard, content in held.items():
        save_file(content, folder / shard, metadata={"format": "pt"})
    write_map(folder, index)
    if single:
        save_file({name: tensor + 100 for name, tensor in tensors.items()}, folder / SINGLE, metadata={"format": "pt"})
    if single == "explicit":
        config["transformers_weights"] = SHARDED
    (folder / "config.json").write_text(json.dumps(config))
    assert as_spin_hub_reads(folder) == as_transformers_reads(folder)


@pytest.fixture
def overlaid(copied):
    """A copy with a second value of a tensor in an overlay; returns the shard of the first."""
    first = weight_map(copied)[DOWN]
    overlay(copied)
    return first


def test_an_overlay_replaces_the_copy_before_it_and_that_is_said(copied, overlaid):
    index = read_index(copied)
    assert index.tensors[DOWN].shard == "model-overlay.safetensors"
    assert index.shards[-1] == "model-overlay.safetensors"
    (note,) = index.notes
    assert note == (
        f"{DOWN} is in more than one shard: the copy in model-overlay.safetensors counts, as for transformers, and the "
        f"one in {overlaid} is superseded and stays as it is."
    )


def test_an_index_that_names_the_other_copy_is_told_apart(copied, overlaid):
    write_map(copied, weight_map(copied) | {DOWN: overlaid, "x": "model-overlay.safetensors"})
    assert read_index(copied).tensors[DOWN].shard == "model-overlay.safetensors"
    assert any(f"The index names another copy of {DOWN}, in {overlaid}" in note for note in read_index(copied).notes)
    assert as_spin_hub_reads(copied) == as_transformers_reads(copied)


def test_what_the_index_lists_and_no_shard_holds_is_said(copied):
    shard = next(iter(weight_map(copied).values()))
    write_map(copied, weight_map(copied) | {"lm_head.weight": shard})
    assert read_index(copied).notes == ("The index lists lm_head.weight, which no shard holds.",)
    assert as_spin_hub_reads(copied) == as_transformers_reads(copied)


def test_a_tensor_is_found_in_a_shard_that_the_index_does_not_name_for_it(copied):
    entries = weight_map(copied)
    other = next(shard for shard in entries.values() if shard != entries[DOWN])
    expected = read_index(copied).tensors[DOWN]
    write_map(copied, {name: shard for name, shard in entries.items() if name != DOWN} | {"b": entries[DOWN]})
    assert read_index(copied).tensors[DOWN] == expected
    write_map(copied, entries | {DOWN: other})
    assert read_index(copied).tensors[DOWN] == expected


def test_a_single_file_wins_over_an_index_and_that_is_said(copied, tiny):
    shutil.copy(tiny / SINGLE, copied)
    index = read_index(copied)
    assert index.layout.files == (SINGLE,)
    (note,) = index.notes
    assert note.startswith("The weights are read from model.safetensors, as transformers reads them; model-00001-of-")
    assert note.endswith("more are set aside.")


def test_an_index_beside_one_file_is_set_aside(tiny, tmp_path):
    copied = shutil.copytree(tiny, tmp_path / "copy")
    write_map(copied, {"a": SHARDS[0], "b": SHARDS[1]})
    assert read_index(copied).shards == (SINGLE,)
    assert f"{SHARDED} is set aside" in read_index(copied).notes[0]


def test_a_shard_that_the_index_forgot_is_set_aside(copied):
    save_file({"x": torch.zeros(2)}, copied / "model-00099-of-00099.safetensors")
    assert "model-00099-of-00099.safetensors is set aside" in read_index(copied).notes[0]
    assert "model-00099-of-00099.safetensors" not in read_index(copied).shards


def test_shards_without_an_index_are_counted(copied):
    count = len(set(weight_map(copied).values()))
    (copied / SHARDED).unlink()
    with pytest.raises(WeightsIncomplete, match=rf"{count} shards are here .*, but {SHARDED} is missing") as caught:
        read_index(copied)
    assert "beside the others" in caught.value.hint


def test_a_lone_file_of_another_name_asks_for_an_index(tiny, tmp_path):
    copied = shutil.copytree(tiny, tmp_path / "copy")
    (copied / SINGLE).rename(copied / "weights.safetensors")
    with pytest.raises(WeightsIncomplete, match=r"a file of weights is here \(weights\.safetensors\)"):
        read_index(copied)


def test_missing_shards_are_counted_and_named(copied):
    shards = sorted(set(weight_map(copied).values()))
    for shard in shards[1:3]:
        (copied / shard).unlink()
    with pytest.raises(WeightsIncomplete, match=rf"2 of the {len(shards)} shards .* are missing \({shards[1]}, "):
        read_index(copied)


def test_an_index_for_another_number_of_shards_names_those_that_are_here(copied):
    write_map(copied, {name: f"model-0000{number}-of-00005.safetensors" for number, name in enumerate("abcde", 1)})
    with pytest.raises(
        WeightsIncomplete, match=r"5 of the 5 shards .* and 3 more|and 2 more\), and model-00001-of-"
    ) as caught:
        read_index(copied)
    assert "are here instead" in caught.value.message


@pytest.mark.parametrize("name", ["../x.safetensors", "a/b.safetensors", "pytorch_model.bin", 7, [], "C:x.safetensors"])
def test_a_config_names_weights_beside_it_or_is_refused(tiny, tmp_path, name):
    copied = shutil.copytree(tiny, tmp_path / "copy")
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "transformers_weights": name}))
    with pytest.raises(CorruptFile):
        read_index(copied)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_beside_the_weights_is_set_aside(tiny, tmp_path, name):
    copied = shutil.copytree(tiny, tmp_path / "copy")
    (copied / name).write_bytes(b"{}")
    assert read_index(copied).notes == (f"An adapter lies beside the weights and is set aside: {name}.",)


@pytest.mark.parametrize("config", [True, False])
def test_an_adapter_alone_is_named_with_its_base(tiny, tmp_path, config):
    if config:
        shutil.copy(tiny / "config.json", tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(NoSafetensors, match="holds an adapter of org/base, not a model") as caught:
        read_index(tmp_path)
    assert "merge_and_unload" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"base_model_name_or_path": 7}', '{"base_model_name_or_path": "a\\n"}']
)
def test_an_adapter_alone_may_not_say_its_base(tmp_path, text):
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(NoSafetensors, match="holds an adapter, not a model"):
        read_index(tmp_path)


@pytest.mark.parametrize("name", [SINGLE, SHARDED, "config.json", SHARDS[1]])
def test_pointers_of_git_lfs_are_named(copied, name):
    if name == SHARDS[1]:
        name = sorted(set(weight_map(copied).values()))[1]
    (copied / name).write_text(POINTER)
    with pytest.raises(LfsPointer, match=rf"{name} is a Git LFS pointer"):
        read_index(copied)


@pytest.mark.parametrize(
    ("beside", "dtype", "found"),
    [
        ("m.weight_scale_inv", torch.float8_e4m3fn, True),
        ("m.weight_scale", torch.float8_e5m2, True),
        ("m.input_scale", torch.float8_e4m3fn, True),
        ("m.SCB", torch.int8, True),
        ("m.weight_scale", torch.bfloat16, False),
        ("other.weight_scale", torch.float8_e4m3fn, False),
        ("m.bias", torch.float8_e4m3fn, False),
    ],
)
def test_scales_that_the_config_does_not_speak_of_are_found(tmp_path, beside, dtype, found):
    (tmp_path / "config.json").write_text("{}")
    weight = torch.zeros(2, 2, dtype=torch.uint8).to(dtype)
    save_file({"m.weight": weight, beside: torch.ones(1)}, tmp_path / SINGLE)
    assert any(beside in note and "not scored" in note for note in read_index(tmp_path).notes) == found
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "fp8"}}')
    assert not read_index(tmp_path).notes
