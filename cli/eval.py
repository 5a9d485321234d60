"""spin-hub eval."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from spin_hub.cli import options as o

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


class EvalCommand(TyperCommand):
    """The command eval, whose metrics come from their table."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; the table is read when those of this command are needed, not at the start."""
        params: list[Any] = super().get_params(ctx)
        for suite in (param for param in params if param.name == "suite"):
            suite.help = _suite_help()
        return params


def _suite_help() -> str:
    from spin_hub.metrics.base import suites, usable

    metrics = "; ".join(f"{name}: {metric.help}" for name, metric in usable().items())
    return f"Suites ({', '.join(suites())}) or metrics, with commas between several. {metrics}."


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
        int | None, typer.Option(help="At most so many questions of a set, windows, documents of a task.")
    ] = None,
    new_tokens: Annotated[int, typer.Option(help="The most tokens of an answer.", rich_help_panel=_ASK)] = 64,
    chat_template: Annotated[
        bool, typer.Option("--chat-template", help="Ask with the chat template.", rich_help_panel=_ASK)
    ] = False,
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
    from spin_hub.cli.console import Screen
    from spin_hub.cli.show_evidence import show_details, show_evidence
    from spin_hub.metrics.request import TASKS, WIKITEXT, EvalRequest
    from spin_hub.workflows.evaluate import evaluate

    screen = Screen(as_json, quiet)
    request = EvalRequest(
        model=model,
        delta=delta,
        against=against,
        suite=suite,
        judge=judge,
        questions=o.pairs(questions, "--questions"),
        limit=limit,
        new_tokens=new_tokens,
        window=window,
        task_dir=task_dir,
        chat_template=chat_template,
        seed=seed,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        record=not no_record,
        answers=answers,
        backend=backend,
        text=text or WIKITEXT,
        tasks=tuple(task or TASKS),
    )
    outcome = evaluate(request, screen.reporter)

    def show() -> None:
        show_evidence(screen, outcome.evaluation)
        show_details(screen, outcome.evaluation)
        if outcome.folder:
            screen.line(f"\nWritten into the record and the card of {outcome.folder}.")

    screen.result(outcome.to_json(), outcome.folder, show)
