"""The options of every verb as keyword arguments, by the names of the command line's options.

A name that is a word of Python ends with an underscore, as ``as_``; ``--set`` is ``sets``. Options that may be repeated
take one value or several, those of the form NAME=VALUE a mapping.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from spin_hub.errors import UsageError


class Output(TypedDict, total=False):
    """The place of an output."""

    output: str | Path
    overwrite: bool


class Push(TypedDict, total=False):
    """The repo and the commit of a push; see :class:`spin_hub.PushOptions`."""

    repo_id: str
    private: bool
    create_pr: bool
    branch: str
    message: str
    tag: str
    yes: bool
    no_verify: bool


class Loading(TypedDict, total=False):
    """Device and precision of a model."""

    device: str
    dtype: str
    trust_remote_code: bool


class Scoring(Loading, total=False):
    """Calibration sets and how importance is measured; see :class:`spin_hub.ScoringRecipe`."""

    privacy: str
    fairness: str
    general: str
    sets: Mapping[str, str]
    samples: int
    seed: int
    target: str
    tokenization: str
    accumulate: str
    chat_template: bool
    template_date: str
    max_length: int
    strict_rows: bool
    engine: str
    score: str
    max_memory: str | int
    resumable: bool


class Selection(TypedDict, total=False):
    """The weights that are selected; see :class:`spin_hub.SelectionRecipe`."""

    p: float
    q: float
    ratio: Mapping[str, float]
    rule: str
    select: str
    part: str
    layers: str | int


class Limits(TypedDict, total=False):
    """The cost that an edit may have; see :class:`spin_hub.recipe.Limits`."""

    max_kl: float
    max_perplexity_ratio: float


class Edit(Scoring, Selection, Output, Limits, Push, total=False):
    """Options of ``edit`` and of its plan."""

    as_: str
    peft_type: str
    all_layers: bool
    no_eval: bool
    preset: str
    recipe: str | Path
    push: bool
    force: bool


class Score(Scoring, Output, total=False):
    """Options of ``score``."""

    keep: float


class Select(Selection, Output, total=False):
    """Options of ``select``."""

    base: str | Path
    seed: int


class Sweep(Scoring, Output, Limits, total=False):
    """Options of ``sweep``."""

    base: str | Path
    p: float | Sequence[float]
    q: float | Sequence[float]
    rule: str | Sequence[str]
    select: str
    part: str | Sequence[str]
    layers: str | int | Sequence[str | int]
    pick: str | int
    keep: float


class Apply(Output, Push, total=False):
    """Options of ``apply``."""

    force: bool
    plan: bool
    push: bool


class Export(Output, total=False):
    """Options of ``export``."""

    as_: str
    base: str | Path
    peft_type: str
    all_layers: bool
    measure: bool
    yes: bool
    trust_remote_code: bool


class PushFolder(Push, total=False):
    """Options of ``push``."""

    as_: str


class Evaluate(Loading, total=False):
    """Options of ``eval``."""

    delta: str | Path
    against: str | Path
    suite: str
    judge: str
    questions: Mapping[str, str]
    limit: int
    new_tokens: int
    chat_template: bool
    template_date: str
    backend: str
    answers: str | Path
    text: str
    window: int
    task: str | Sequence[str]
    task_dir: str | Path
    seed: int
    no_record: bool


def known(options: Mapping[str, object], keywords: type) -> dict[str, Any]:
    """Return the options of a verb, for its request.

    Raises:
        UsageError: one that the verb does not have.
    """
    names = keywords.__annotations__
    for name in options:
        if name not in names:
            raise UsageError(message=f"There is no option {name!r}; known: {', '.join(sorted(names))}.")
    return dict(options)
