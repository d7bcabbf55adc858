"""The late line of a source as a function of its clock, across policy changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.policy.timeline import PolicyVersion


@dataclass(frozen=True, slots=True)
class LateLine:
    """The late line of a source is its clock less ``first_ms``. ``later`` holds later values with their start time.

    The line is itself an event time. Up to a start time it follows the previous value, and from there on the new one.
    It never falls. So lateness depends only on the log, and not on when a policy change was applied.
    """

    first_ms: int
    later: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, versions: Sequence[PolicyVersion]) -> "LateLine":
        """The late line of successive policies."""
        first, *later = versions
        return cls(first.policy.lateness_ms, tuple((version.from_ms, version.policy.lateness_ms) for version in later))

    def line(self, clock_ms: int) -> int:
        """The late line at a clock. No line is below the watermark, which is the line of the lowest clock."""
        line_ms = clock_ms - self.first_ms
        for from_ms, lateness_ms in self.later:
            if line_ms < from_ms:
                break
            line_ms = max(from_ms, clock_ms - lateness_ms)
        return line_ms

    def clock_ms(self, line_ms: int) -> int:
        """The least clock at which the line has reached ``line_ms``."""
        lateness_ms, switched_ms = self.first_ms, line_ms
        for from_ms, next_ms in self.later:
            if line_ms <= from_ms:
                break
            switched_ms, lateness_ms = max(switched_ms, from_ms + lateness_ms), next_ms
        return max(switched_ms, line_ms + lateness_ms)

    def lines(self, clocks_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """The late line at each of these clocks."""
        lines: NDArray[np.int64] = clocks_ms - self.first_ms
        for from_ms, lateness_ms in self.later:
            lines = np.where(lines < from_ms, lines, np.maximum(from_ms, clocks_ms - lateness_ms))
        return lines
