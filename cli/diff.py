"""spin-hub diff."""

from spin_hub.cli import options as o


def diff(
    a: o.FirstDelta,
    b: o.SecondDelta,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Show how far two deltas of one base overlap.

    Examples:

        spin-hub diff my-delta other-delta

        spin-hub diff my-model-spin org/name-spin-delta --json
    """
    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_overlap
    from spin_hub.workflows.diff import diff as run

    screen = Screen(as_json, quiet)
    found = run(a, b, screen.reporter)
    data = found.to_json()
    screen.result(data, None, lambda: show_overlap(screen, data))
