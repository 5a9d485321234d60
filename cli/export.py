"""spin-hub export."""

from typing import Annotated

import typer

from spin_hub.cli import options as o

_PANEL = "Adapter"


def export(
    delta: Annotated[str, typer.Argument(help="A delta or an edited model: a file, a folder, or a Hub id.")],
    as_: o.As,
    base: Annotated[
        str | None,
        typer.Option(help="The delta's base, where it is a folder or elsewhere than recorded.", rich_help_panel=_PANEL),
    ] = None,
    peft_type: o.PeftType = None,
    all_layers: o.AllLayers = False,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--measure/--no-measure",
            help="Compare the unmerged LoRA with the edit. Default: where the base is here.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Write a LoRA of a rank above 64.", rich_help_panel=_PANEL)
    ] = False,
    trust_remote_code: o.TrustRemoteCode = False,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write a delta as an adapter for its own base: for PEFT, or as a LoRA.

    An adapter adds to weights, so it is right for one base at one commit
    only; for other models use apply.

    Examples:

        spin-hub export my-delta --as peft --base ./my-model -o my-model-peft

        spin-hub export org/name-spin-delta --as lora --all-layers
    """
    options = dict(locals())

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_adapter
    from spin_hub.workflows.requests import export_request

    screen, request = Screen(as_json, quiet), export_request(delta, options)
    from spin_hub.workflows.export import export as run

    outcome = run(request, screen.reporter)
    screen.result(outcome.to_json(), outcome.output, lambda: show_adapter(screen, outcome))
    screen.warn(outcome.warnings)
