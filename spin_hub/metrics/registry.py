"""What ``eval`` can measure: each is made ready before a model is loaded, so that it is refused in time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import torch

from spin_hub.artifacts.atomic import new_file
from spin_hub.core.stats import Metric
from spin_hub.data.example import IGNORE, Example
from spin_hub.data.questions import read_questions
from spin_hub.data.texts import read_text
from spin_hub.errors import TextError, UsageError
from spin_hub.hub.datasets import resolve_dataset
from spin_hub.metrics.capability import Tasks, capability
from spin_hub.metrics.coupling import coupling, tokens_of
from spin_hub.metrics.held_out import Texts, read_states
from spin_hub.metrics.judge import load_judge
from spin_hub.metrics.questions import (
    Asked,
    Manner,
    MetricName,
    answers_to_judge,
    collect_answers,
    judged,
    questions_to_ask,
)
from spin_hub.metrics.state import State
from spin_hub.metrics.wikitext import wikitext, windows
from spin_hub.models.device import Placement, free_memory
from spin_hub.progress import Reporter
from spin_hub.recipe import Device

QUESTIONS: Final[tuple[tuple[MetricName, str | None, str], ...]] = (
    ("awareness", "fairness", "fairness"),
    ("awareness", "privacy", "privacy"),
    ("over_refusal", None, "lookalike"),
    ("safety", None, "safety"),
)
"""Metric, axis, and the set of questions that it asks."""
_PAIRS: Final = 3
_LOGITS: Final = 4
"""A window's logits, the base's and a state's, as they are and in float32, take at most a fourth of what is free."""


@dataclass(frozen=True)
class Measured:
    """Metrics, and what there is to say of how they were taken: plain JSON values."""

    metrics: tuple[Metric, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


class Measure(Protocol):
    """Something to measure of a loaded model, in every state."""

    def __call__(self, model: Any, states: Mapping[str, State], reporter: Reporter) -> Measured:
        """Measures; the model is left as it was, bit by bit."""
        ...


@dataclass(frozen=True)
class Likelihood:
    """KL, perplexity, preference and gain, on texts that are read."""

    texts: Texts

    def __call__(self, model: Any, states: Mapping[str, State], reporter: Reporter) -> Measured:
        """Reads the texts."""
        evidence = read_states(model, self.texts, states, reporter)
        return Measured(evidence.metrics, evidence.about)


@dataclass(frozen=True)
class Answers:
    """Awareness, over-refusal and safety, from answers that are written and judged."""

    asked: Sequence[Asked]
    manner: Manner
    judge: str
    device: Device
    path: Path | None

    def __call__(self, model: Any, states: Mapping[str, State], reporter: Reporter) -> Measured:
        """Asks and judges, and writes the answers where that is wanted."""
        # A judge that does not fit beside the model is told before anything is asked.
        manner = self._judging(reporter)
        with reporter.task("Asking", questions_to_ask(self.asked, len(states)), "answers") as advance:
            texts = collect_answers(model, self.asked, states, manner, advance)
        self._write(texts)
        return self._judged(texts, manner, reporter)

    def of(self, texts: Mapping[str, Mapping[str, Sequence[str]]], reporter: Reporter) -> Measured:
        """The same of answers that another program wrote, by set's label and state."""
        self._write(texts)
        # Only now is the device free for a judge.
        return self._judged(texts, self._judging(reporter), reporter)

    def _judging(self, reporter: Reporter) -> Manner:
        return replace(self.manner, judge=load_judge(self.judge, self.device, reporter))

    def _judged(self, texts: Mapping[str, Mapping[str, Sequence[str]]], manner: Manner, reporter: Reporter) -> Measured:
        with reporter.task("Judging", answers_to_judge(self.asked, texts), "answers") as advance:
            answers = judged(self.asked, texts, manner, advance)
        return Measured(answers.metrics, {"answers": answers.about})

    def _write(self, texts: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """One JSON object a line."""
        if self.path is None:
            return
        with new_file(self.path) as file, file.open("w", encoding="utf-8", newline="\n") as lines:
            for entry in self.asked:
                for state, answers in texts[entry.label].items():
                    for question, answer in zip(entry.questions, answers, strict=True):
                        row = {"set": entry.label, "state": state, "question": question, "answer": answer}
                        lines.write(json.dumps(row, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Coupled:
    """Normalised HSIC between representations of fairness and of privacy questions."""

    questions: tuple[Sequence[Example], Sequence[Example]]

    def __call__(self, model: Any, states: Mapping[str, State], reporter: Reporter) -> Measured:
        """Reads the questions."""
        with reporter.task("Coupling", tokens_of(self.questions, len(states)), "tokens") as advance:
            found = coupling(model, self.questions, states, advance)
        about = {"questions": len(self.questions[0]), "layers": found.layers}
        return Measured((found.metric,), {"coupling": about})


@dataclass(frozen=True)
class Windows:
    """Perplexity of running text in windows."""

    cut: Sequence[Example]
    source: str

    def __call__(self, model: Any, states: Mapping[str, State], reporter: Reporter) -> Measured:
        """Reads the windows."""
        total = sum(map(len, self.cut)) * (1 + len(states))
        with reporter.task("Reading windows", total, "tokens") as advance:
            metric = wikitext(model, self.cut, states, advance)
        about = {"text": self.source, "window": len(self.cut[0]), "windows": len(self.cut)}
        return Measured((metric,), {"wikitext": about})


@dataclass(frozen=True)
class Harness:
    """Tasks of lm-eval."""

    tasks: Tasks
    manager: Any
    tokenizer: Any

    def __call__(self, model: Any, states: Mapping[str, State], reporter: Reporter) -> Measured:
        """Runs the tasks."""
        with reporter.task("Tasks of lm-eval", 1 + len(states), "states") as advance:
            found = capability(model, self.tokenizer, self.tasks, self.manager, states, advance)
        return Measured(found.metrics, {"capability": found.about})


def asked_of(metrics: Sequence[str], sets: Mapping[str, str], limit: int | None) -> list[Asked]:
    """The questions of some metrics, from SPECs by the name of their set; the built-in ones where none is named.

    Raises:
        QuestionsError: a source that holds no questions.
    """
    return [
        Asked(metric, axis, _texts(sets.get(name, f"builtin:{name}"), limit))
        for metric, axis, name in QUESTIONS
        if metric in metrics
    ]


def coupled(sets: Mapping[str, str], tokenizer: Any, limit: int | None) -> Coupled:
    """As many fairness as privacy questions, as tokens.

    Raises:
        QuestionsError: a source that holds no questions.
        UsageError: fewer than three of either.
    """
    fairness, privacy = (_texts(sets.get(name, f"builtin:{name}"), limit) for name in ("fairness", "privacy"))
    count = min(len(fairness), len(privacy))
    if count < _PAIRS:
        raise UsageError(message=f"Coupling needs at least {_PAIRS} questions of fairness and of privacy, not {count}.")
    return Coupled((_tokens(fairness[:count], tokenizer), _tokens(privacy[:count], tokenizer)))


def windowed(spec: str, tokenizer: Any, size: int, limit: int | None) -> Windows:
    """Running text, cut into windows.

    Raises:
        TextError: it cannot be read, or is shorter than a window.
    """
    text = read_text(spec, resolve_dataset)
    # A whole corpus is longer than any model's window, of which the tokenizer would warn.
    ids = tokenizer(text, verbose=False).input_ids
    cut = windows(ids, size, limit)
    if not cut:
        raise TextError(spec=Path(spec).name, why=f"its {len(ids):,} tokens do not fill a window of {size:,}")
    return Windows(cut, Path(spec).name if Path(spec).expanduser().is_file() else spec)


def window_of(config: Mapping[str, Any], where: Placement, most: int | None) -> int:
    """The size of a window: the model's positions, at most ``most``, and what fits into memory."""
    text = {**config, **(config.get("text_config") or {})}
    size = _whole(text, "max_position_embeddings") or _whole(text, "n_positions") or most or 2048
    free = free_memory(where.device)
    if free is not None:
        row = max(_whole(text, "vocab_size"), 1) * 2 * (where.dtype.itemsize + torch.float32.itemsize)
        size = min(size, free // _LOGITS // row)
    return max(2, min(size, most or size))


def _whole(config: Mapping[str, Any], name: str) -> int:
    """A whole number of a config that may be a stranger's; 0 where it has none."""
    value = config.get(name)
    return max(value, 0) if isinstance(value, int) else 0


def _texts(spec: str, limit: int | None) -> list[str]:
    return [question.text for question in read_questions(spec, resolve_dataset)[:limit]]


def _tokens(texts: Sequence[str], tokenizer: Any) -> list[Example]:
    rows = [torch.tensor(tokenizer(text).input_ids) for text in texts]
    return [Example(ids, torch.full_like(ids, IGNORE), row) for row, ids in enumerate(rows)]
