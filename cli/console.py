"""Output of the command line: data to stdout, notes and progress to stderr."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spin_hub.cli.plain import plain, plain_json
from spin_hub.cli.progress import Shown, Stderr
from spin_hub.progress import SILENT, Reporter


def plain_text(text: str, style: str = "") -> Text:
    """Untrusted text for rich, without markup."""
    return Text(plain(text), style=style)


class Screen:
    """One command's output, in the form that was asked for.

    Args:
        as_json: exactly one JSON object on stdout.
        quiet: only paths on stdout, only errors on stderr.
    """

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.out = Console(soft_wrap=False, highlight=False)
        self.err = Stderr()

    @property
    def reporter(self) -> Reporter:
        """The reporter of a workflow's progress."""
        return SILENT if self.quiet else Shown(self.err)

    def result(self, data: Mapping[str, Any], path: object, show: Callable[[], None]) -> None:
        """Print a result once: as JSON, as its path, or by calling ``show``."""
        if self.as_json:
            sys.stdout.write(plain_json(data) + "\n")
        elif self.quiet:
            sys.stdout.write(f"{path}\n" if path is not None else "")
        else:
            show()

    def facts(self, title: str, facts: Iterable[tuple[str, str]]) -> None:
        """Print a small table of labels and texts."""
        table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, text in facts:
            table.add_row(plain_text(label), plain_text(text))
        if title:
            self.out.print(plain_text(title, "bold"))
        self.out.print(table)

    def table(self, header: Iterable[str], rows: Iterable[Iterable[str]], left: int = 0) -> None:
        """Print a table of figures, right-aligned but for the first ``left`` columns, which are texts."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for number, name in enumerate(header):
            table.add_column(plain_text(name), justify="left" if number < left else "right", overflow="fold")
        for row in rows:
            table.add_row(*map(plain_text, row))
        self.out.print(table)

    def warn(self, warnings: Iterable[str]) -> None:
        """Print sentences that must not be missed, last on stderr."""
        for warning in () if self.quiet else warnings:
            self.err.print(plain_text(f"\nWARNING: {warning}", "bold red"))

    def line(self, text: str) -> None:
        """Print a line on stdout."""
        self.out.print(plain_text(text))
