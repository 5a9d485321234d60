"""spin-hub env."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from spin_hub.cli import options as o

if TYPE_CHECKING:
    from spin_hub.cli.console import Screen
    from spin_hub.doctor.findings import Finding, Report

_TITLES = {
    "software": "Software",
    "processor": "Processor",
    "gpu": "GPU",
    "memory": "Memory",
    "disk": "Disk",
    "hub": "Hub",
    "variables": "Settings of spin-hub",
}
_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def env(as_json: o.Json = False, quiet: o.Quiet = False) -> None:
    """Examine this machine: packages, processor, GPU, memory, disk, Hub, and what each finding means here.

    Each line is ok, a note (works, but may be slow or limited) or a problem. The token is never shown.

    Examples:

        spin-hub env

        spin-hub env --json
    """
    from spin_hub.cli.console import Screen
    from spin_hub.workflows.env import env as run

    screen = Screen(as_json, quiet)
    report = run()
    screen.result(report.to_json(), None, lambda: _show(screen, report))


def _show(screen: "Screen", report: "Report") -> None:
    """Print a table for each section, and the number of problems and notes last."""
    for section, findings in report.sections.items():
        _section(screen, _TITLES[section], findings)
    screen.line(f"{_counted(report.count('problem'), 'problem')}, {_counted(report.count('note'), 'note')}.")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _section(screen: "Screen", title: str, findings: Iterable["Finding"]) -> None:
    from rich.table import Table

    from spin_hub.cli.console import plain_text
    from spin_hub.cli.plain import one_line

    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, width=7)
    table.add_column(overflow="fold", width=20)
    table.add_column(overflow="fold")
    for finding in findings:
        value, note = one_line(finding.value), one_line(finding.note)
        text = plain_text(value, "bold").append(f"{_between(value, note)}{note}", style="not bold")
        table.add_row(plain_text(finding.state, _STYLES[finding.state]), plain_text(one_line(finding.name)), text)
    screen.out.print(plain_text(title, "bold"))
    screen.out.print(table)
    screen.line("")


def _between(value: str, note: str) -> str:
    """The separator of a value and its sentence: a short pair shares a line of 49 characters."""
    if not note:
        return ""
    return "  " if len(value) + 2 + len(note) <= 49 else "\n"
