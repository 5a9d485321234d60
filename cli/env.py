"""spin-hub env."""

from spin_hub.cli import options as o


def env(as_json: o.Json = False, quiet: o.Quiet = False) -> None:
    """Show versions, devices, and whether a Hub token is there (never the token).

    Examples:

        spin-hub env --json
    """
    from spin_hub.cli.console import Screen
    from spin_hub.workflows.env import env as run

    screen = Screen(as_json, quiet)
    found = run()
    screen.result(found, None, lambda: screen.facts("", found.items()))
