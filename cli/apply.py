"""spin-hub apply."""

from typing import Annotated

import typer

from spin_hub.cli import options as o
from spin_hub.cli.errors import end
from spin_hub.units import human_bytes


def apply(
    delta: Annotated[str, typer.Argument(help="A delta or an edited model: a file, a folder, or a Hub id.")],
    model: o.Model,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    force: Annotated[bool, typer.Option("--force", help="Go past a refusal that says so.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say how well it fits, and stop.")] = False,
    push: o.Push = False,
    repo_id: o.RepoId = None,
    private: o.Private = None,
    create_pr: o.CreatePr = False,
    branch: o.Branch = None,
    message: o.Message = None,
    tag: o.Tag = None,
    yes: o.Yes = False,
    no_verify: o.NoVerify = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write a copy of a model with a delta's weights set to zero.

    The model is the delta's base or a variant of it, such as a fine-tune; how
    well the delta fits is said before anything is written.

    Examples:

        spin-hub apply my-delta ./my-model -o my-model-spin

        spin-hub apply org/name-spin-delta ./my-fine-tune --plan

        spin-hub apply org/name-spin-delta me/my-fine-tune --push
    """
    options = dict(locals())

    from spin_hub.cli.console import Screen
    from spin_hub.cli.show import show_edit, show_fit
    from spin_hub.workflows.options import destination
    from spin_hub.workflows.requests import pushed

    pushing = pushed(options)
    from spin_hub.workflows.apply import ApplyOptions
    from spin_hub.workflows.apply import apply as run

    screen = Screen(as_json, quiet)
    outcome = run(delta, model, destination(options), ApplyOptions(force, plan, pushing), screen.reporter)

    def show() -> None:
        fit = outcome.fit
        if fit is not None and (plan or (outcome.output and fit["equal"] < fit["weights"])):
            show_fit(screen, fit)
        if outcome.planned:
            repo_id, visibility, upload = outcome.planned
            screen.facts("", [("uploads", f"to {repo_id} ({visibility}), at most {human_bytes(upload)}")])
        show_edit(screen, outcome)

    screen.result(outcome.to_json(), outcome.place, show)
    screen.warn(outcome.warnings)
    end(outcome.verification)
