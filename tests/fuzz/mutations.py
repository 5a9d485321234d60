"""Valid files made invalid: by their bytes, by their JSON, and by what names and numbers may do."""

import copy
import io
import json
import re
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NAMES = (
    "../../x", "/etc/passwd", "a\0b", "..", "", ".", ".git/config", "a/../../b", "C:\\x", "~root/x", "x" * 300,
    "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\x9b2J", "\ud800", "é\u0301", "a\nb\rc", "{{ 7 * 7 }}", "$\\frac$",
    "{0}{x}", "<script>", "`|`", "__proto__", "__class__", "9" * 30, "layers." + "9" * 5000 + ".x",
    "model.layers.99999999999999999999.up.weight",
    "!!python/object/apply:os.system ['touch pwned']", "{{ cycler.__init__.__globals__.os.system('touch pwned') }}",
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 2**200, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), -float("inf"), True, False, None,
)  # fmt: skip
TOKENS = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\x1b[2J", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"---\n",
    b"&a ", b"*a ", b"<<: *a\n", b"!!python/object/apply:os.system ['touch pwned']", b"!!binary ", b"null", b"NaN",
    b"-Infinity", b"1e999", b"9" * 50, b"\\ud800", b"\\u0000", b"{{ 7 * 7 }}", b"{% raw %}",
    b"<!-- spin-hub: generated to here; text outside stays -->", b"'''", b'"""', b"= ", b"[[a]]", b"a.b.c = 1\n",
    b"2026-01-02", b"1:2:3", b"0x10", b"0o7", b"..", b"../", b"~", b"#prompt=", b"&", b"|", b"-", b"(", b")",
    b"fairness",
)  # fmt: skip
JINJA = (
    b"{% for m in messages %}", b"{% endfor %}", b"{% if ", b"{% else %}", b"{% endif %}", b"{% set x = ",
    b"{% break %}", b"{{ messages[9] }}", b"{{ messages[9].content }}", b"{{ 1 / 0 }}", b"{{ 1 + 'a' }}",
    b"{{ 10 ** 400 + 0.5 }}", b"|tojson", b"|random", b"|int", b"|list", b"|sort", b"|format(1)", b"|map('x')",
    b"{{ lipsum() }}", b"strftime_now('%d')", b"{{ strftime_now(messages) }}", b"{{ strftime_now('%' ~ 'd') }}",
    b"{{ strftime_now() }}", b"{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", b"{% macro strftime_now(x) %}",
    b"{% include 'a' %}", b"{% extends 'a' %}", b"{% import 'a' as b %}", b"{% generation %}",
    b"{{ raise_exception('x') }}", b"{{ raise_exception() }}", b"{{ messages.append(1) }}",
    b"{{ ''.__class__.__mro__ }}", b"{{ namespace(a=1).b }}", b"{{ 'x' * 100000 }}", b"{{ range(10 ** 6) | list }}",
    b"{{ '\\ud800' }}", b"{{ loop.index }}", b"{{ caller() }}", b"<think>", b"</think>", b"enable_thinking", b"{#",
    b"#}", b"{{", b"}}", b"{%-", b"-%}", b"{% raw %}", b"not ", b"(" * 300,
)  # fmt: skip
_NESTED = {f"nested {depth} times": "[" * depth + "1" + "]" * depth for depth in (3, 60, 900, 100_000)}
"""What stands for a value that Python's own recursion could not write."""
_WORDS = frozenset(
    b"dtype shape data_offsets __metadata__ spin_hub format kind operation layouts tensors base files".split()
)
"""Texts without which nothing else is read."""
TYPES = (
    "Value", "Image", "Audio", "Video", "Pdf", "Nifti", "Mesh", "Json", "List", "LargeList", "Sequence", "Array2D",
    "ClassLabel", "Translation", "TranslationVariableLanguages", "BioSequence", "object", "",
)  # fmt: skip
LENGTHS = (0, 1, 7, 8, 2**31, 2**32, 2**63, 2**64 - 1, 100_000_000, 100_000_001)


def mutated(seeds: Sequence[bytes], random: Random) -> bytes:
    """One of the seeds, changed in up to three ways."""
    data = random.choice(seeds)
    for _ in range(random.choice((1, 1, 2, 3))):
        try:
            data = random.choice(_ways(data))(data, random)
        except RecursionError:
            data = _bytes(data, random)  # it is nested as deeply as it may be
        if random.random() < 0.05:
            data = _spliced(data, random.choice(seeds), random)
    return data


Way = Callable[[bytes, Random], bytes]


def _ways(data: bytes) -> list[Way]:
    """What can be done to a file of this kind."""
    if _container(data) is not None:
        return [_bytes, _length, _header, _about, _about, _about, _body, _renamed, _renamed]
    if data[:1] in b"{[" and data[:1]:
        return [_bytes, _json_text, _json_text, _doubled_key, _renamed, _renamed]
    if data[:4] == b"PAR1":
        return [_bytes, _claims, _claims, _claims]
    if b"{%" in data:
        return [_bytes, _jinja, _jinja, _jinja]
    return [_bytes, _bytes, _inserted, _lines]


def _bytes(data: bytes, random: Random) -> bytes:
    """Bits flipped, bytes replaced, parts cut out, doubled or moved."""
    if not data:
        return random.randbytes(random.randrange(9))
    raw, at = bytearray(data), random.randrange(len(data))
    to = min(len(data), at + random.choice((1, 2, 8, 64)))
    match random.randrange(7):
        case 0:
            raw[at] ^= 1 << random.randrange(8)
        case 1:
            raw[at] = random.randrange(256)
        case 2:
            del raw[at:]
        case 3:
            del raw[at:to]
        case 4:
            raw[at:at] = raw[at:to] * random.choice((1, 2, 100))
        case 5:
            raw[at:to] = random.randbytes(to - at)
        case _:
            raw[at:at] = random.choice(TOKENS)
    return bytes(raw)


def _inserted(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    times = random.choice((1, 1, 1, 2, 50, 2000))
    return data[:at] + random.choice(TOKENS) * times + data[at:]


def _jinja(data: bytes, random: Random) -> bytes:
    """A part of a template put in, or in the place of a word."""
    words = list(re.finditer(rb"\w+|\W", data))
    word = random.choice(words)
    return data[: word.start()] + random.choice(JINJA) + data[random.choice((word.start(), word.end())) :]


def _lines(data: bytes, random: Random) -> bytes:
    """Lines moved, doubled or replaced."""
    lines = data.splitlines(keepends=True) or [b""]
    at = random.randrange(len(lines))
    name = random.choice(NAMES).encode("utf-8", "surrogatepass")
    line = random.choice((random.choice(lines), b"", name + b": " + name + b"\n", name + b"\n", name + b" = 1\n"))
    return b"".join([*lines[:at], line, *lines[at + random.randrange(2) :]])


def _spliced(data: bytes, other: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _container(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """The header and the body of a safetensors file that is whole enough."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        return None
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    return (header, data[8 + length :]) if isinstance(header, dict) else None


def _joined(header: Any, body: bytes) -> bytes:
    raw = _dumped(header)
    return struct.pack("<Q", len(raw)) + raw + body


def _length(data: bytes, random: Random) -> bytes:
    length = int.from_bytes(data[:8], "little")
    wanted = random.choice((*LENGTHS, length - 1, length + 1, length + 8, len(data) - 8, len(data) - 7))
    return struct.pack("<Q", max(0, wanted)) + data[8:]


def _header(data: bytes, random: Random) -> bytes:
    parts = _container(data)
    return _joined(changed(parts[0], random), parts[1]) if parts else _bytes(data, random)


def _about(data: bytes, random: Random) -> bytes:
    """The JSON within the JSON."""
    parts = _container(data)
    try:
        about = json.loads(parts[0]["__metadata__"]["spin_hub"]) if parts else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return _header(data, random)
    if parts is None:
        return _bytes(data, random)
    text = _dumped(changed(about, random))
    text = _doubled_key(text, random) if random.random() < 0.1 else text
    metadata = {"spin_hub": text.decode("utf-8", "replace")}
    return _joined({**parts[0], "__metadata__": metadata}, parts[1])


def _body(data: bytes, random: Random) -> bytes:
    parts = _container(data)
    return _joined(parts[0], _bytes(parts[1], random)) if parts else _bytes(data, random)


def _json_text(data: bytes, random: Random) -> bytes:
    try:
        return _dumped(changed(json.loads(data), random))
    except (ValueError, RecursionError):
        return _bytes(data, random)


def _claims(data: bytes, random: Random) -> bytes:
    """What a Parquet table says of its columns' types, to ``datasets``, which believes it."""
    try:
        table = pq.read_table(io.BytesIO(data))
        columns = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (pa.ArrowException, OSError, ValueError, RecursionError):
        return _bytes(data, random)
    except (LookupError, TypeError):
        columns = {name: {"dtype": "string", "_type": "Value"} for name in ("prompt", "response")}
    if isinstance(columns, dict) and random.random() < 0.5:
        wanted = random.choice(sorted(columns) or [""])
        columns = columns | {wanted: {"_type": random.choice(TYPES), "dtype": random.choice(("string", "int8", "x"))}}
    else:
        columns = changed(columns, random)
    metadata = {"huggingface": _dumped({"info": {"features": columns}}).decode("utf-8", "replace")}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    return sink.getvalue()


def _doubled_key(data: bytes, random: Random) -> bytes:
    """One key of an object renamed to another one."""
    keys = list(re.finditer(rb'"(\w+)":', data))
    if len(keys) < 2:
        return _bytes(data, random)
    first, second = random.sample(keys, 2)
    return data[: second.start(1)] + first[1] + data[second.end(1) :]


def _renamed(data: bytes, random: Random) -> bytes:
    """A text, wherever it stands, replaced by a hostile one of another length; so the file stays whole."""
    parts = _container(data)
    raw, body = (data[8 : len(data) - len(parts[1])], parts[1]) if parts else (data, b"")
    found = {match[1] for match in re.finditer(rb'\\?"([\w./-]{2,}?)(?:\.(?:indices|original))?\\?"', raw)} - _WORDS
    if not found:
        return _bytes(data, random)
    old, new = random.choice(sorted(found)), json.dumps(random.choice(NAMES))[1:-1].encode()
    # A text in the JSON within the JSON is escaped twice.
    raw = re.sub(
        rb'(\\")' + re.escape(old),
        lambda match: match[1] + new.replace(b"\\", b"\\\\").replace(b'\\\\"', b'\\\\\\"'),
        raw,
    )
    raw = re.sub(rb'((?<!\\)")' + re.escape(old), lambda match: match[1] + new, raw)
    return struct.pack("<Q", len(raw)) + raw + body if parts else raw


def _dumped(value: Any) -> bytes:
    text = json.dumps(value)
    for name, nested in _NESTED.items():
        text = text.replace(f'"{name}"', nested)
    return text.encode()


def changed(value: Any, random: Random) -> Any:
    """A JSON value with one of its parts replaced, renamed, removed or doubled."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return _anything(random)
    parent, key = random.choice(places)
    match random.randrange(6):
        case 0 if isinstance(parent, dict):
            parent[random.choice(NAMES)] = parent.pop(key)
        case 1:
            del parent[key]
        case 2:
            other, place = random.choice(places)
            parent[key] = copy.deepcopy(other[place])
        case 3 if isinstance(parent, list):
            parent.extend(copy.deepcopy(parent) * random.choice((1, 2, 20)))
        case _:
            parent[key] = _anything(random, parent[key])
    return value


def _places(value: Any) -> Any:
    """Every part of a JSON value, as its container and key."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


def _anything(random: Random, old: Any = None) -> Any:
    near = old + random.choice((-1, 1, 2**31)) if isinstance(old, int) else old
    choices = ("name", "name", "number", "number", "near", "nested", "empty", "wrapped", "text")
    return {
        "name": random.choice(NAMES),
        "number": random.choice(NUMBERS),
        "near": near,
        "nested": random.choice(list(_NESTED)),
        "empty": random.choice(([], {}, "")),
        "wrapped": random.choice(([old], {"a": old})),
        "text": str(old)[:200],
    }[random.choice(choices)]
