"""Draws the figures of one tenant from the ranges of its kind."""

from collections.abc import Sequence

import numpy as np

from monitor.simulate.attack.streams import CallStream, Range, TalkPart
from monitor.simulate.tenants.population import Floats, Ints
from monitor.simulate.tenants.profiles import OUTCOMES

SHAPES = ("lognormal", "exponential", "uniform", "normal")
LONGEST_TALK_S = 7_200.0


class TenantDraw:
    """The random figures of one tenant; every number comes from ``rng``."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        # Some switches write whole seconds.
        self.whole_seconds = bool(rng.random() < 0.4)

    def number(self, value: Range) -> float:
        """One figure: the number itself, or any of the range."""
        return float(self.rng.uniform(*value)) if isinstance(value, tuple) else float(value)

    def whole(self, value: Range) -> int:
        """The same as a whole number."""
        return round(self.number(value))

    def outcome_bounds(self, stream: CallStream) -> Floats:
        """The boundaries of a uniform variate between the outcomes; the rest is not answered."""
        shares = {
            "answered": stream.answered,
            "busy": stream.busy,
            "rejected": stream.rejected,
            "invalid_number": stream.invalid,
            "unreachable": stream.unreachable,
            "carrier_blocked": stream.blocked,
            "cancelled": stream.cancelled,
        }
        drawn = [self.number(shares.get(name, 0.0)) for name in OUTCOMES]
        rest = OUTCOMES.index("no_answer")
        drawn[rest] = max(0.0, 1.0 - sum(drawn))
        weights = np.array(drawn)
        bounds: Floats = np.cumsum(weights / weights.sum())[:-1]
        return bounds

    def talk_s(self, parts: Sequence[TalkPart], n: int) -> Floats:
        """Talk times of n answered calls in seconds."""
        weights = np.array([self.number(part.weight) for part in parts])
        if len(parts) == 2 and weights[1] == 1.0:  # the second part takes the rest
            weights[1] = max(0.0, 1.0 - weights[0])
        which = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], self.rng.random(n), side="right")
        talk = np.empty(n)
        for index, part in enumerate(parts):
            mean = self.number(part.mean_s)
            shape = part.shape if part.shape != "any" else SHAPES[int(self.rng.integers(len(SHAPES)))]
            drawn = self._lengths(shape, mean, n)
            talk = np.where(which == index, np.maximum(drawn, part.least_s), talk)
        return np.clip(np.floor(talk) if self.whole_seconds else talk, 0.0, LONGEST_TALK_S)

    def offsets_ms(self, n: int, opens_ms: float, closes_ms: float) -> Ints:
        """Starts within a day, evenly, around a peak, or with a pause at noon."""
        shape = int(self.rng.integers(3))
        share = self.rng.random(n)
        if shape == 1:
            share = np.clip(self.rng.normal(0.45, 0.2, n), 0.0, 0.999)
        elif shape == 2:
            share = np.where((share > 0.4) & (share < 0.5) & (self.rng.random(n) < 0.7), share - 0.3, share)
        return (opens_ms + share * (closes_ms - opens_ms)).astype(np.int64)

    def _lengths(self, shape: str, mean_s: float, n: int) -> Floats:
        rng = self.rng
        if shape == "exponential":
            return rng.exponential(mean_s, n)
        if shape == "uniform":
            return rng.uniform(0.2 * mean_s, 1.8 * mean_s, n)
        if shape == "normal":
            return np.maximum(0.5 * min(mean_s, 2.0), rng.normal(mean_s, 0.35 * mean_s, n))
        sigma = rng.uniform(0.4, 0.9)
        return rng.lognormal(np.log(mean_s) - sigma * sigma / 2, sigma, n)
