"""Answers are judged by what follows the model's thought; those that end within a thought are counted apart."""

import models
import pytest

from spin_hub.core.stats import share
from spin_hub.data.chat import open_chat
from spin_hub.errors import SpinHubError
from spin_hub.metrics.answers import AnswerSettings, Asked, report
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
