"""Errors of the system as sentences, those of Windows among them."""

import errno
import io
import os
import sys

import pytest

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


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "odd"), OSError("no code"), of_windows(87, errno.EINVAL)])
def test_others_keep_their_traceback(error):
    assert ending_of(error) is None


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
    assert (ending.kind if ending else None, replaced) == (("BrokenPipe", [77]) if broken else (None, []))
    assert of_a_file is None
