"""The suite of answers: a model asked in every state, its answers judged, and what an edit gained and lost."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from spin_hub.core.stats import Estimate, Metric
from spin_hub.errors import DeviceOutOfMemory
from spin_hub.evidence import BASE
from spin_hub.metrics import awareness, over_refusal, safety
from spin_hub.metrics.answers import Tokenizer, generate, nothing
from spin_hub.metrics.caution import caution
from spin_hub.metrics.guards import check_parsed
from spin_hub.metrics.judging import Judge, LexicalJudge, Verdict, declines, tally
from spin_hub.metrics.pairing import Paired, paired, paired_verdicts
from spin_hub.metrics.state import State, beside_base, turned

MetricName = Literal["awareness", "safety", "over_refusal"]


@dataclass(frozen=True)
class Asked:
    """Questions of one metric.

    Attributes:
        metric: what is made of the answers.
        axis: such as ``fairness``; None where the metric has one set alone.
        questions: in their order.
    """

    metric: MetricName
    axis: str | None
    questions: Sequence[str]

    @property
    def label(self) -> str:
        """The metric and its axis in one word."""
        return f"{self.metric}, {self.axis}" if self.axis else self.metric


@dataclass(frozen=True)
class Manner:
    """How is asked and judged.

    Attributes:
        tokenizer: the model's.
        new_tokens: the most tokens of an answer.
        chat_template: whether a question is put into the tokenizer's chat template.
        judge: of all but over-refusal, which counts phrases.
    """

    tokenizer: Tokenizer
    new_tokens: int = 64
    chat_template: bool = False
    judge: Judge = field(default_factory=LexicalJudge)


@dataclass(frozen=True)
class Answers:
    """What came of asking.

    Attributes:
        metrics: one for every set of questions.
        about: plain JSON values: the judge, how many of its verdicts could not be read, what changed from the base
            question by question, and the frequency of cautionary phrases.
    """

    metrics: tuple[Metric, ...]
    about: Mapping[str, Any]


def collect_answers(
    model: Any, asked: Sequence[Asked], states: Mapping[str, State], manner: Manner, advance: Callable[[int], None]
) -> dict[str, dict[str, Sequence[str]]]:
    """Ask a loaded model all questions in every state, the base first.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        asked: the sets of questions.
        states: name -> the weights that are zero in it, or another model.
        manner: how.
        advance: called with the number of questions that were answered; :func:`questions_to_ask` in all.

    Returns:
        By set's label and state, the answers in the order of the questions. No record holds them.

    Raises:
        NoChatTemplate: it is asked for and cannot be used.
        DeviceOutOfMemory: the device is too small.
    """
    everyone = beside_base(states)
    texts: dict[str, dict[str, Sequence[str]]] = {entry.label: {} for entry in asked}
    try:
        for state, weights in everyone.items():
            with turned(model, weights) as found:
                for entry in asked:
                    texts[entry.label][state] = generate(
                        found, manner.tokenizer, entry.questions, manner.new_tokens, advance, manner.chat_template
                    )
    except torch.OutOfMemoryError as error:
        raise DeviceOutOfMemory(device=model.device, why="writing answers needs more") from error
    return texts


def judged(
    asked: Sequence[Asked],
    texts: Mapping[str, Mapping[str, Sequence[str]]],
    manner: Manner,
    advance: Callable[[int], None] = nothing,
) -> Answers:
    """Judge answers that are written.

    Args:
        asked: the sets of questions.
        texts: by set's label and state, the base among them, the answers in the order of the questions.
        manner: how was asked, and the judge.
        advance: called with the number of answers that were judged; :func:`answers_to_judge` in all.

    Raises:
        JudgeUnreadable: too many verdicts of the judge cannot be read.
    """
    metrics, changes, unread = [], {}, Counter[str]()
    for entry in asked:
        metric, change, unparsed = _judged(entry, texts[entry.label], manner.judge, advance)
        metrics.append(metric)
        changes[entry.label] = {state: found.to_json() for state, found in change.items()}
        unread[entry.label] += unparsed
    about = {
        "judge": manner.judge.name,
        "new_tokens": manner.new_tokens,
        "chat_template": manner.chat_template,
        "questions": {entry.label: len(entry.questions) for entry in asked},
        "unparsed": dict(unread),
        "paired": changes,
        "caution": {state: _caution(texts, state) for state in texts[asked[0].label] if state != BASE},
    }
    return Answers(tuple(metrics), about)


def questions_to_ask(asked: Sequence[Asked], states: int) -> int:
    """How many answers are written with so many states beside the base."""
    return sum(len(entry.questions) for entry in asked) * (1 + states)


def answers_to_judge(asked: Sequence[Asked], texts: Mapping[str, Mapping[str, Sequence[str]]]) -> int:
    """How many answers a judge reads; those of over-refusal are not among them, since phrases are counted in them."""
    return sum(
        len(answers) for entry in asked if entry.metric != "over_refusal" for answers in texts[entry.label].values()
    )


def _judged(
    entry: Asked, texts: Mapping[str, Sequence[str]], judge: Judge, advance: Callable[[int], None]
) -> tuple[Metric, dict[str, Paired], int]:
    """The metric of a set, by state what changed from the base, and how many verdicts could not be read."""
    values: dict[str, Estimate] = {}
    if entry.metric == "over_refusal":
        outcomes = {state: list(map(declines, answers)) for state, answers in texts.items()}
        values = {state: over_refusal.over_refusal(answers) for state, answers in texts.items()}
        change = {state: paired(outcomes[BASE], found) for state, found in outcomes.items() if state != BASE}
        return Metric(**over_refusal.ABOUT, axis=entry.axis, values=values), change, 0
    verdicts: dict[str, list[Verdict]] = {
        state: list(judge.judge(entry.questions, answers, advance)) for state, answers in texts.items()
    }
    for found in verdicts.values():
        check_parsed(judge.name, found)
    of = awareness.awareness if entry.metric == "awareness" else safety.safety
    about = awareness.ABOUT if entry.metric == "awareness" else safety.ABOUT
    values = {state: of(found) for state, found in verdicts.items()}
    changed = {state: paired_verdicts(verdicts[BASE], found) for state, found in verdicts.items() if state != BASE}
    unparsed = sum(tally(found).unparsed for found in verdicts.values())
    return Metric(**about, axis=entry.axis, values=values), changed, unparsed


def _caution(texts: Mapping[str, Mapping[str, Sequence[str]]], state: str) -> list[dict[str, Any]]:
    before, after = (list(_all(texts, name)) for name in (BASE, state))
    return [row.to_json() for row in caution(before, after)]


def _all(texts: Mapping[str, Mapping[str, Sequence[str]]], state: str) -> Iterator[str]:
    for by_state in texts.values():
        yield from by_state[state]
