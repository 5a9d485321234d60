import hashlib
import shutil

from spin_hub.checkpoint.digests import contents_of, digests
from spin_hub.checkpoint.index import read_index


def test_digests_are_sha256_and_every_byte_is_counted(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 1000)
    seen = []
    found = digests(tmp_path, "abc", seen.append)
    assert found == {name: hashlib.sha256(name.encode() * 1000).hexdigest() for name in "abc"}
    assert sum(seen) == 3000


def test_twins_of_the_weights_are_left_out(sharded, tmp_path):
    folder = shutil.copytree(sharded, tmp_path / "model")
    for name in ("pytorch_model.bin", "consolidated.00.pth", "model.gguf", "onnx/model.onnx", "original/params.json",
                 "spin/spin.json", ".gitattributes", "extra.safetensors"):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "LICENSE").write_text("terms")
    contents = contents_of(read_index(folder))
    assert set(contents.left_out) == {
        "pytorch_model.bin", "consolidated.00.pth", "model.gguf", "onnx/model.onnx", "original/params.json",
        "extra.safetensors",
    }  # fmt: skip
    assert contents.readme
    assert {"LICENSE", "config.json", "tokenizer.json", "model.safetensors.index.json"} <= set(contents.kept)
    assert not [name for name in contents.proven if name.startswith((".", "spin/"))]
