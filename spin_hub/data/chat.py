"""Chat templates: messages rendered by a tokenizer's own template, up to where the answer begins, alike on every day.

A template is a program of others. What it reads from outside of model, data and options is pinned: the clock stands
still at the midnight of one date, and random choices are drawn from one seed. A template that can leave the thought out
is asked to (``enable_thinking=False``), and a thought that it opens before the answer is closed, empty, as Qwen3 and
the DeepSeek-R1 family write it: ``<think>\\n\\n</think>\\n\\n``.
"""

import datetime
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import jinja2

from spin_hub.errors import NoChatTemplate, first_line

Tokenizer: TypeAlias = Any
"""A tokenizer of transformers: called, and asked for offsets and for its chat template."""
Messages: TypeAlias = Sequence[Mapping[str, Any]]
Thinking: TypeAlias = Literal["off", "closed"]
"""``off``: the template was asked for no thought; ``closed``: it opens one, which was closed."""

THOUGHTS: Final = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("◁think▷", "◁/think▷"),
)
"""Opening and closing tags of thoughts."""

# What running a template may raise: it is code, and compiled to Python.
_FAILURES: Final = (
    jinja2.TemplateError, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError,
    SyntaxError, TypeError, ValueError,
)  # fmt: skip
_CLOCK: Final = "strftime_now"
# In place of the function that reads the clock. The line break is trimmed, so the template still begins a line.
_STOPPED: Final = (
    f"{{%- macro {_CLOCK}(format) %}}{{{{ spin_hub_dates[format] if format in spin_hub_dates else "
    "raise_exception('it makes the form of a date, ' ~ format ~ ', so the date cannot be pinned') }}{%- endmacro %}\n"
)
_LLAMA_DATE: Final = "%d %b %Y"
_PROBE, _REPLY, _AGAIN = "Hello 31415", "Hello 27182", "Hello 16180"
_LONGEST: Final = 2**16
"""Characters that a template may add to a prompt."""


@dataclass(frozen=True)
class Chat:
    """A tokenizer's chat template with everything pinned.

    Attributes:
        tokenizer: of transformers.
        source: the template, with the clock stopped.
        date: that it is rendered for, such as ``2026-11-28``, or None if it reads no date.
        settings: of the template.
        draws: True if it makes random choices.
    """

    tokenizer: Tokenizer
    source: str
    date: str | None
    settings: Mapping[str, Any]
    draws: bool

    def render(self, messages: Messages, generation: bool = True) -> str:
        """Render messages, with the beginning of an answer unless ``generation`` is False.

        Raises:
            NoChatTemplate: the template fails.
        """
        form = {"chat_template": self.source, "tokenize": False, "add_generation_prompt": generation}
        try:
            with _seeded(self.draws):
                text = str(self.tokenizer.apply_chat_template(messages, **form, **self.settings))
        except _FAILURES as error:
            raise NoChatTemplate(why=f"it fails ({first_line(error)})") from error
        if len(text) > _LONGEST + sum(len(str(message)) for message in messages):
            raise NoChatTemplate(why=f"it makes {len(text):,} characters of a message")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise NoChatTemplate(why="it writes characters that are not text") from error
        return text

    def prompt(self, text: str, system: str = "") -> str:
        """Render a user's message, after a system message if there is one, up to where the answer begins.

        Raises:
            NoChatTemplate: the template fails, or leaves the message out.
        """
        if system and not self._takes_system:
            text, system = f"{system}\n\n{text}", ""
        messages = [self._message("system", system)] if system else []
        return self._without_thought(self.render([*messages, self._message("user", text)]))

    @property
    def thinking(self) -> Thinking | None:
        """What became of a thought before the answer, or None if the template has none."""
        if self._closing:
            return "closed"
        return "off" if "enable_thinking" in self.settings else None

    def to_json(self) -> dict[str, str]:
        """Return what a record says of the template: the date and the thought, each only if it has one."""
        known = {"template_date": self.date, "thinking": self.thinking}
        return {name: value for name, value in known.items() if value}

    @property
    def notes(self) -> list[str]:
        """Sentences on what was pinned and closed."""
        found = []
        if self.date:
            found.append(f"The chat template reads the date: it is rendered for {self.date} (--template-date).")
        if self.draws:
            found.append("The chat template makes random choices: they are drawn from a fixed seed.")
        if self.thinking == "off":
            found.append("The chat template is asked for answers without a thought (enable_thinking=False).")
        if self.thinking == "closed":
            found.append("The chat template opens a thought before the answer: it is closed, and the answer follows.")
        return found

    @cached_property
    def own_text(self) -> str:
        """The text that the template adds before the first message by itself, such as a system message, or ""."""
        first = self.render([self._message("user", _PROBE)]).partition(_PROBE)[0]
        turns = [("user", _PROBE), ("assistant", _REPLY), ("user", _AGAIN)]
        try:
            whole = self.render([self._message(*turn) for turn in turns])
        except NoChatTemplate:
            return ""
        # What precedes every message of the user is not a text of its own.
        later = whole.partition(_AGAIN)[0].rpartition(_REPLY)[2]
        shared = 0
        while shared < min(len(first), len(later)) and first[-1 - shared] == later[-1 - shared]:
            shared += 1
        text = first[: len(first) - shared]
        for token in (*self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()):
            text = text.replace(token, "")
        return text.strip() if any(character.isalnum() for character in text) else ""

    @cached_property
    def _in_parts(self) -> bool:
        """True if the template reads messages as lists of parts alone, as those of models that see pictures may."""
        for parts in (False, True):
            content: Any = [{"type": "text", "text": _PROBE}] if parts else _PROBE
            if _PROBE in self.render([{"role": "user", "content": content}]):
                return parts
        raise NoChatTemplate(why="it leaves out the user's message")

    @cached_property
    def _takes_system(self) -> bool:
        try:
            return _REPLY in self.render([self._message("system", _REPLY), self._message("user", _PROBE)])
        except NoChatTemplate:
            return False

    @cached_property
    def _closing(self) -> str:
        """What closes the thought with which a prompt ends, or ""."""
        tail = self.render([self._message("user", _PROBE)]).rpartition(_PROBE)[2]
        for opening, closing in THOUGHTS:
            _, opened, thought = tail.rpartition(opening)
            if opened and closing not in thought:
                return ("\n" if thought.strip() else "\n\n") + closing + "\n\n"
        return ""

    def _without_thought(self, text: str) -> str:
        return text.rstrip() + self._closing if self._closing else text

    def _message(self, role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": text}] if self._in_parts else text}


def open_chat(tokenizer: Tokenizer, date: str | None = None, settings: Mapping[str, Any] | None = None) -> Chat:
    """Read and pin a tokenizer's chat template.

    Args:
        tokenizer: of transformers.
        date: day that the template is rendered for, such as ``2026-11-28``; None takes today if it reads the clock.
        settings: that the template reads.

    Raises:
        NoChatTemplate: the tokenizer has none, or one that is not a template.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise NoChatTemplate(why="the tokenizer has none")
    try:
        source = str(tokenizer.get_chat_template())
        words = [(kind, word) for _, kind, word in jinja2.Environment().lex(source)]
    except _FAILURES as error:
        raise NoChatTemplate(why=f"it fails ({first_line(error)})") from error
    names = {word for kind, word in words if kind == "name"}
    day = datetime.date.fromisoformat(date) if date else today()
    pinned: dict[str, Any] = {**(settings or {}), **({"enable_thinking": False} if "enable_thinking" in names else {})}
    reads = _CLOCK in names
    if reads:
        source = _STOPPED + source
        pinned["spin_hub_dates"] = _dates(day, [word[1:-1] for kind, word in words if kind == "string"])
    elif date and "date_string" in names:
        # Llama 3.1's own name for it; without a date its template writes one of 2024.
        pinned["date_string"], reads = day.strftime(_LLAMA_DATE), True
    return Chat(tokenizer, source, day.isoformat() if reads else None, pinned, bool(names & {"random", "lipsum"}))


def today() -> datetime.date:
    """Return the day that a chat template is rendered for unless the user names one."""
    return datetime.date.today()


def spoken(answer: str) -> str | None:
    """Return what an answer says after its thoughts, or None if it ends within one."""
    for opening, closing in THOUGHTS:
        _, closed, rest = answer.rpartition(closing)
        if rest.lstrip().startswith(opening):
            return None
        if closed:
            return rest.lstrip()
    return answer


def _dates(day: datetime.date, forms: Sequence[str]) -> dict[str, str]:
    """The texts of a day in all forms that a template might ask for; the time of day is midnight."""
    midnight = datetime.datetime.combine(day, datetime.time())
    found = {}
    for form in forms:
        with suppress(ValueError):
            if "%" in form:
                found[form] = midnight.strftime(form)
    return found


@contextmanager
def _seeded(draws: bool) -> Iterator[None]:
    """Let Jinja draw from one seed; it uses Python's own generator, which is left as it was."""
    before = random.getstate()
    if draws:
        random.seed(0)
    try:
        yield
    finally:
        random.setstate(before)
