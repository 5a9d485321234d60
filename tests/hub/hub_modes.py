"""Which files of a push are large files, which small ones, and which are ignored."""

import base64
from collections.abc import Iterable
from fnmatch import fnmatchcase

SMALL = 10 << 20
_MODELS = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack *.npy *.npz *.onnx "
    "*.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite *.tgz "
    "*.wasm *.xz *.zip *.zst *tfevents*"
)
_DATASETS = f"{_MODELS} *.lz4 *.mds *.pcm *.raw *.aac *.flac *.mp3 *.ogg *.wav *.bmp *.gif *.png *.tiff *.jpg *.webp"
ATTRIBUTES = {
    kind: "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in patterns.split()).encode()
    for kind, patterns in {"model": _MODELS, "dataset": _DATASETS}.items()
}


def large_patterns(attributes: bytes) -> list[str]:
    """The patterns of a ``.gitattributes`` that make large files."""
    lines = attributes.decode("utf-8", "replace").splitlines()
    return [line.split()[0] for line in lines if "filter=lfs" in line.split()]


def ignore_patterns(ignored: str) -> list[str]:
    """The patterns of a ``.gitignore``; exceptions (``!``) are not understood."""
    lines = [line.strip() for line in ignored.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "!"))]


def fits(path: str, patterns: Iterable[str]) -> bool:
    """Whether git would apply one of these patterns to a file: to its whole path, its name or one of its folders."""
    folders = path.split("/")[:-1]
    for pattern in patterns:
        bare = pattern.strip("/")
        if fnmatchcase(path, bare) or fnmatchcase(path, f"{bare}/*"):
            return True
        if "/" not in bare and any(fnmatchcase(folder, bare) for folder in folders):
            return True
        if "/" not in pattern and fnmatchcase(path.rsplit("/", 1)[-1], pattern):
            return True
    return False


def is_large(path: str, size: int, sample: bytes, patterns: Iterable[str]) -> bool:
    """Whether a file is kept outside git: by its name, its size, or because it is no text."""
    return size > SMALL or fits(path, patterns) or is_binary(sample)


def is_binary(sample: bytes) -> bool:
    """Whether the beginning of a file shows that it is no text; a character that the sample cuts off is none."""
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.start < len(sample) - 3
    return b"\0" in sample


def decoded(sample: str) -> bytes:
    return base64.b64decode(sample or "")
