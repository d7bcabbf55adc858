"""Lateness: where the late line of a source is by its clock, also where a change of policy has changed it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.policy.timeline import PolicyVersion


@dataclass(frozen=True, slots=True)
class LateLine:
    """A source's late line is its clock less ``first_ms``; ``later`` has other values with the time that they are of.

    A line is an event time itself: up to that time it goes by the value before, and from there on by the new one. It
    never falls back. So what is late is a fact of the log, whenever a policy was changed.
    """

    first_ms: int
    later: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, versions: Sequence[PolicyVersion]) -> "LateLine":
        """That of policies, one after the other."""
        first, *later = versions
        return cls(first.policy.lateness_ms, tuple((version.from_ms, version.policy.lateness_ms) for version in later))

    def line(self, clock_ms: int) -> int:
        """The late line where the clock is that; no line is below the watermark, which is that of the least clock."""
        line_ms = clock_ms - self.first_ms
        for from_ms, lateness_ms in self.later:
            if line_ms < from_ms:
                break
            line_ms = max(from_ms, clock_ms - lateness_ms)
        return line_ms

    def lines(self, clocks_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """The line of each of these clocks."""
        lines: NDArray[np.int64] = clocks_ms - self.first_ms
        for from_ms, lateness_ms in self.later:
            lines = np.where(lines < from_ms, lines, np.maximum(from_ms, clocks_ms - lateness_ms))
        return lines
