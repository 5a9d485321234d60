"""What every error on purpose is made of."""

from typing import Any, ClassVar


class SpinHubError(Exception):
    """The base of every error that spin-hub raises on purpose: a sentence with facts, a hint, an exit code."""

    exit_code: ClassVar[int] = 1
    sentence: ClassVar[str] = "{message}"
    advice: ClassVar[str] = ""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        self.message = self.sentence.format(**facts)
        self.hint = self.advice.format(**facts)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(SpinHubError):
    """Options that are wrong or contradict each other. Facts: message."""

    exit_code = 2
    advice = "See --help for the options and examples."
