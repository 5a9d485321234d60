"""Expressions over named sets: ``(fairness & privacy) - general``, with Python's precedence."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from spin_hub.core.selection import Selection
from spin_hub.errors import ExpressionError, UnknownSet

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
    """Parses an expression: names, ``-`` before ``&`` before ``|``, each from left to right, and parentheses.

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
