"""The options of ``eval``, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from spin_hub.data.texts import WIKITEXT as WIKITEXT
from spin_hub.errors import UsageError
from spin_hub.evidence import METRICS
from spin_hub.metrics.base import suites, usable
from spin_hub.metrics.capability import TASKS as TASKS
from spin_hub.metrics.judging import LEXICAL, guard_of
from spin_hub.recipe import Device, DType, check_date

PAPER: Final = "paper"
Backend: TypeAlias = Literal["transformers", "vllm"]
_PAPER_QUESTIONS: Final = {"fairness": "salad:fairness", "privacy": "salad:privacy"}


@dataclass(frozen=True)
class EvalRequest:
    """A requested measurement.

    Attributes:
        model: a folder or Hub id: a base, or an edited model, whose base is then restored in memory.
        delta: an edit of it; None takes the model's own, if it has one.
        against: a base to load beside the model; None restores the base in memory.
        suite: names of suites (``quick``, ``answers``, ``full``, ``paper``, ``likelihood``) and of metrics, with commas
            between them.
        judge: ``lexical``, or a guard's profile, which may name its model: ``qwen3guard=org/name``; None is
            ``md-judge`` for the suite ``paper``, else ``lexical``.
        questions: set -> SPEC, in place of a built-in set of questions.
        text: SPEC of running text for ``wikitext``.
        window: the most tokens of a window of it; None takes what the model and the memory hold.
        tasks: of lm-eval, for ``capability``.
        task_dir: a folder with the user's own task files.
        limit: the most questions of a set, windows, and documents of a task; None takes all.
        new_tokens: the most tokens of an answer.
        chat_template: True to ask in the tokenizer's chat template.
        template_date: day for which that is rendered, if it reads the date; None takes today.
        seed: of the random control.
        backend: the writer of answers; ``vllm`` loads every state from a folder, and measures answers alone.
        record: True to write the results into the record and card of a local edited model or delta.
        answers: a file for the answers themselves, one JSON object a line, or None.
    """

    model: str
    delta: str | None = None
    against: str | None = None
    suite: str = "quick"
    judge: str | None = None
    questions: Mapping[str, str] = field(default_factory=dict)
    text: str = WIKITEXT
    window: int | None = None
    tasks: tuple[str, ...] = TASKS
    task_dir: Path | None = None
    limit: int | None = None
    new_tokens: int = 64
    chat_template: bool = False
    template_date: str | None = None
    seed: int = 0
    device: Device = "auto"
    dtype: DType = "auto"
    trust_remote_code: bool = False
    backend: Backend = "transformers"
    record: bool = True
    answers: Path | None = None

    def __post_init__(self) -> None:
        known = suites()
        unknown = [name for name in self.suite.split(",") if name not in known and name not in METRICS]
        if unknown:
            names = ", ".join((*known, *METRICS))
            raise UsageError(message=f"--suite takes {names}, with commas between several, not {unknown[0]!r}.")
        guard_of(self.judged_by)
        if self.new_tokens < 1 or (self.limit is not None and self.limit < 1):
            raise UsageError(message="--new-tokens and --limit must be at least 1.")
        check_date(self.template_date, self.chat_template)
        if self.window is not None and self.window < 2:
            raise UsageError(message="--window must be at least 2.")
        if self.backend == "vllm" and any(METRICS[name].needs != "answers" for name in self.metrics):
            answers = [name for name, metric in usable().items() if metric.needs == "answers"]
            raise UsageError(message=f"--backend vllm measures {', '.join(answers)} alone.")
        sets = list(dict.fromkeys(entry.name for metric in usable().values() for entry in metric.sets))
        wrong = [name for name in self.questions if name not in sets]
        if wrong:
            raise UsageError(message=f"--questions takes {', '.join(sets)}, not {wrong[0]!r}.")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The named metrics, by themselves or by a suite, in the order in which they are measured."""
        known = suites()
        wanted = {metric for name in self.suite.split(",") for metric in known.get(name, (name,))}
        return tuple(name for name in METRICS if name in wanted)

    @property
    def judged_by(self) -> str:
        """The named judge, or that of the suite."""
        return self.judge or ("md-judge" if self.suite == PAPER else LEXICAL)

    @property
    def sets(self) -> Mapping[str, str]:
        """The sources of questions, those of the user before those of the suite."""
        return {**(_PAPER_QUESTIONS if self.suite == PAPER else {}), **self.questions}
