"""What is asked of ``eval``, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from spin_hub.data.texts import WIKITEXT as WIKITEXT
from spin_hub.errors import UsageError
from spin_hub.metrics.capability import TASKS as TASKS
from spin_hub.metrics.judge import LEXICAL, guard_of
from spin_hub.metrics.registry import QUESTIONS
from spin_hub.recipe import Device, DType

PAPER: Final = "paper"
ANSWERS: Final = ("awareness", "over_refusal", "safety")
"""The metrics of answers that are written and judged."""

SUITES: Final[Mapping[str, tuple[str, ...]]] = {
    "quick": ("likelihood",),
    "answers": ANSWERS,
    "full": ("likelihood", *ANSWERS, "coupling"),
    PAPER: ("awareness", "wikitext", "coupling", "capability"),
}
"""Names for several metrics; ``likelihood`` is KL, perplexity, preference and gain."""
Backend: TypeAlias = Literal["transformers", "vllm"]
_PAPER_QUESTIONS: Final = {"fairness": "salad:fairness", "privacy": "salad:privacy"}


@dataclass(frozen=True)
class EvalRequest:
    """What is measured.

    Attributes:
        model: a folder or Hub id: a base, or an edited model, whose base is then restored in memory.
        delta: an edit of it; None takes the model's own, where it has one.
        against: a base to load beside the model; None restores the base in memory.
        suite: ``quick``, ``answers``, ``full``, ``paper``, or names of metrics with commas between them.
        judge: ``lexical``, or a guard's profile, which may name its model: ``qwen3guard=org/name``; None is
            ``md-judge`` for the suite ``paper``, else ``lexical``.
        questions: set -> SPEC, in place of a built-in set of questions.
        text: SPEC of running text for ``wikitext``.
        window: the most tokens of a window of it; None is what the model and the memory hold.
        tasks: of lm-eval, for ``capability``.
        task_dir: a folder with task files of one's own.
        limit: the most questions of a set, windows, and documents of a task; None takes all.
        new_tokens: the most tokens of an answer.
        seed: of the random control.
        backend: what writes answers; ``vllm`` loads every state from a folder, and measures answers alone.
        record: whether a local edited model or delta gets the results into its record and card.
        answers: a file for the answers themselves, one JSON object a line; None keeps none.
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
    seed: int = 0
    device: Device = "auto"
    dtype: DType = "auto"
    trust_remote_code: bool = False
    backend: Backend = "transformers"
    record: bool = True
    answers: Path | None = None

    def __post_init__(self) -> None:
        known = {name for names in SUITES.values() for name in names}
        unknown = [name for name in self.metrics if name not in known]
        if unknown:
            names = ", ".join((*SUITES, *sorted(known)))
            raise UsageError(message=f"--suite takes {names}, with commas between several, not {unknown[0]!r}.")
        guard_of(self.judged_by)
        if self.new_tokens < 1 or (self.limit is not None and self.limit < 1):
            raise UsageError(message="--new-tokens and --limit must be at least 1.")
        if self.window is not None and self.window < 2:
            raise UsageError(message="--window must be at least 2.")
        if self.backend == "vllm" and not set(self.metrics) <= set(ANSWERS):
            raise UsageError(message=f"--backend vllm measures {', '.join(ANSWERS)} alone.")
        sets = [name for _, _, name in QUESTIONS]
        wrong = [name for name in self.questions if name not in sets]
        if wrong:
            raise UsageError(message=f"--questions takes {', '.join(sets)}, not {wrong[0]!r}.")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the suite stands for."""
        return SUITES.get(self.suite, tuple(self.suite.split(",")))

    @property
    def judged_by(self) -> str:
        """The judge that is named, or the suite's."""
        return self.judge or ("md-judge" if self.suite == PAPER else LEXICAL)

    @property
    def sets(self) -> Mapping[str, str]:
        """The questions that are named, before those of the suite."""
        return {**(_PAPER_QUESTIONS if self.suite == PAPER else {}), **self.questions}
