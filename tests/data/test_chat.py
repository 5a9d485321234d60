"""Chat templates: what they read from outside is pinned, thoughts are closed, and what goes wrong is one sentence."""

import datetime
import random
from pathlib import Path

import models
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.data import chat
from spin_hub.data.chat import open_chat, spoken
from spin_hub.errors import NoChatTemplate

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
ASK = "{% if add_generation_prompt %}<assistant>{% endif %}"
LLAMA = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}"
    "{%- endif %}{%- endif %}Today: {{ date_string }}\n" + TURNS + ASK
)
QWEN = (
    TURNS + ASK + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)


def opened(template, date=None, **settings):
    return open_chat(models.byte_tokenizer(template), date, settings)


@pytest.fixture
def another_day(monkeypatch):
    """The clock of this process is set to a day of 2030."""

    class Then(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2030, 5, 6, 7, 8, 9)

    monkeypatch.setattr(transformers.utils.chat_template_utils, "datetime", Then)
    monkeypatch.setattr(chat, "today", lambda: datetime.date(2030, 5, 6))


def test_a_template_without_a_date_has_none_and_renders_as_transformers_does():
    tokenizer = models.byte_tokenizer("\n  {% if true %}{% endif %} " + TURNS + ASK)
    found = open_chat(tokenizer)
    messages = [{"role": "user", "content": "Hi"}]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert (found.prompt("Hi"), found.date, found.thinking, found.notes) == (expected, None, None, [])
    assert found.to_json() == {}


def test_the_clock_stands_still_at_the_first_day(another_day):
    first = opened(LLAMA)
    assert (first.date, first.prompt("Hi")) == ("2030-05-06", "Today: 06 May 2030\n<user>Hi<assistant>")
    assert first.notes == ["The chat template reads the date: it is rendered for 2030-05-06 (--template-date)."]
    again = opened(LLAMA, "2026-11-28")
    assert (again.date, again.prompt("Hi")) == ("2026-11-28", "Today: 28 Nov 2026\n<user>Hi<assistant>")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ strftime_now('%H:%M:%S') }} ", "00:00:00 "),
        ("{%- set form = '%Y' -%}{{ strftime_now(form)|int + 1 }} ", "2027 "),
        ('{% macro day() %}{{ strftime_now("%d") }}{% endmacro %}{{ day() }} ', "28 "),
        ("{% set clock = strftime_now %}{{ clock('%j') }} ", "332 "),
        ("\n  {{ strftime_now('%d') }}\n", "\n  28\n"),
        ("  {% if true %}{{ strftime_now('%d') }}{% endif %}\n", "28"),
        ("{# strftime_now #}{{ 'strftime_now' }} ", "strftime_now "),
    ],
)
def test_every_way_to_ask_for_the_date_has_the_pinned_one(template, expected):
    tokenizer = models.byte_tokenizer(template + TURNS)
    assert open_chat(tokenizer, "2026-11-28").prompt("Hi") == f"{expected}<user>Hi"
    # What stands around the date is as transformers renders it.
    now = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert len(now) == len(f"{expected}<user>Hi")


def test_a_form_of_the_date_that_only_running_shows_is_refused():
    found = opened("{{ strftime_now('%' ~ 'd') }}" + TURNS)
    with pytest.raises(NoChatTemplate, match="the form of a date, %d, so the date cannot be pinned"):
        found.prompt("Hi")


def test_a_date_that_a_template_takes_as_a_variable_is_given_only_if_the_user_gives_one():
    template = "{% if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}{{ date_string }} "
    assert (opened(template + TURNS).prompt("Hi"), opened(template).date) == ("26 Jul 2024 <user>Hi", None)
    given = opened(template + TURNS, "2026-11-28")
    assert (given.prompt("Hi"), given.date) == ("28 Nov 2026 <user>Hi", "2026-11-28")


@pytest.mark.parametrize("choice", ["{{ range(10**4)|random }}", "{{ lipsum(1) }}"])
def test_random_choices_are_the_same_and_leave_the_generator_as_it_was(choice):
    found = opened(choice + TURNS)
    random.seed(1)
    before = random.getstate()
    first = found.prompt("Hi")
    assert random.getstate() == before
    random.seed(2)
    assert opened(choice + TURNS).prompt("Hi") == first
    assert found.notes == ["The chat template makes random choices: they are drawn from a fixed seed."]


@pytest.mark.parametrize(
    ("tail", "closed"),
    [
        ("<think>\n", "<think>\n\n</think>\n\n"),
        ("<think>", "<think>\n\n</think>\n\n"),
        ("<think>\n\n", "<think>\n\n</think>\n\n"),
        ("<think>\nOkay,", "<think>\nOkay,\n</think>\n\n"),
        ("[THINK]", "[THINK]\n\n[/THINK]\n\n"),
        ("<seed:think>", "<seed:think>\n\n</seed:think>\n\n"),
    ],
)
def test_an_open_thought_is_closed_and_said(tail, closed):
    found = opened(TURNS + "<assistant>\n" + tail)
    assert found.prompt("Is <think> a tag?") == f"<user>Is <think> a tag?<assistant>\n{closed}"
    assert (found.thinking, found.to_json()) == ("closed", {"thinking": "closed"})
    assert found.notes == ["The chat template opens a thought before the answer: it is closed, and the answer follows."]


def test_a_template_that_can_leave_the_thought_out_is_asked_to():
    found = opened(QWEN)
    assert found.prompt("Hi") == "<user>Hi<assistant><think>\n\n</think>\n\n"
    assert (found.thinking, found.to_json()) == ("off", {"thinking": "off"})
    assert found.notes == ["The chat template is asked for answers without a thought (enable_thinking=False)."]
    # One that opens the thought all the same is closed.
    assert opened(TURNS + "{% if enable_thinking is defined %}<think>{% endif %}").thinking == "closed"


@pytest.mark.parametrize("tail", ["<assistant>", "<think>\n\n</think>\n\n<answer>", "<think></think>"])
def test_a_thought_that_is_not_open_stays_as_it_is(tail):
    found = opened(TURNS + tail)
    assert (found.prompt("<think>"), found.thinking) == (f"<user><think>{tail}", None)


@pytest.mark.parametrize(
    ("template", "own"),
    [
        (TURNS + ASK, ""),
        ("{{ bos_token }}" + TURNS + ASK, ""),
        (
            "{% if messages[0].role != 'system' %}<system>You are Qwen.{% endif %}" + TURNS + ASK,
            "<system>You are Qwen.",
        ),
        ("{{ bos_token }}Today is {{ strftime_now('%d %b %Y') }}.</s>" + TURNS, "Today is 28 Nov 2026."),
        ("{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}Hello. " + TURNS, ""),
    ],
)
def test_the_text_that_a_template_adds_by_itself_is_known(template, own):
    assert opened(template, "2026-11-28").own_text == own


def test_a_system_message_is_rendered_or_put_before_the_prompt():
    assert opened(TURNS).prompt("Hi", "Be brief.") == "<system>Be brief.<user>Hi"
    users_only = "{% for m in messages if m.role == 'user' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    for refusing in ("{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + TURNS, users_only):
        assert opened(refusing).prompt("Hi", "Be brief.") == "<user>Be brief.\n\nHi"


def test_a_template_that_reads_parts_is_given_parts():
    parts = "{% for m in messages %}<{{ m.role }}>{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    assert opened(parts).prompt("Hi", "Be brief.") == "<system>Be brief.<user>Hi"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (None, "the tokenizer has none"),
        ({"tool_use": TURNS}, "it fails"),
        ("{% for %}", "it fails (Expected an expression"),
        ("{{ raise_exception('no users here') }}", "it fails (no users here)"),
        ("{{ 1 / 0 }}", "it fails (division by zero)"),
        ("{{ messages[7].content }}", "it fails"),
        ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "it fails (maximum recursion depth exceeded"),
        ("{{ ''.__class__.__mro__ }}", "it fails"),
        ("{% include 'x' %}", "it fails"),
        ("Hello.", "it leaves out the user's message"),
        ("{{ '\\ud800' }}" + TURNS, "it writes characters that are not text"),
        ("{{ 'x' * 70000 }}" + TURNS, "it makes 70,0"),
    ],
)
def test_a_template_that_cannot_be_used_is_one_sentence(template, why):
    with pytest.raises(NoChatTemplate) as caught:
        opened(template).prompt("Hi")
    assert caught.value.message.startswith(f"The chat template cannot be used: {why}")
    assert "\n" not in caught.value.message
    assert caught.value.hint == "Leave out --chat-template to use the raw prompts."


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes.", "Yes."),
        (" Yes.\n", " Yes.\n"),
        ("<think>\nWell, no.\n</think>\n\nYes.", "Yes."),
        ("Well, no.\n</think>\n\nYes.", "Yes."),
        ("[THINK]no[/THINK]Yes.", "Yes."),
        ("<think>a</think><think>b</think>Yes.", "Yes."),
        ("<think>Well, I", None),
        ("\n<think>Well, I", None),
        ("<think>a</think>\n<think>and", None),
        ("The tag <think> opens a thought.", "The tag <think> opens a thought."),
        ("", ""),
    ],
)
def test_an_answer_is_what_follows_its_thoughts(answer, said):
    assert spoken(answer) == said


@given(st.text(), st.sampled_from(chat.THOUGHTS))
def test_whatever_is_thought_does_not_count(text, tags):
    opening, closing = tags
    assert spoken(f"{opening}{text}{closing}\n\nYes.") == "Yes."


def test_templates_of_real_models_are_left_as_they_are(smollm2):
    tokenizer = transformers.AutoTokenizer.from_pretrained(Path(smollm2))
    found = open_chat(tokenizer)
    messages = [{"role": "user", "content": "Hi"}]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert (found.prompt("Hi"), found.to_json()) == (expected, {})
    assert "You are a helpful AI assistant" in found.own_text
