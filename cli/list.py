"""spin-hub list."""

from typing import Annotated

import typer

from spin_hub.cli import options as o


def list_(
    base: Annotated[str | None, typer.Option("--base", metavar="ORG/NAME", help="Only those of this model.")] = None,
    author: Annotated[str | None, typer.Option("--author", help="Only those of this account.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="The most that are listed.")] = 50,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """List deltas and edited models on the Hub, newest first.

    Examples:

        spin-hub list

        spin-hub list --base Qwen/Qwen2-7B-Instruct
    """
    from spin_hub.cli.console import Screen
    from spin_hub.workflows.listing import find

    screen = Screen(as_json, quiet)
    found = find(base, author, limit)

    def show() -> None:
        if not found:
            screen.line("There is none" + (f" of {base}." if base else "."))
            return
        rows = [
            (
                entry.repo_id + (" (private)" if entry.private else ""),
                entry.kind or "-",
                entry.base or "-",
                *("-" if ratio is None else f"{ratio:g}" for ratio in (entry.p, entry.q)),
                "-" if entry.weights is None else f"{entry.weights:,}",
                entry.updated or "-",
            )
            for entry in found
        ]
        screen.table(("repo", "kind", "base", "p", "q", "weights", "updated"), rows, left=3)

    data = {"base": base, "edits": [entry.to_json() for entry in found]}
    screen.result(data, "\n".join(entry.url for entry in found) or None, show)
