"""The progress that a workflow reports; the command line shows it, a library caller may ignore it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of long work, and notes for the user."""

    def task(self, title: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a piece of long work.

        Args:
            title: what is done, such as ``Loading the model``.
            total: the amount of work; 1 where its parts are not known, so that only its duration is shown.
            unit: of the amount, in the plural (``tokens``, ``bytes``), or ``step`` for work without one.

        Returns:
            A context that lasts as long as the work, and yields a function to be called with every amount done.
        """
        ...

    def note(self, text: str) -> None:
        """Show the user a sentence."""
        ...

    def status(self, text: str) -> None:
        """Replace the few words that say how far the current task is."""
        ...


class Silent:
    """A reporter that shows nothing."""

    @contextmanager
    def task(self, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """See :class:`Reporter`."""
        yield lambda _: None

    def note(self, text: str) -> None:
        """See :class:`Reporter`."""

    def status(self, text: str) -> None:
        """See :class:`Reporter`."""


SILENT = Silent()
_CURRENT: ContextVar[Reporter] = ContextVar("reporter", default=SILENT)


@contextmanager
def step(reporter: Reporter, title: str) -> Iterator[None]:
    """Report the block as a task of which only the duration is known.

    Steps are not nested: a terminal shows one task at a time.
    """
    with reporter.task(title, 1, "step") as advance:
        before = _CURRENT.set(reporter)
        try:
            yield
        finally:
            _CURRENT.reset(before)
        advance(1)


def note(text: str) -> None:
    """Show the user a sentence during the current step, from code that has no reporter."""
    _CURRENT.get().note(text)
