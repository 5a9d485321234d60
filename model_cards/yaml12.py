"""YAML as the Hub reads it: version 1.2, plain values alone, bounded in memory.

PyYAML's own values are those of YAML 1.1, in which the language ``no`` is false and the commit ``1234e5`` a number. So
its events alone are used, and made into values by the core schema of YAML 1.2. Aliases become values of their own.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

TWICE: Final = "it is there twice"

_DEEPEST: Final = 64
_DIGITS: Final = 100

# libyaml takes a tab between a name and its value, as the Hub does; PyYAML's own scanner does not.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_EMPTY: Final = re.compile(r"^[ \t]+$", re.MULTILINE)
_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WORDS: Final = {word: value for text, value in (("true", True), ("false", False), ("null", None))
                 for word in (text, text.title(), text.upper())} | {"": None, "~": None}  # fmt: skip


class Document:
    """Values of YAML documents."""

    def __init__(self) -> None:
        self._left = 0
        self._anchors: dict[str, Any] = {}
        self._events: Iterator[yaml.Event] = iter(())
        self.doubled: dict[str, str] = {}

    def read(self, text: str) -> Any:
        """Return the value of a document; ``doubled`` then has the keys that it has twice, with two values.

        Raises:
            ValueError, yaml.YAMLError: it is not YAML, or too large or deep.
        """
        self._left, self._anchors, self.doubled = 2 * len(text) + 4096, {}, {}
        # libyaml takes a tab in an otherwise empty line for indentation.
        self._events = iter(yaml.parse(_EMPTY.sub("", text), Loader=_LOADER))
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), 0)
        next(self._events)
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise ValueError("there is more than one document")
        return value

    def _value(self, event: yaml.Event, depth: int) -> Any:
        self._spend(1, depth)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise ValueError(f"the alias *{str(event.anchor)[:40]} has no anchor before it")
            return self._copied(self._anchors[event.anchor], depth)
        assert isinstance(event, yaml.NodeEvent)  # nothing else begins a value
        if isinstance(event, yaml.ScalarEvent):
            self._spend(len(event.value), depth)
            value: Any = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, "seq")
            value = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                value.append(self._value(inner, depth + 1))
        else:
            _check_tag(event, "map")
            value = self._mapping(depth)
        if event.anchor:
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise ValueError("a name is not text")
            self._spend(len(event.value), depth)
            entry = self._value(next(self._events), depth + 1)
            if event.value == "<<" and event.implicit[0]:
                merged += entry if isinstance(entry, list) else [entry]
                continue
            if event.value in value and value[event.value] != entry:
                if depth:
                    raise ValueError(f"{event.value[:40]} is there twice")
                self.doubled[event.value] = TWICE
            value[event.value] = entry
        for other in merged:
            if not isinstance(other, dict):
                raise ValueError("<< takes mappings alone")
            self._spend(len(other), depth)
            for name in [name for name in other if name not in value]:
                value[name] = self._copied(other[name], depth)
        return value

    def _copied(self, value: Any, depth: int) -> Any:
        # Values stay apart, so that none of them is written as an alias again.
        self._spend(1 + (len(value) if isinstance(value, str) else 0), depth)
        if isinstance(value, list):
            return [self._copied(entry, depth + 1) for entry in value]
        if isinstance(value, dict):
            self._spend(sum(map(len, value)), depth)
            return {name: self._copied(entry, depth + 1) for name, entry in value.items()}
        return value

    def _spend(self, size: int, depth: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("its aliases stand for too much")
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.tag in ("!", f"{_TAG}str") or (event.tag is None and not event.implicit[0]):
        return text
    if event.tag is not None:
        raise ValueError(f"the tag {event.tag[:40]} is not known")
    if text in _WORDS:
        return _WORDS[text]
    if not (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
        return text
    if len(text) > _DIGITS:
        raise ValueError(f"a number has more than {_DIGITS} digits")
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _check_tag(event: yaml.NodeEvent, kind: str) -> None:
    if isinstance(event, yaml.CollectionStartEvent) and event.tag not in (None, "!", f"{_TAG}{kind}"):
        raise ValueError(f"the tag {event.tag[:40]} is not known")


def dump(data: Mapping[str, Any]) -> str:
    """Return metadata as YAML that versions 1.1 and 1.2 read alike."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True).strip()


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes wherever YAML 1.1 or 1.2 would read something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(
    f"{_TAG}float", re.compile(f"(?:{_INTEGER.pattern}|{_FLOAT.pattern})$"), list("-+.0123456789")
)
