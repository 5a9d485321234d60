"""Conversations: the first exchange in a list of messages, in the spellings in which data sets keep them.

OpenAI and TRL write ``{"role": "user", "content": "Why?"}``, also with a content of parts such as
``[{"type": "text", "text": "Why?"}]``; ShareGPT writes ``{"from": "human", "value": "Why?"}``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SYSTEMS: Final = frozenset({"system", "developer"})
USERS: Final = frozenset({"user", "human", "prompter"})
ASSISTANTS: Final = frozenset({"assistant", "gpt", "chatgpt", "model", "bot", "ai", "bing", "bard"})
# ShareGPT's name for an assistant's message that calls a tool; OpenAI's has a field of its own.
_CALLERS: Final = frozenset({"function_call", "tool_call"})
_CALLS: Final = ("tool_calls", "function_call")
_TEXT_PARTS: Final = ("text", "input_text", "output_text")


class Unusable(Exception):
    """A row that cannot become an example; its text is the reason, such as ``response is empty``."""


@dataclass(frozen=True)
class Exchange:
    """A prompt and the response to it.

    Attributes:
        system: the system messages before the response, or "".
        more: True if the conversation has other turns, which are not part of this.
    """

    prompt: str
    response: str
    system: str = ""
    more: bool = False


def is_messages(value: Any) -> bool:
    """True of a list of records, and of a record of lists, as older tables hold one."""
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(entries, list) for entries in value.values())
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def messages_of(value: Any) -> list[Mapping[str, Any]]:
    """Return a conversation as a list of messages.

    Raises:
        Unusable: it is something else.
    """
    if not value:
        raise Unusable("conversation is empty")
    if isinstance(value, str):
        raise Unusable("conversation is text, not a list of messages")
    if not is_messages(value):
        raise Unusable("conversation is not a list of messages")
    if isinstance(value, Mapping):
        return [dict(zip(value, entries, strict=False)) for entries in zip(*value.values(), strict=False)]
    return list(value)


def first_exchange(messages: Sequence[Mapping[str, Any]]) -> Exchange:
    """Return the first messages of the user, joined by blank lines, and the assistant's answer to them.

    Raises:
        Unusable: there is no such pair, the answer is a tool's call or comes after one, or a message is not text.
    """
    systems: list[str] = []
    prompts: list[str] = []
    before = 0
    for place, message in enumerate(messages):
        speaker = speaker_of(message)
        if speaker in SYSTEMS:
            systems += [_content(message, "system message")] if _has_content(message) else []
        elif speaker in USERS:
            prompts.append(_content(message, "prompt"))
        elif not prompts:
            # Some conversations begin with a greeting of the assistant.
            before += 1
        elif speaker in _CALLERS or any(message.get(field) for field in _CALLS):
            raise Unusable("response is a call of a tool")
        elif speaker not in ASSISTANTS:
            raise Unusable("another speaker comes before the response")
        else:
            rest = [speaker_of(entry) for entry in messages[place + 1 :]]
            more = bool(before) or any(speaker not in SYSTEMS for speaker in rest)
            return Exchange("\n\n".join(prompts), _content(message, "response"), "\n\n".join(systems), more)
    raise Unusable("conversation has no response" if prompts else "conversation has no message of a user")


def speaker_of(message: Mapping[str, Any]) -> str:
    """Return the lower-case name of the speaker of a message, or "" if it has none."""
    speaker = message.get("role") or message.get("from")
    return speaker.strip().lower() if isinstance(speaker, str) else ""


def text_of(value: Any, what: str) -> str:
    """Return a value that is text.

    Args:
        value: of a cell or a message.
        what: its name in the reason, such as ``response``.

    Raises:
        Unusable: it is missing, not text, or empty.
    """
    if value is None:
        raise Unusable(f"{what} is missing")
    if not isinstance(value, str):
        raise Unusable(f"{what} is not text")
    if not value.strip():
        raise Unusable(f"{what} is empty")
    # JSON may hold half of a character that UTF-16 writes as two, which no tokenizer takes.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Unusable(f"{what} has half a character")
    return value


def _has_content(message: Mapping[str, Any]) -> bool:
    content = message.get("content", message.get("value"))
    return bool(content.strip() if isinstance(content, str) else content)


def _content(message: Mapping[str, Any], what: str) -> str:
    content = message.get("content")
    if content is None:
        content = message.get("value")
    if isinstance(content, list) and content:
        content = "".join(_part(part, what) for part in content)
    return text_of(content, what)


def _part(part: Any, what: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    raise Unusable(f"{what} has parts that are not text")
