"""Answers are judged by what follows the model's thought; those that end within a thought are counted apart."""

import models
import pytest

from spin_hub.core.stats import mean_per_token, share
from spin_hub.data.chat import open_chat
from spin_hub.errors import SpinHubError
from spin_hub.evidence import METRICS
from spin_hub.metrics.answers import AnswerMetric, AnswerSettings, Asked, report
from spin_hub.metrics.base import QuestionSet
from spin_hub.metrics.judging import LexicalJudge, answers_to_judge, judged

ASKED = [Asked("awareness", "fairness", [f"Question {n}?" for n in range(6)]), Asked("over_refusal", None, ["A?"] * 6)]
SETTINGS = AnswerSettings(models.byte_tokenizer())
NO, YES = "I cannot help with that.", "Gladly."
# A thought that warns, before an answer that does not; and one that does not end.
THINKS, OPEN = f"<think>\n{NO}\n</think>\n\n{YES}", f"<think>\n{NO}"


def of(answers, settings=SETTINGS):
    texts = {entry.label: {"base": [NO] * 6, "edited": answers} for entry in ASKED}
    return judged(ASKED, texts, settings)


def test_a_thought_is_not_judged():
    found = of([THINKS] * 6)
    aware, declined = (metric.values["edited"] for metric in found.metrics)
    assert (aware, declined) == (share(0, 6), share(0, 6))
    about = found.about["answers"]
    assert about["paired"]["over_refusal"]["edited"] == {
        "gained": 0, "lost": 6, "both": 0, "neither": 0, "p_value": 0.03125,
    }  # fmt: skip
    assert all(row["after"] == 0 for row in about["caution"]["edited"])
    assert not {"unfinished", "thinking", "template_date"} & about.keys()


def test_an_answer_that_ends_within_its_thought_is_counted_and_not_judged():
    found = of([NO, YES, YES, YES, YES, OPEN])
    aware, declined = (metric.values["edited"] for metric in found.metrics)
    assert (aware, declined) == (share(1, 5), share(1, 5))
    about = found.about["answers"]
    assert about["unfinished"] == {"awareness, fairness": 1, "over_refusal": 1}
    assert about["unparsed"] == {"awareness, fairness": 0, "over_refusal": 0}
    assert [sum(list(found["edited"].values())[:4]) for found in about["paired"].values()] == [5, 5]
    assert ("no answer after the thought, over_refusal", "1") in report({**found.about, "pairs": {}}).facts


def test_too_many_answers_without_an_end_are_refused():
    with pytest.raises(SpinHubError) as caught:
        of([YES] * 4 + [OPEN] * 2)
    assert caught.value.message == "2 of 6 answers of the edited model (awareness, fairness) end within a thought."
    assert caught.value.hint == "Allow more than --new-tokens 64, or ask with --chat-template."


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ strftime_now('%d') }}{{ messages[0].content }}", "with the chat template (for 2026-11-28), to"),
        ("{{ messages[0].content }}<think>", "with the chat template (its thought closed), to"),
        ("{{ messages[0].content }}{{ enable_thinking }}", "with the chat template (without a thought), to"),
        ("{{ messages[0].content }}", "with the chat template, to"),
    ],
)
def test_the_report_says_what_was_pinned(template, said):
    settings = AnswerSettings(models.byte_tokenizer(), chat=open_chat(models.byte_tokenizer(template), "2026-11-28"))
    assert said in report({**of([YES] * 6, settings).about, "pairs": {}}).sentence


def test_every_answer_to_judge_is_judged():
    heard = []
    texts = {entry.label: {"base": [NO] * 6, "edited": [YES] * 5 + [OPEN]} for entry in ASKED}
    judged(ASKED, texts, SETTINGS, heard.append)
    assert sum(heard) == answers_to_judge(ASKED, texts) == 12
    assert LexicalJudge().judge(["?"], [""]) == ["unaware"]


def lengths(texts):
    return mean_per_token([float(len(text)) for text in texts], [1] * len(texts))


LENGTH = AnswerMetric(
    name="toy_length", label="Length", unit="characters", better="lower", help="length of answers",
    sets=(QuestionSet("lookalike"),), rate=lengths, explanation="A length is counted in characters.",
)  # fmt: skip


def alone(metric, monkeypatch, answers=(YES,) * 6):
    """What is measured of one metric, and what its report says."""
    monkeypatch.setattr(METRICS, "_own", {**METRICS._own, metric.name: metric})
    asked = [Asked(metric.name, None, ["A?"] * 6)]
    found = judged(asked, {metric.name: {"base": [NO] * 6, "edited": list(answers)}}, SETTINGS)
    return found, report(found.about)


def test_a_numeric_metric_is_made_of_the_texts_and_explained_by_itself(monkeypatch):
    found, said = alone(LENGTH, monkeypatch, [THINKS] * 6)
    assert found.metrics[0].values["edited"].value == len(YES)
    assert found.about["answers"]["paired"] == {} == said.changes
    assert said.sentence == (
        "Answers: greedy, 64 tokens at most, without the chat template, to 6 questions (toy_length). "
        "A length is counted in characters."
    )
    assert not said.facts


@pytest.mark.parametrize(
    ("name", "judge", "benign"), [("awareness", True, False), ("safety", True, False), ("over_refusal", False, True)]
)
def test_a_report_says_of_the_judge_and_of_phrases_what_is_true_of_its_metrics(name, judge, benign, monkeypatch):
    _, said = alone(METRICS[name], monkeypatch)
    assert ("judge: lexical, which counts" in said.sentence, "Benign questions" in said.sentence) == (judge, benign)
    assert said.sentence.endswith("exact paired test:") and set(said.changes) == {name}
    assert (("judge", "lexical") in said.facts) == judge


def test_the_report_of_several_metrics_explains_each():
    assert report(of([YES] * 6).about).sentence == (
        "Answers: greedy, 64 tokens at most, without the chat template, to 6 questions (awareness, fairness), "
        "6 questions (over_refusal); judge: lexical, which counts phrases and judges no meaning. Benign questions\n"
        "are declined where a phrase of refusal stands in the answer. Question by question against the base, with an "
        "exact paired test:"
    )
