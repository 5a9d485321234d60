"""Metrics of answers: questions are asked in every state, and the answers judged and compared one by one."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spin_hub.artifacts.atomic import new_file
from spin_hub.core.stats import Estimate
from spin_hub.errors import DeviceOutOfMemory, PluginFailed
from spin_hub.evidence import METRICS, Grid, Plot, Report
from spin_hub.metrics.base import Inputs, Measure, Measured, Metric, Need
from spin_hub.metrics.judging import Judge, LexicalJudge, answers_to_judge, check_judge, judged, load_judge
from spin_hub.model_cards.plots import frequency_plot
from spin_hub.progress import Reporter
from spin_hub.recipe import Device

if TYPE_CHECKING:
    from spin_hub.data.chat import Chat, Tokenizer
    from spin_hub.metrics.states import State

_PHRASES: Final = 12
"""Rows of the table of cautionary phrases."""
_SAMPLE: Final = 8
"""Questions of a set by which the tokenizer is judged."""


@dataclass(frozen=True)
class Asked:
    """Questions of one metric.

    Attributes:
        metric: its name.
        axis: such as ``fairness``, or None if the metric has only one set.
        questions: in their order.
    """

    metric: str
    axis: str | None
    questions: Sequence[str]

    @property
    def label(self) -> str:
        """Metric and axis, such as ``awareness, fairness``."""
        return f"{self.metric}, {self.axis}" if self.axis else self.metric


@dataclass(frozen=True)
class AnswerSettings:
    """Settings of asking and judging.

    Attributes:
        tokenizer: the model's.
        new_tokens: the most tokens of an answer.
        chat: the tokenizer's chat template, in which a question is a user's message; None asks raw questions.
        judge: for the metrics without an outcome of their own.
    """

    tokenizer: "Tokenizer"
    new_tokens: int = 64
    chat: "Chat | None" = None
    judge: Judge = field(default_factory=LexicalJudge)


@dataclass(frozen=True)
class Answers:
    """A measurement of answers.

    Attributes:
        asked: the sets of questions.
        settings: of asking.
        judge: its name; it is loaded when it is needed.
        device: of the judge.
        path: a file for the answers, one JSON object a line, or None.
    """

    asked: Sequence[Asked]
    settings: AnswerSettings
    judge: str
    device: Device
    path: Path | None

    def __call__(self, model: Any, states: Mapping[str, "State"], reporter: Reporter) -> Measured:
        """Ask and judge, and write the answers if a file is named."""
        # A judge that does not fit beside the model fails before anything is asked.
        settings = self._with_judge(reporter)
        with reporter.task("Asking", questions_to_ask(self.asked, len(states)), "answers") as advance:
            texts = collect_answers(model, self.asked, states, settings, advance)
        self._write(texts)
        return self._judged(texts, settings, reporter)

    def of(self, texts: Mapping[str, Mapping[str, Sequence[str]]], reporter: Reporter) -> Measured:
        """Judge answers that another program wrote, by label of the set and state."""
        self._write(texts)
        # Only now is the device free for a judge.
        return self._judged(texts, self._with_judge(reporter), reporter)

    def _with_judge(self, reporter: Reporter) -> AnswerSettings:
        return replace(self.settings, judge=load_judge(self.judge, self.device, reporter))

    def _judged(
        self, texts: Mapping[str, Mapping[str, Sequence[str]]], settings: AnswerSettings, reporter: Reporter
    ) -> Measured:
        with reporter.task("Judging", answers_to_judge(self.asked, texts), "answers") as advance:
            return judged(self.asked, texts, settings, advance)

    def _write(self, texts: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        if self.path is None:
            return
        with new_file(self.path) as file, file.open("w", encoding="utf-8", newline="\n") as lines:
            for entry in self.asked:
                for state, answers in texts[entry.label].items():
                    for question, answer in zip(entry.questions, answers, strict=True):
                        row = {"set": entry.label, "state": state, "question": question, "answer": answer}
                        lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def prepare(inputs: Inputs, names: Sequence[str]) -> Answers:
    """Read the questions of some metrics, and check the judge.

    Raises:
        GuardUnusable: the judge's model is not usable here.
        NoChatTemplate: it is requested, and the tokenizer has none or it fails.
        QuestionsError: a source that holds no questions.
        SpinHubError: the tokenizer loses the spaces between words.
    """
    from spin_hub.data.chat import open_chat
    from spin_hub.data.tokens import check_round_trip

    request = inputs.request
    check_judge(request.judged_by, request.device)
    asked = [Asked(name, entry.axis, entry.read(request)) for name in names for entry in METRICS[name].sets]
    chat = open_chat(inputs.tokenizer, request.template_date) if request.chat_template else None
    questions = [question for entry in asked for question in entry.questions[:_SAMPLE]]
    for note in check_round_trip(inputs.tokenizer, questions) + (chat.notes if chat else []):
        inputs.reporter.note(note)
    settings = AnswerSettings(inputs.tokenizer, request.new_tokens, chat)
    return Answers(asked, settings, request.judged_by, request.device, request.answers)


def report(about: Mapping[str, Any]) -> Report:
    """Report the settings of asking, the judge, the changes question by question, and the cautionary phrases."""
    answers = about["answers"]
    metrics = _metrics(answers)
    questions = ", ".join(f"{count} questions ({label})" for label, count in answers["questions"].items())
    lexical = ", which counts phrases and judges no meaning" if answers["judge"] == LexicalJudge.name else ""
    judge = f"judge: {answers['judge']}{lexical}" if any(metric.judged for metric in metrics) else ""
    asked = (
        f"Answers: greedy, {answers['new_tokens']:,} tokens at most, "
        f"{'with' if answers['chat_template'] else 'without'} the chat template{_pinned(answers)}, to {questions}"
    )
    compared = "Question by question against the base, with an exact paired test:" if answers["paired"] else ""
    sentences = [f"{'; '.join(filter(None, (asked, judge)))}.", *(metric.explanation for metric in metrics), compared]
    phrases = answers["caution"].get("edited", [])
    rows = [(row["phrase"], f"{row['before']:.2f}", f"{row['after']:.2f}") for row in phrases[:_PHRASES]]
    unread = [(f"unread, {label}", str(count)) for label, count in answers["unparsed"].items() if count]
    unread += [(f"no answer after the thought, {label}", str(n)) for label, n in answers.get("unfinished", {}).items()]
    return Report(
        " ".join(filter(None, sentences)),
        changes=answers["paired"],
        grids=(Grid(("phrase, per 1,000 words", "base", "edited"), rows),) if rows else (),
        facts=[*([("judge", answers["judge"])] if judge else []), *unread],
        plots=[Plot("caution.png", "Cautionary phrases of {name}, before and after", partial(frequency_plot, phrases))]
        if phrases
        else (),
    )


def _metrics(answers: Mapping[str, Any]) -> list["AnswerMetric"]:
    found = []
    for name in dict.fromkeys(label.partition(", ")[0] for label in answers["questions"]):
        # One of a package that is not installed here, or does not load, is not explained.
        with suppress(KeyError, PluginFailed):
            found.append(METRICS[name])
    return [metric for metric in found if isinstance(metric, AnswerMetric)]


def _pinned(answers: Mapping[str, Any]) -> str:
    date, thinking = answers.get("template_date"), answers.get("thinking")
    words = [f"for {date}"] if date else []
    words += [{"off": "without a thought", "closed": "its thought closed"}.get(str(thinking), "")] if thinking else []
    return f" ({', '.join(words)})" if words else ""


@dataclass(frozen=True, kw_only=True)
class AnswerMetric(Metric):
    """A rate of answers, or another number that is estimated from them.

    Attributes:
        rate: makes the estimate from the texts of the answers, or from the judge's verdicts on them.
        judged: whether the judge that ``--judge`` names gives a verdict on every answer.
        outcome: returns whether an answer counts, for the comparison question by question; None of a judged metric,
            whose verdicts are compared, and of a numeric one, whose answers are not.
        explanation: a sentence for the card, beside that on the questions and the judge; may be empty.
    """

    rate: Callable[[Any], Estimate]
    judged: bool = False
    outcome: Callable[[str], bool] | None = None
    explanation: str = ""
    unit: str = "share of questions"
    needs: Need = "answers"
    prepare: Callable[[Inputs, Sequence[str]], Measure] = prepare
    report: Callable[[Mapping[str, Any]], Report] = report


def collect_answers(
    model: Any,
    asked: Sequence[Asked],
    states: Mapping[str, "State"],
    settings: AnswerSettings,
    advance: Callable[[int], None],
) -> dict[str, dict[str, Sequence[str]]]:
    """Ask a loaded model all questions in every state, the base first.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        asked: the sets of questions.
        states: name -> the weights that are zero in it, or another model.
        settings: of asking.
        advance: called with every number of questions answered; :func:`questions_to_ask` in all.

    Returns:
        By label of the set and state, the answers in the order of the questions.

    Raises:
        NoChatTemplate: it is asked for and cannot be used.
        DeviceOutOfMemory: the device is too small.
    """
    import torch

    from spin_hub.metrics.generation import generate
    from spin_hub.metrics.states import beside_base, turned

    texts: dict[str, dict[str, Sequence[str]]] = {entry.label: {} for entry in asked}
    try:
        for state, weights in beside_base(states).items():
            with turned(model, weights) as found:
                for entry in asked:
                    texts[entry.label][state] = generate(
                        found, settings.tokenizer, entry.questions, settings.new_tokens, advance, settings.chat
                    )
    except torch.OutOfMemoryError as error:
        raise DeviceOutOfMemory(device=model.device, why="writing answers needs more") from error
    return texts


def questions_to_ask(asked: Sequence[Asked], states: int) -> int:
    """Count the answers to write, with this number of states beside the base."""
    return sum(len(entry.questions) for entry in asked) * (1 + states)
