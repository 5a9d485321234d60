"""Chat templates and tokenizers as people have them: what is rendered does not change by itself, and is said once."""

import datetime
import json
import re
import shlex
from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as kinds
from transformers import PreTrainedTokenizerFast

from spin_hub.data import chat
from spin_hub.scoring.resume import Partial

pytestmark = [pytest.mark.moderate, pytest.mark.usefixtures("few_texts")]

SETS = ("--samples", "3", "--chat-template")
EDIT = ("--p", "1e-2", "--q", "2e-1", "--no-eval", "--as", "delta", "-o", "out", *SETS)
TURNS = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
ASK = "{% if add_generation_prompt %}<assistant>{% endif %}"
TIMED = "{{ bos_token }}{{ strftime_now('%d %b %Y %H:%M') }} " + TURNS + ASK
THINKS = TURNS + "<assistant>\n{{ '<think>\n' }}"
SWITCHED = TURNS + ASK + "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% else %}<think>{% endif %}!"
OWN = "{% if messages[0].role != 'system' %}<system>You are Tiny.{% endif %}" + TURNS + ASK


@pytest.fixture
def base(tmp_path, tiny):
    """Makes a copy of the tiny model with another chat template."""

    def make(template):
        folder = tmp_path / "base"
        folder.mkdir()
        for file in tiny.iterdir():
            (folder / file.name).symlink_to(file)
        (folder / "chat_template.jinja").unlink()
        (folder / "chat_template.jinja").write_text(template)
        return folder

    return make


@pytest.fixture
def day(monkeypatch):
    """Sets the day of this process, for spin-hub and for transformers."""

    def on(text):
        class Now(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return cls.fromisoformat(f"{text}T12:34:56")

        monkeypatch.setattr(transformers.utils.chat_template_utils, "datetime", Now)
        monkeypatch.setattr(chat, "today", lambda: datetime.date.fromisoformat(text))

    return on


def recorded(folder):
    record = json.loads((Path(folder) / "spin.json").read_text())
    return record["recipe"]["scoring"]


# --- the date ----------------------------------------------------------------------------------------------


def test_a_date_is_pinned_by_the_first_run_and_reproduced_on_another_day(cli, base, day):
    model = base(TIMED)
    day("2026-11-28")
    code, _, err = cli("edit", model, *EDIT)
    assert (code, " ".join(err.split()).count("it is rendered for 2026-11-28 (--template-date)")) == (0, 1)
    scoring = recorded("out")
    assert (scoring["recipe"]["template_date"], "thinking" in scoring) == ("2026-11-28", False)
    day("2026-11-30")
    code, out, _ = cli("reproduce", "out", "--base", model, "--json")
    found = json.loads(out)
    assert (code, found["equal"], found["file_equal"]) == (0, True, True)
    delta = Path("out/spin_delta.safetensors").read_bytes()
    # The card's command and the record as a recipe make it again; a run of today does not.
    command = re.search(r"spin-hub edit [^`\n]*", Path("out/README.md").read_text())[0]
    assert "--chat-template --template-date 2026-11-28" in command
    words = shlex.split(command)[2:]
    assert cli("edit", model, *words[1:], "--no-eval", "-o", "typed")[0] == 0
    assert cli("edit", model, "--recipe", "out/spin.json", "--no-eval", "-o", "again")[0] == 0
    assert cli("edit", model, *EDIT[:-5], "-o", "today", *SETS)[0] == 0
    made = [Path(name, "spin_delta.safetensors").read_bytes() for name in ("typed", "again", "today")]
    assert [other == delta for other in made] == [True, True, False]
    assert recorded("today")["recipe"]["template_date"] == "2026-11-30"


def test_a_run_that_is_broken_off_goes_on_after_midnight(cli, base, day, monkeypatch):
    model = base(TIMED)
    day("2026-11-28")
    assert cli("edit", model, *EDIT[:-5], "-o", "once", *SETS)[0] == 0
    add = Partial.add

    def interrupting(self, tensors):
        add(self, tensors)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Partial, "add", interrupting)
        assert cli("edit", model, *EDIT)[0] == 130
    day("2026-11-29")
    code, _, err = cli("edit", model, *EDIT)
    assert (code, "were scored before; going on with the others" in err) == (0, True)
    assert recorded("out")["recipe"]["template_date"] == "2026-11-28"
    once, out = (Path(name, "spin_delta.safetensors").read_bytes() for name in ("once", "out"))
    assert once == out


def test_a_sweep_goes_on_with_its_date(cli, base, day):
    model = base(TIMED)
    words = ("sweep", model, "-o", "tried", "--p", "1e-2", "--q", "2e-1", "--keep", "0.2", *SETS, "--json")
    day("2026-11-28")
    assert cli(*words)[0] == 0
    day("2026-11-29")
    code, _, err = cli(*words)
    assert (code, "holds this very ranking already" in err) == (0, True)


def test_records_of_templates_without_a_date_are_as_they_were(cli, base, day):
    day("2026-11-28")
    code, _, err = cli("edit", base(TURNS + ASK), *EDIT, "--template-date", "2026-11-27")
    assert code == 0
    assert "The chat template reads no date: --template-date changes nothing." in err
    assert recorded("out").keys() == {"recipe", "sets", "environment", "precision"}
    assert "template_date" not in recorded("out")["recipe"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--chat-template", "--template-date", "28.11.2026"), "--template-date takes a day such as 2026-11-28, not"),
        (("--chat-template", "--template-date", "20261128"), "--template-date takes a day such as 2026-11-28, not"),
        (("--template-date", "2026-11-28"), "--template-date is the date of a chat template: add --chat-template."),
    ],
)
@pytest.mark.parametrize("verb", ["edit", "eval"])
def test_a_date_that_is_none_or_not_read_is_refused(cli, tiny, verb, words, said):
    code, out, _ = cli(verb, tiny, *words, "--json")
    assert code == 2
    assert json.loads(out)["error"]["message"].startswith(said)


def test_a_date_in_a_toml_recipe_may_be_one_of_toml(cli, base, tmp_path):
    (tmp_path / "mine.toml").write_text("chat_template = true\ntemplate_date = 2026-11-28\n")
    words = [word for word in EDIT if word != "--chat-template"]
    code, _, err = cli("edit", base(TIMED), *words, "--recipe", "mine.toml")
    assert code == 0, err
    assert recorded("out")["recipe"]["template_date"] == "2026-11-28"


def test_eval_asks_on_the_day_that_is_named_and_records_it(cli, base, day):
    day("2026-11-30")
    words = (
        "eval",
        base(TIMED),
        "--suite",
        "over_refusal",
        "--chat-template",
        "--limit",
        "2",
        "--new-tokens",
        "2",
        "--json",
    )
    for more, date in (((), "2026-11-30"), (("--template-date", "2026-11-28"), "2026-11-28")):
        code, out, err = cli(*words, *more)
        assert (code, json.loads(out)["evaluation"]["about"]["answers"]["template_date"]) == (0, date)
        assert f"it is rendered for {date} (--template-date)" in " ".join(err.split())


# --- thoughts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "thinking", "note"),
    [
        (THINKS, "closed", "The chat template opens a thought before the answer: it is closed"),
        (SWITCHED, "off", "The chat template is asked for answers without a thought (enable_thinking=False)."),
    ],
)
def test_no_thought_stands_open_before_an_answer(cli, base, template, thinking, note):
    model = base(template)
    code, _, err = cli("edit", model, *EDIT, "--show-examples", "1")
    assert (code, " ".join(err.split()).count(note)) == (0, 1)
    shown = err.replace("\n", "")
    assert shown.count("</think>") == shown.count("<think>") == 3
    assert recorded("out")["thinking"] == thinking
    words = {"closed": "its thought closed", "off": "asked for no thought"}[thinking]
    assert f"| tokens | chat template, {words} |" in Path("out/README.md").read_text()
    assert json.loads(cli("reproduce", "out", "--base", model, "--json")[1])["file_equal"]
    code, out, err = cli(
        "eval", model, "--delta", "out", "--suite", "over_refusal", "--chat-template", "--limit", "2",
        "--new-tokens", "2", "--json",
    )  # fmt: skip
    assert (code, " ".join(err.split()).count(note)) == (0, 1)
    answers = json.loads(out)["evaluation"]["about"]["answers"]
    assert (answers["thinking"], "template_date" in answers, "unfinished" in answers) == (thinking, False, False)


# --- what a template adds, and what a tokenizer loses ------------------------------------------------------


def test_the_text_that_a_template_adds_is_shown_with_the_examples(cli, base):
    code, _, err = cli("edit", base(OWN), *EDIT, "--show-examples", "1")
    assert code == 0
    said = " ".join(err.split())
    assert (
        said.count("The chat template adds a text of its own before the first message: '<system>You are Tiny.'.") == 1
    )
    assert err.replace("\n", "").count("<system>You are Tiny.<user>") == 3


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "--samples", "3", "-o", "out"), ("score", "--samples", "3", "-o", "out"), ("edit", "--plan"),
        ("eval", "--suite", "answers", "--limit", "4"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_loses_the_spaces_is_refused_and_nothing_is_left(cli, base, own_folder, words):
    model = base(TURNS)
    letters = {chr(number): number for number in range(33, 127)}
    core = Tokenizer(kinds.BPE(vocab={letter: n for n, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    PreTrainedTokenizerFast(tokenizer_object=core, bos_token="!").save_pretrained(model)
    before = sorted(own_folder.iterdir())
    code, out, _ = cli(words[0], model, *words[1:], "--json")
    error = json.loads(out)["error"]
    assert code == 1
    assert f"under transformers {transformers.__version__}, loses the spaces between words" in error["message"]
    assert error["hint"].startswith("Use another version of transformers")
    assert sorted(own_folder.iterdir()) == before
