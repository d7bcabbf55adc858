"""Arrival times of records: delayed, a few late, a few duplicated."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.simulate.settings import SimulationSettings
from monitor.simulate.tenants.population import Ints

# A record in time takes at most this part of the allowed lateness; a late one arrives at least this long beyond it,
# because the reader's clock (the newest event so far) lags a little behind the time of arrival.
IN_TIME = 0.97
BEYOND_MS = 180_000
LATE_BY_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Arrivals in ms: ``first`` for each record, ``second`` for the records sent again, whose rows are ``again``."""

    first: Ints
    again: Ints
    second: Ints
    late: int


def deliver(event_ms: Ints, settings: SimulationSettings, rng: np.random.Generator) -> Deliveries:
    """Arrivals of calls with these event times.

    Most arrive within seconds and some within minutes; ``late_share`` of them arrive beyond the lateness, and of the
    others ``duplicate_share`` are sent twice: half of these at once, half with a delay within the lateness.
    """
    n = len(event_ms)
    most = settings.lateness_ms * IN_TIME
    slow = rng.random(n) < 0.1
    delay = np.minimum(rng.exponential(1.0, n) * np.where(slow, most / 8, 3_000.0), most)
    late = rng.random(n) < settings.late_share
    delay[late] = settings.lateness_ms + BEYOND_MS + rng.random(int(late.sum())) * LATE_BY_MS
    first = event_ms + delay.astype(np.int64)
    again = np.flatnonzero((rng.random(n) < settings.duplicate_share) & ~late)
    room = np.maximum(event_ms[again] + most - first[again], 0.0)
    part: NDArray[np.float64] = np.where(rng.random(len(again)) < 0.5, 0.0, rng.random(len(again)))
    return Deliveries(first, again, first[again] + (room * part).astype(np.int64), int(late.sum()))
