"""The time-boxed part of the fuzzing; benchmarks/fuzzing.py runs the same targets on as many inputs as it is told."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from fuzz_seeds import seeds_of
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import NAMES, mutated
from targets import TARGETS

from spin_hub.artifacts.container import KEY
from spin_hub.errors import SpinHubError

INPUTS = {"card": 12, "picture": 20, "plots": 3, "csv": 20, "parquet": 10}
"""What takes longer is tried less often here."""
TEXT = st.sampled_from(sorted({"dtype", "shape", "tensors", "format", "kind", "files", *NAMES}))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


def survives(target, data):
    try:
        TARGETS[target][0](data)
    except SpinHubError as error:
        assert error.message and error.hint


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return request.param


def test_valid_files_are_read(target):
    outcomes = []
    for data in seeds_of(target):
        try:
            TARGETS[target][0](data)
            outcomes.append("accepted")
        except SpinHubError as error:
            outcomes.append(type(error).__name__)
    assert "accepted" in outcomes, outcomes


def test_mutated_files_are_read_or_refused(target):
    for number in range(INPUTS.get(target, 150)):
        survives(target, mutated(seeds_of(target), Random(f"ci:{target}:{number}")))


@pytest.mark.parametrize("name", ["header", "delta", "ranking"])
@settings(max_examples=60)
@given(entries=st.dictionaries(TEXT, JSON, max_size=3), about=JSON, body=st.binary(max_size=8))
def test_containers_of_any_json(name, entries, about, body):
    kind = {"kind": name, "format": 1, "operation": {"kind": "zero"}} if isinstance(about, dict) else {}
    text = json.dumps({**about, **kind} if kind else about)
    raw = json.dumps({**entries, "__metadata__": {KEY: text}}).encode()
    survives(name, len(raw).to_bytes(8, "little") + raw + body)


@pytest.mark.parametrize("name", ["index", "config", "record", "recipe-json"])
@settings(max_examples=60)
@given(value=JSON)
def test_files_of_any_json(name, value):
    survives(name, json.dumps(value).encode())
    survives(name, json.dumps({"weight_map": value, "format": 1, "recipe": value, "kind": value}).encode())


@pytest.mark.parametrize("name", ["recipe-toml", "card", "front-matter", "spec", "expression"])
@settings(max_examples=25)
@given(text=st.text(max_size=60))
def test_any_text(name, text):
    survives(name, f"---\n{text}\n---\n{text}".encode() if name in ("card", "front-matter") else text.encode())


BOMBS = {
    "header": [b'{"a":' + b"[" * 5_000_000, b"[" + b"{}," * 2_000_000 + b"{}]", b"[" + b"[]," * 1_400_000 + b"[]]"],
    "record": [b"[" + b"[]," * 2_000_000 + b"[]]", b"[" + b'"ab",' * 1_500_000 + b"0]", b'{"a":' * 900_000],
    "card": [
        b"---\na0: &a0 [x, x]\n" + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40))
        + b"license: *a39\n---\n",
        b"---\na: " + b"[" * 300_000 + b"\n---\n",
        b"---\na: 1" + b":1" * 200_000 + b"\n---\n",
        b"---\na: b\n" + b"\n" * 3_000_000,
    ],
    "recipe-toml": [b"a = " + b"[" * 100_000, b"a = {b = " * 5_000],
    "expression": [b"(" * 300_000, b"a-" * 100_000 + b"a"],
}  # fmt: skip
MEASURED = """
import json, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from fuzz_seeds import seeds_of
from targets import TARGETS
from spin_hub.errors import SpinHubError

def tried(target, data):
    try:
        TARGETS[target][0](data)
    except SpinHubError as error:
        return type(error).__name__
    except Exception as error:
        return repr(error)
    return "accepted"

def of(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))

for path in sorted(Path("bombs").iterdir()):
    target, data = path.name.rpartition("-")[0], path.read_bytes()
    tried(target, seeds_of(target)[0])
    open("/proc/self/clear_refs", "w").write("5")
    before, started = of("VmRSS"), time.monotonic()
    outcome = tried(target, data)
    print(json.dumps([path.name, outcome, of("VmHWM") - before, time.monotonic() - started]))
"""


def framed(name, data):
    return len(data).to_bytes(8, "little") + data if name == "header" else data


@pytest.fixture(scope="module")
def exploded(tmp_path_factory):
    """What every bomb did to a process of its own kind: outcome, bytes and seconds."""
    folder = tmp_path_factory.mktemp("bombs")
    (folder / "bombs").mkdir()
    for name, bombs in BOMBS.items():
        for number, data in enumerate(bombs):
            (folder / "bombs" / f"{name}-{number}").write_bytes(framed(name, data))
    command = [sys.executable, "-c", MEASURED, str(Path(__file__).parent)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
    return {name: found for name, *found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux counts it")
@pytest.mark.parametrize(("name", "number"), [(name, n) for name, bombs in BOMBS.items() for n in range(len(bombs))])
def test_what_is_made_to_take_time_or_memory_takes_little(name, number, exploded):
    outcome, grown, seconds = exploded[f"{name}-{number}"]
    assert outcome in {"CorruptFile", "CardRefused", "UsageError", "ExpressionError", "accepted", "UnknownSet"}
    assert grown <= 10 * len(framed(name, BOMBS[name][number])) + (64 << 20), outcome
    assert seconds < 20, outcome
