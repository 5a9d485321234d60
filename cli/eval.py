"""spin-hub eval."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from spin_hub.cli import options as o

if TYPE_CHECKING:
    from spin_hub.cli.console import Screen

_ASK = "Questions"
_READ = "Texts and tasks"

Judge = Annotated[
    str | None,
    typer.Option(
        metavar="lexical|PROFILE[=MODEL]",
        help="lexical (counts phrases, the default), md-judge (the paper's), qwen3guard, llama-guard, "
        "granite-guardian, shieldgemma.",
        rich_help_panel=_ASK,
    ),
]
Questions = Annotated[
    list[str] | None,
    typer.Option(
        "--questions", metavar="SET=SPEC", help="A file's questions for a set, or salad:NAME.", rich_help_panel=_ASK
    ),
]


def eval_(
    model: o.Model,
    delta: Annotated[str | None, typer.Option(help="An edit of the model: a file, folder or Hub id.")] = None,
    against: Annotated[
        str | None, typer.Option(metavar="BASE", help="Load this base too, in place of restoring it in memory.")
    ] = None,
    suite: Annotated[
        str,
        typer.Option(metavar="NAME[,NAME...]"),
    ] = "quick",
    judge: Judge = None,
    questions: Questions = None,
    limit: Annotated[
        int | None, typer.Option(help="The most questions of a set, windows, documents of a task.")
    ] = None,
    new_tokens: Annotated[int, typer.Option(help="The most tokens of an answer.", rich_help_panel=_ASK)] = 64,
    chat_template: Annotated[
        bool, typer.Option("--chat-template", help="Ask with the chat template.", rich_help_panel=_ASK)
    ] = False,
    template_date: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="Day for a chat template that reads the date.", rich_help_panel=_ASK),
    ] = None,
    backend: Annotated[
        Literal["transformers", "vllm"], typer.Option(help="What writes the answers.", rich_help_panel=_ASK)
    ] = "transformers",
    answers: Annotated[
        Path | None, typer.Option(help="Write the answers to this JSONL file.", rich_help_panel=_ASK)
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Text for wikitext; default WikiText-2.", rich_help_panel=_READ)
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="The most tokens of a window of it.", rich_help_panel=_READ)
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="A task of lm-eval, for capability; repeatable.", rich_help_panel=_READ),
    ] = None,
    task_dir: Annotated[
        Path | None, typer.Option(help="A folder with task files of your own.", rich_help_panel=_READ)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random control.")] = 0,
    device: o.DeviceOption = "auto",
    dtype: o.DTypeOption = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    no_record: Annotated[
        bool, typer.Option("--no-record", help="Leave the edit's record and card as they are.")
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    help_all: o.HelpAll = False,
) -> None:
    """Measure a model before and after an edit, beside a random control.

    quick reads: KL, perplexity, which answers are likelier. answers asks
    questions and judges what the model writes. full is both, and how far
    fairness and privacy are coupled. paper has the paper's questions, judge and
    text, and tasks of lm-eval (the extra eval). The results go
    into the record and the card of a local edited model or delta.

    Examples:

        spin-hub eval my-model-spin

        spin-hub eval ./my-model --delta org/name-spin-delta --suite full

        spin-hub eval my-model-spin --suite awareness --judge qwen3guard --limit 50

        spin-hub eval my-model-spin --against ./my-model --suite wikitext --window 2048

        spin-hub eval my-model-spin --suite capability --task hellaswag --task boolq
    """
    options = dict(locals())

    from spin_hub.cli.console import Screen
    from spin_hub.workflows.requests import eval_request

    screen, request = Screen(as_json, quiet), eval_request(model, options)
    from spin_hub.workflows.evaluate import evaluate

    outcome = evaluate(request, screen.reporter)

    def show() -> None:
        show_evidence(screen, outcome.evaluation)
        _show_details(screen, outcome.evaluation)
        if outcome.folder:
            screen.line(f"\nWritten into the record and the card of {outcome.folder}.")

    screen.result(outcome.to_json(), outcome.folder, show)


def show_evidence(screen: "Screen", evaluation: Mapping[str, Any]) -> None:
    """Show the measurements before, after and for the control, with 95 % intervals."""
    states = evaluation["states"]
    rows = []
    for metric in evaluation["metrics"]:
        name = f"{metric['axis']} {metric['name']}" if metric["axis"] else metric["name"]
        values = [metric["values"].get(state) for state in states]
        rows.append((name, *(f"{entry['value']:.4g}" if entry else "-" for entry in values)))
        rows.append(("95 % interval", *(_interval(entry) for entry in values)))
    screen.table(("measured", *states), rows)


def _show_details(screen: "Screen", evaluation: Mapping[str, Any]) -> None:
    """Show the changes answer by answer, and how the metrics were measured."""
    from spin_hub.evidence import reports

    found = list(reports(evaluation))
    changes = [row for report in found for row in _changes(report.changes)]
    if changes:
        screen.line("")
        screen.table(("answers", "against the base", "gained", "lost", "both", "neither", "p"), changes, left=2)
    for grid in (grid for report in found for grid in report.grids):
        screen.line("")
        screen.table(grid.header, grid.rows, left=grid.left)
    against = evaluation["about"].get("against")
    facts = [("base", against)] if against else []
    facts += [fact for report in found for fact in report.facts]
    if facts:
        screen.line("")
        screen.facts("", facts)


def _changes(paired: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for label, states in paired.items():
        for state, change in states.items():
            counts = (str(change[name]) for name in ("gained", "lost", "both", "neither"))
            yield (label, state, *counts, f"{change['p_value']:.2g}")


def _interval(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["low"] is None:
        return ""
    return f"{entry['low']:.3g} - {entry['high']:.3g}"
