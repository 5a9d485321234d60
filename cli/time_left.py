"""An estimate of the time that a task still takes, from the shares of it that were done and when."""

from collections import deque
from typing import Final

_WINDOW: Final = 0.1
"""The share of the work that counts as recent. Less would follow a pause after every layer of a model."""

_RECENT: Final = 0.75
"""The weight of the recent pace beside that of the whole task."""

_GRAIN: Final = 1e-3
"""Shares that are nearer to each other than this are remembered as one."""

_SOONEST: Final = (3.0, 0.02)
"""Seconds and the share of the work before which nothing is said."""


class TimeLeft:
    """An estimate of the time left from the pace of the last tenth of the work, steadied by that of all of it.

    Both are means of the pace so far, and the time left is the mean pace that is still to come. So the estimate is
    within a factor r as long as the fastest and the slowest part of the work differ by no more than r. A greater
    change cannot be known before it comes; half of it or more is followed within the next tenth of the work.

    Between two advances the work is taken to go on as before, for as much as the last advance brought.

    Args:
        total: the amount of work, above 0.
    """

    def __init__(self, total: float) -> None:
        self._total = total
        self._done = 0.0
        self._marks = deque([(0.0, 0.0)])
        self._step = 0.0

    @property
    def share(self) -> float:
        """The share of the work that is done, at most 1."""
        return self._marks[-1][1]

    def add(self, now: float, amount: float) -> None:
        """Note an amount of work, done ``now`` seconds after the start."""
        if amount <= 0:
            return
        self._done += amount
        share = min(1.0, self._done / self._total)
        self._step = share - self.share
        marks = self._marks
        if len(marks) > 1 and share - marks[-2][1] < _GRAIN:
            marks.pop()
        marks.append((max(now, marks[-1][0]), share))
        while len(marks) > 2 and marks[1][1] <= share - _WINDOW:
            marks.popleft()

    def at(self, now: float) -> float | None:
        """The seconds left ``now`` seconds after the start, or None as long as nothing can be said."""
        time, share = self._marks[-1]
        now = max(now, time)
        if now < _SOONEST[0] or share < _SOONEST[1] or share >= 1:
            return None
        reached = min(share + self._under_way(now - time), 1.0)
        return self._pace(now, reached) * (1 - reached) or None

    def _under_way(self, waited: float) -> float:
        """The share that is presumably done since the last advance."""
        pace = self._pace(*self._marks[-1])
        return min(self._step, waited / pace) if pace else 0.0

    def _pace(self, now: float, share: float) -> float:
        """Seconds for all of the work."""
        since, before = self._marks[0]
        recent = (now - since) / (share - before)
        return (1 - _RECENT) * now / share + _RECENT * recent
