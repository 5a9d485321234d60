import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.files import Contents, split_names

PARTS = (
    "model",
    "onnx",
    "original",
    "spin",
    ".cache",
    "__pycache__",
    "README.md",
    "config.json",
    "consolidated.00.pth",
)
FILES = (*PARTS, "model.safetensors", "a.safetensors.index.json", "pytorch_model.bin", "x.GGUF", "code.py", ".hidden")
NAMES = st.builds(
    lambda folders, file: "/".join([*folders, file]),
    st.lists(st.sampled_from(PARTS), max_size=2),
    st.sampled_from(FILES),
)
LISTS = st.sets(NAMES, max_size=12).map(sorted).flatmap(st.permutations)
SHARDS = ("model.safetensors",)


@given(LISTS)
def test_no_file_is_both_kept_and_left_out(names):
    contents = split_names(names, SHARDS)
    assert not set(contents.kept) & set(contents.left_out)


@given(LISTS)
def test_every_visible_file_finds_its_place(names):
    contents = split_names(names, SHARDS)
    visible = {
        name
        for name in names
        if not any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))
        and name.split("/")[0] != "spin"
    }
    assert {*contents.kept, *contents.left_out, *(["README.md"] if contents.readme else [])} == visible


@given(LISTS)
def test_the_order_of_the_names_does_not_matter(names):
    assert split_names(names, SHARDS) == split_names(reversed(names), SHARDS)


@given(LISTS)
def test_names_come_sorted(names):
    contents = split_names(names, SHARDS)
    for listed in (contents.kept, contents.left_out, contents.proven):
        assert list(listed) == sorted(listed)


@given(LISTS, st.data())
def test_shards_are_kept_wherever_they_lie(names, data):
    candidates = [name for name in names if name.endswith(("model.safetensors", ".pth"))]
    shards = data.draw(st.sets(st.sampled_from(candidates))) if candidates else set()
    visible = {
        name for name in shards if name.split("/")[0] != "spin" and not {".cache", "__pycache__"} & {*name.split("/")}
    }
    assert visible <= set(split_names(names, shards).kept)


@given(LISTS)
def test_only_the_readme_at_the_top_is_set_apart(names):
    contents = split_names(names, SHARDS)
    assert contents.readme == ("README.md" in names)
    assert "README.md" not in {*contents.kept, *contents.left_out}


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model.bin.index.json",
        "other.safetensors",
        "model.fp16.safetensors.index.json",
        "consolidated.safetensors",
        "consolidated.00.pth",
        "consolidated_params.json",
        "original/params.json",
        "onnx/model.json",
        "onnx/decoder_model.onnx",
        "decoder.onnx_data",
        "model-Q4_K_M.gguf",
        "model-Q4.GGUF",
        "tf_model.h5",
        "flax_model.msgpack",
        "rust_model.ot",
        "weights/Original/tokenizer.model",
        "model.safetensors.index.json",
        "adapter_config.json",
        "adapter_model.safetensors",
        "adapter_model.bin",
        "checkpoint-9/adapter_config.json",
        "model.mlpackage/Manifest.json",
    ],
)
def test_what_may_hold_unedited_weights_is_left_out(name):
    assert split_names([name], SHARDS) == Contents(kept=(), left_out=(name,), readme=False)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "config.json",
        "params.json",
        "openvino_model.xml",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "modeling_custom.py",
        "LICENSE",
        "docs/README.md",
        "my_spin/notes.txt",
        "figures/original.png",
        "an original",
    ],
)
def test_what_a_model_needs_is_kept(name):
    assert split_names([name], SHARDS) == Contents(kept=(name,), left_out=(), readme=False)


def test_the_index_of_the_shards_is_kept():
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    index = "model.safetensors.index.json"
    assert split_names([index, *shards], (index, *shards)).left_out == ()
    assert split_names([index, *shards], shards).left_out == (index,)


@pytest.mark.parametrize(
    ("description", "twin"),
    [("params.json", "consolidated.00.pth"), ("openvino_model.xml", "openvino_model.bin"),
     ("a/params.json", "a/consolidated.safetensors")],
)  # fmt: skip
def test_what_describes_weights_is_left_out_with_them(description, twin):
    assert split_names([description, twin], SHARDS).left_out == tuple(sorted([description, twin]))
    assert split_names([description, "b/" + twin], SHARDS).kept == (description,)


@pytest.mark.parametrize(
    "name", [".gitattributes", ".cache/huggingface/x.json", "code/__pycache__/a.pyc", "spin/spin.json", "a/.b/c.json"]
)
def test_hidden_files_caches_and_an_earlier_edit_take_no_part(name):
    assert split_names([name], SHARDS) == Contents((), (), readme=False)


def test_the_readme_is_proven_though_it_is_not_kept():
    assert split_names(["config.json", "README.md"], SHARDS).proven == ("README.md", "config.json")


def test_without_a_readme_what_is_kept_is_proven():
    assert split_names(["config.json", "model.bin"], SHARDS).proven == ("config.json",)
