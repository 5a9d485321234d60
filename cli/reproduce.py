"""spin-hub reproduce."""

from typing import TYPE_CHECKING, Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli.errors import end
from spin_hub.recipe import Device

if TYPE_CHECKING:
    from spin_hub.cli.console import Screen
    from spin_hub.workflows.reproduce import Reproduction

_MOST = 12
"""Tensors that the table shows."""


def reproduce(
    artefact: Annotated[str, typer.Argument(help="An edited model, a delta or an adapter: a folder, or a Hub id.")],
    base: Annotated[str | None, typer.Option(help="The base, where the record names a local folder.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=FILE", help="A calibration set that was a local file.")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="Another device than the recorded one.")] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Make a delta again from its record alone, and compare.

    Model, data, seed, precision and engine are those of the record. Exit code 3
    and a table say what differs, and which versions do. In float32 on a CPU
    the same versions give the same file; on other devices, and in bfloat16,
    sums may be rounded in another order, which moves a few weights.

    Examples:

        spin-hub reproduce org/name-spin-delta

        spin-hub reproduce my-model-spin --base ./my-model --set privacy=mine.csv
    """
    from spin_hub.cli.console import Screen
    from spin_hub.workflows.options import pairs

    screen, given = Screen(as_json, quiet), pairs(sets, "--set")
    from spin_hub.workflows.reproduce import reproduce as run

    found = run(artefact, base, given, device, screen.reporter)
    screen.result(found.to_json(), artefact, lambda: _show(screen, found))
    end(found)


def _show(screen: "Screen", found: "Reproduction") -> None:
    if found.tensors:
        worst = sorted(found.tensors.items(), key=lambda item: (-item[1].missing - item[1].extra, item[0]))
        rows = [(name, f"{entry.missing:,}", f"{entry.extra:,}") for name, entry in worst[:_MOST]]
        rows += [(f"{len(worst) - _MOST:,} that differ less", "", "")] if len(worst) > _MOST else []
        screen.table(("tensor", "only recorded", "only here"), rows, left=1)
        screen.line("")
    same = "the same file, byte by byte" if found.file_equal else "another file: it names other versions or values"
    facts = [
        ("recorded", f"{found.weights:,} weights"),
        ("here", f"{found.shared:,} of them, and {found.extra:,} others" if found.tensors else "the same weights"),
        ("delta file", same),
    ]
    facts += [(f"version of {name}", f"{there} there, {here} here") for name, (there, here) in found.versions.items()]
    screen.facts("", facts)
