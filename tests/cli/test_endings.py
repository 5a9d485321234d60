"""Failures as sentences: of the system, of other libraries, and bugs."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from spin_hub.cli import errors as endings
from spin_hub.cli.errors import ending_of


class OnWindows(OSError):
    """As Windows raises it, with a code of its own."""

    winerror = 0


def of_windows(code: int, number: int) -> OSError:
    error = OnWindows(number, "as Windows says it", "model.safetensors")
    error.winerror = code
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "full", "out"), "No space is left on the disk: out."),
        (PermissionError(errno.EACCES, "closed", "out"), "Permission is denied: out."),
        (of_windows(32, errno.EACCES), "Another program has the file open: model.safetensors."),
        (of_windows(1224, errno.EINVAL), "Another program has the file open: model.safetensors."),
        (of_windows(206, errno.ENOENT), "A file's name is too long: model.safetensors."),
        (of_windows(5, errno.EACCES), "Permission is denied: model.safetensors."),
    ],
)
def test_errors_of_the_system_are_sentences(error, sentence):
    ending = ending_of(error)
    assert (ending.message, ending.code) == (sentence, 1)
    assert ending.hint


class ConnectError(Exception):
    """As the Hub's client raises it."""

    __module__ = "httpx"


def raised(error, module="spin_hub.somewhere"):
    """The error as if a module had raised it."""
    with pytest.raises(type(error)) as caught:
        exec("raise error", {"__name__": module, "error": error})
    return caught.value


@pytest.mark.parametrize("number", [*endings._SYSTEM])
def test_each_known_failure_of_the_system_has_a_sentence_and_a_way_on(number):
    ending = ending_of(raised(OSError(number, "as the system says it", "a/file")))
    assert ending.message.endswith(": a/file.") and ending.hint and ending.code == 1


@pytest.mark.parametrize(
    ("error", "module", "kind", "said"),
    [
        (ConnectError("no route"), "spin_hub.hub.store", "LibraryFailed", "The Hub could not be used: no route."),
        (ValueError("bad row"), "datasets.builder", "LibraryFailed", "The data could not be read: bad row."),
        (KeyError("layer"), "transformers.modeling", "LibraryFailed", "The model could not be loaded or run: 'layer'."),
        (Exception("no merges"), "spin_hub.data.examples", "LibraryFailed", "The tokenizer failed: no merges."),
        (SafetensorError("cut off"), "spin_hub.models.load", "LibraryFailed", "A safetensors file could not be read"),
        (OSError("no config.json"), "transformers.hub", "LibraryFailed", "could not be loaded or run: no config.json."),
        (torch.OutOfMemoryError("CUDA out of memory"), "torch.nn", "DeviceOutOfMemory", "memory does not suffice"),
        (MemoryError(), "numpy", "OutOfMemory", "The memory does not suffice."),
        (RuntimeError("can't allocate memory: you tried 9 bytes"), "torch.nn", "OutOfMemory", "does not suffice"),
    ],
)
def test_no_class_of_another_library_is_shown(error, module, kind, said):
    ending = ending_of(raised(error, module))
    assert (ending.kind, ending.code) == (kind, 1)
    assert said in ending.message and ending.hint
    assert type(error).__name__ not in ending.message + ending.hint


def test_a_failure_of_the_system_is_found_behind_a_librarys():
    error = RuntimeError("unexpected pos 64 vs 0")
    error.__context__ = OSError(errno.ENOSPC, "full", "passes/inputs.pt")
    assert ending_of(raised(error, "torch.serialization")).message.startswith("No space is left on the disk: passes")


@pytest.mark.parametrize(
    ("cause", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=["interrupted", "terminated"]
)
def test_an_interruption_is_found_behind_what_a_library_raised_on_its_way_out(cause, code):
    error = RuntimeError("unexpected pos 64 vs 0")
    error.__context__ = cause
    for found in (cause, raised(error, "torch.serialization")):
        ending = ending_of(found)
        assert ending.code == code and "the same command goes on" in ending.hint


@pytest.mark.parametrize("error", [KeyError("x"), OSError("no code"), OSError(errno.EINVAL, "odd"), AssertionError()])
def test_a_bug_is_one_line_with_the_place_of_a_report(monkeypatch, cli, error):
    def fails():
        raise raised(error, "spin_hub.workflows.env")

    monkeypatch.setattr("spin_hub.workflows.env.env", fails)
    code, out, err = cli("env")
    assert (code, out, err.count("\n")) == (70, "", 1)
    assert "This is a bug of spin-hub" in err and "issues of spin-hub's repository" in err
    assert f"({type(error).__name__} at spin_hub.workflows.env:1: " in err
    code, out, err = cli("env", "--json")
    assert (code, err, json.loads(out)["error"]["type"]) == (70, "", "InternalError")


@pytest.mark.parametrize("way", ["before", "after", "variable"])
def test_debug_prints_the_traceback_too(monkeypatch, cli, way):
    monkeypatch.setattr("spin_hub.workflows.env.env", lambda: 1 / 0)
    words = {"before": ("--debug", "env", "--json"), "after": ("env", "--json", "--debug")}.get(way, ("env", "--json"))
    if way == "variable":
        monkeypatch.setenv("SPIN_HUB_DEBUG", "1")
    code, out, err = cli(*words)
    assert code == 70
    assert json.loads(out)["error"]["type"] == "InternalError"
    assert err.startswith("Traceback") and "1 / 0" in err


@pytest.mark.moderate
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("words", [("--version",), ("env", "--json"), ("inspect", "nowhere", "--json")])
def test_an_output_that_cannot_be_written_is_a_sentence(words):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "spin_hub.cli.app", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 2)
    assert done.stderr.startswith("Error: ") and "Traceback" not in done.stderr


@pytest.mark.moderate
@pytest.mark.skipif(os.name == "nt", reason="the shell is another one")
@pytest.mark.parametrize(("words", "code"), [("--version", 0), ("inspect nowhere", 1), ("inspect nowhere --json", 1)])
def test_streams_may_be_closed(words, code):
    assert subprocess.run(f"{sys.executable} -m spin_hub.cli.app {words} >&- 2>&-", shell=True).returncode == code


def test_a_long_name_is_cut():
    message = ending_of(OSError(errno.ENAMETOOLONG, "long", "x" * 5000)).message
    assert message == f"A file's name is too long: {'x' * 200}...."


def test_a_wrong_command_line_has_no_traceback(cli):
    assert "Traceback" not in cli("--debug", "edit")[2]


class Closed(io.StringIO):
    """A standard output whose reader is gone."""

    def flush(self):
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize("broken", [True, False])
def test_windows_reports_a_reader_that_is_gone_as_an_invalid_argument(monkeypatch, broken, tmp_path):
    replaced = []
    out = Closed() if broken else io.StringIO()
    out.fileno = lambda: 77
    # For the moment alone: the test runner uses these too.
    with monkeypatch.context() as patched:
        patched.setattr(endings, "_ON_WINDOWS", True)
        patched.setattr(os, "dup2", lambda source, target: (os.close(source), replaced.append(target)))
        patched.setattr(sys, "stdout", out)
        ending = ending_of(OSError(errno.EINVAL, "Invalid argument"))
        of_a_file = ending_of(OSError(errno.EINVAL, "Invalid argument", "a file"))
    assert (ending.kind, replaced) == (("BrokenPipe", [77]) if broken else ("InternalError", []))
    assert of_a_file.kind == "InternalError"


class Interrupting(io.RawIOBase):
    """A file in whose writing a signal arrives."""

    def writable(self):
        return True

    def write(self, data):
        raise SystemExit(143)


def test_a_signal_within_a_checkpoint_is_an_interruption_and_the_run_goes_on(monkeypatch, cli, tiny):
    command = ("score", tiny, "--samples", "2", "--keep", "1e-1", "--resumable", "-o", "ranking", "--json")
    save, calls = torch.save, []

    def interrupted(tensors, file):
        calls.append(1)
        # The first layers' inputs are kept; the zip writer of PyTorch turns what comes then into an error of its own.
        save(tensors, Interrupting() if len(calls) == 6 else file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", interrupted)
        code, out, err = cli(*command)
    error = json.loads(out)["error"]
    assert (code, error["type"]) == (143, "Terminated") and "Traceback" not in err
    assert "the same command goes on" in error["hint"]
    assert not Path("ranking").exists() and Path("ranking.partial").is_dir()
    assert cli(*command)[0] == 0
