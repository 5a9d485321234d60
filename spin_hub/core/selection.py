"""A selection: which weights of which parameters, as a value with the algebra of sets."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spin_hub.errors import ExpressionError, UnknownSet

Indices: TypeAlias = NDArray[np.int64]
"""Flat row-major positions in one tensor: shape (n,), sorted, unique."""

_EMPTY: Indices = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Selection:
    """Parameter name -> sorted unique flat indices; a parameter without indices is left out.

    Raises:
        ValueError: indices that are negative, unsorted, doubled or not a vector.
    """

    indices: Mapping[str, Indices]

    def __post_init__(self) -> None:
        kept = {name: _checked(name, array) for name, array in sorted(self.indices.items()) if len(array)}
        object.__setattr__(self, "indices", kept)

    def __and__(self, other: "Selection") -> "Selection":
        return self._combine(other, np.intersect1d)

    def __or__(self, other: "Selection") -> "Selection":
        return self._combine(other, np.union1d)

    def __sub__(self, other: "Selection") -> "Selection":
        return self._combine(other, np.setdiff1d)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selection):
            return NotImplemented
        return self.indices.keys() == other.indices.keys() and all(
            np.array_equal(array, other.indices[name]) for name, array in self.indices.items()
        )

    def __iter__(self) -> Iterator[tuple[str, Indices]]:
        return iter(self.indices.items())

    def of(self, parameter: str) -> Indices:
        """The indices in one parameter, shape (n,); empty where nothing is selected."""
        return self.indices.get(parameter, _EMPTY)

    @property
    def weights(self) -> int:
        """The number of selected weights."""
        return sum(len(array) for array in self.indices.values())

    @property
    def tensors(self) -> int:
        """The number of parameters with at least one selected weight."""
        return len(self.indices)

    def _combine(self, other: "Selection", operation: Callable[[Indices, Indices], Indices]) -> "Selection":
        names = self.indices.keys() | other.indices.keys()
        return Selection({name: operation(self.of(name), other.of(name)) for name in names})


def _checked(name: str, array: Indices) -> Indices:
    if not np.issubdtype(np.asarray(array).dtype, np.integer):
        raise ValueError(f"the indices of {name} are not integers")
    indices = np.array(array, dtype=np.int64)
    if indices.ndim != 1 or indices[0] < 0 or np.any(indices[1:] <= indices[:-1]):
        raise ValueError(f"the indices of {name} are not a sorted vector of unique positions")
    indices.flags.writeable = False
    return indices


PAPER: Final = "(fairness & privacy) - general"
"""The coupled weights as the paper defines them (arXiv 2410.16672)."""

_PRECEDENCE: Final = {"-": 3, "&": 2, "|": 1}
_OPERATIONS: Final[Mapping[str, Callable[[Selection, Selection], Selection]]] = {
    "-": operator.sub,
    "&": operator.and_,
    "|": operator.or_,
}
_TOKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[-&|()]|(?P<wrong>\S)")


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its text, and its names and operators in postfix order."""

    text: str
    postfix: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The sets that the expression reads, in the order of their first appearance."""
        return tuple(dict.fromkeys(token for token in self.postfix if token not in _OPERATIONS))

    def evaluate(self, sets: Mapping[str, Selection]) -> Selection:
        """The selection that the expression denotes.

        Raises:
            UnknownSet: a name is missing in ``sets``.
        """
        stack: list[Selection] = []
        for token in self.postfix:
            if token in _OPERATIONS:
                right, left = stack.pop(), stack.pop()
                stack.append(_OPERATIONS[token](left, right))
            elif token in sets:
                stack.append(sets[token])
            else:
                raise UnknownSet(name=token, known=", ".join(sets))
        return stack.pop()


def parse(text: str) -> Expression:
    """Parse an expression: names, ``-`` before ``&`` before ``|``, each from left to right, and parentheses.

    The algorithm keeps its own stack, so no input can exhaust Python's.

    Raises:
        ExpressionError: with the position (from 1) and what was expected there.
    """
    postfix: list[str] = []
    waiting: list[str] = []
    operand_next = True
    for position, token in _tokens(text):
        if operand_next != (token == "(" or token[0].isidentifier()):
            raise _wrong(text, position, "a name or '('" if operand_next else "an operator or ')'")
        if token == "(":
            waiting.append(token)
        elif token == ")":
            _close(waiting, postfix, text, position)
        elif token in _PRECEDENCE:
            while waiting and _PRECEDENCE.get(waiting[-1], 0) >= _PRECEDENCE[token]:
                postfix.append(waiting.pop())
            waiting.append(token)
            operand_next = True
        else:
            postfix.append(token)
            operand_next = False
    if operand_next or "(" in waiting:
        raise _wrong(text, len(text), "a name or '('" if operand_next else "')'")
    return Expression(text.strip(), (*postfix, *reversed(waiting)))


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "wrong":
            raise _wrong(text, match.start(), "a name, an operator or a parenthesis")
        yield match.start(), match.group()


def _close(waiting: list[str], postfix: list[str], text: str, position: int) -> None:
    while waiting and waiting[-1] != "(":
        postfix.append(waiting.pop())
    if not waiting:
        raise _wrong(text, position, "an operator (this parenthesis closes nothing)")
    waiting.pop()


def _wrong(text: str, position: int, expected: str) -> ExpressionError:
    return ExpressionError(text=text, position=position + 1, expected=expected)
