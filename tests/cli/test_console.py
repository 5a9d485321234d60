"""What the command line prints: JSON that a terminal cannot obey, notes that are lost without harm."""

import json
import sys

from spin_hub.cli.console import Screen
from spin_hub.cli.plain import plain_json
from spin_hub.progress import SILENT


def test_json_escapes_what_a_terminal_would_obey_and_keeps_its_value():
    value = {"a\x1b": "\x9b2J \u202e é \U0001f600 \ud800", "b": ["\x7f\n"]}
    text = plain_json(value)
    assert text.isprintable()
    assert json.loads(text) == value
    assert "é \U0001f600" in text


def test_a_result_is_printed_though_stderr_is_closed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    screen = Screen(as_json=False, quiet=False)
    screen.reporter.note("A note.")
    screen.warn(["A warning."])
    screen.result({}, "path", lambda: screen.line("The result."))
    assert capsys.readouterr().out == "The result.\n"


def test_a_quiet_screen_shows_no_progress():
    assert Screen(as_json=False, quiet=True).reporter is SILENT
