"""The calls of one stream of one tenant, in columns."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from monitor.simulate.attack.streams import CallStream
from monitor.simulate.attack.tenant_draw import TenantDraw
from monitor.simulate.settings import DAY_MS, HOUR_MS
from monitor.simulate.tenants.population import Ints, Words
from monitor.simulate.tenants.traffic import (
    ANSWERED,
    BY_CALLEE,
    BY_CALLER,
    BY_SYSTEM,
    CANCELLED,
    HUMAN,
    MACHINE,
    NO_ANSWER,
    NONE,
    ONE_CONSENT,
    REJECTED,
    SimulatedCalls,
    customer,
    mix64,
    own_base,
)

# The distance between the tenant's own numbers that call and those that are called.
CALLED_OWN = 500_000


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """Whose stream it is: the tenant's index and seed, and the stream's index among the tenant's."""

    tenant: int
    seed: int
    stream: int

    @property
    def salt(self) -> Words:
        """The seed of the stream's callees."""
        return mix64(np.array([self.seed + (self.stream + 1) * 7919], dtype=np.uint64))


def stream_calls(
    stream: CallStream, draw: TenantDraw, place: StreamPlace, start_ms: int, days: int
) -> SimulatedCalls | None:
    """The calls of the stream on these days, without serial numbers; None if there are none."""
    starts = _starts(stream, draw, start_ms, days)
    if not len(starts):
        return None
    tries = max(1, draw.whole(stream.tries))
    base = np.repeat(np.arange(len(starts)), tries)
    attempt = np.tile(np.arange(tries), len(starts))
    start = starts[base] + attempt * int(draw.number(stream.gap_s) * 1_000)
    outcome = np.searchsorted(draw.outcome_bounds(stream), draw.rng.random(len(start)), side="right")
    if stream.until_answered:
        answered = (outcome == ANSWERED).reshape(-1, tries)
        before = (np.cumsum(answered, axis=1) - answered).ravel()
        kept = before == 0
        start, outcome, base = start[kept], outcome[kept], base[kept]
    n = len(start)
    inbound = draw.rng.random(n) < draw.number(stream.inbound)
    outcome = np.where(inbound, np.where(draw.rng.random(n) < 0.93, ANSWERED, CANCELLED), outcome)
    callee = _callees(stream, draw, place, len(starts))[base]
    caller = _callers(stream, draw, place, n)
    consented = draw.rng.random(n) < draw.number(stream.consent)
    consent = mix64(callee.astype(np.uint64) ^ np.uint64(place.seed)) | np.uint64(1 << 32)
    if stream.one_consent:
        consent = np.full(n, np.uint64(ONE_CONSENT))
    return SimulatedCalls(
        tenant=np.full(n, place.tenant),
        profile=np.zeros(n, dtype=np.int64),
        serial=np.zeros(n, dtype=np.int64),
        inbound=inbound,
        caller=np.where(inbound, callee, caller),
        callee=np.where(inbound, caller, callee),
        start=start,
        agent=np.zeros(n, dtype=np.int64),
        consent=np.where(consented & ~inbound, consent, np.uint64(0)),
        outcome=outcome,
        **_times_and_end(stream, draw, start, outcome, inbound),
    )


def _starts(stream: CallStream, draw: TenantDraw, start_ms: int, days: int) -> Ints:
    daily, growth = draw.number(stream.daily), draw.number(stream.growth)
    opens, closes = draw.number(stream.opens) * HOUR_MS, draw.number(stream.closes) * HOUR_MS
    bursts, burst_ms = draw.whole(stream.bursts), draw.number(stream.burst_s) * 1_000
    found: list[Ints] = []
    for day in range(days):
        since = day - int(stream.first_day)
        if since < 0 or (stream.days == "every_other" and since % 2) or (stream.days == "one" and since):
            continue
        n = max(1, round(daily * growth**since * draw.rng.uniform(0.85, 1.15)))
        offsets = draw.offsets_ms(n, opens, closes)
        if bursts:
            apart = (closes - opens) / bursts
            which = np.arange(n) * bursts // n
            offsets = (opens + which * apart + draw.rng.random(n) * burst_ms).astype(np.int64)
        found.append(np.sort(start_ms + day * DAY_MS + offsets))
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _callees(stream: CallStream, draw: TenantDraw, place: StreamPlace, n: int) -> Ints:
    pool = max(1, draw.whole(stream.pool))
    anyone = draw.rng.integers(0, pool, n)
    if stream.callees == "own":
        return np.asarray(own_base(np.array([place.seed], dtype=np.uint64))[0] + CALLED_OWN + anyone)
    if stream.callees == "known":
        return customer(place.salt, anyone)
    if stream.callees == "fresh":
        return customer(place.salt, np.arange(n))
    first = customer(place.salt, np.zeros(1, dtype=np.int64))[0] // 100_000 * 100_000
    if stream.callees == "district":
        return np.asarray(first + anyone)
    step = 1 + (draw.rng.random(n) < draw.number(stream.gaps))
    return np.asarray(first + np.cumsum(step * max(1, draw.whole(stream.stride))))


def _callers(stream: CallStream, draw: TenantDraw, place: StreamPlace, n: int) -> Ints:
    # Streams of one tenant call from numbers of their own.
    first = own_base(np.array([place.seed], dtype=np.uint64))[0] + place.stream * 10_000
    each = draw.whole(stream.per_caller)
    if each:
        return np.asarray(first + np.arange(n) // each)
    return np.asarray(first + draw.rng.integers(0, max(1, draw.whole(stream.callers)), n))


def _times_and_end(
    stream: CallStream, draw: TenantDraw, start: Ints, outcome: Ints, inbound: NDArray[np.bool_]
) -> dict[str, Ints]:
    """Ring, answer and end of each call, and who ended it."""
    rng, n = draw.rng, len(start)
    answered, cancelled = outcome == ANSWERED, outcome == CANCELLED
    rang = answered | cancelled | (outcome == NO_ANSWER) | (outcome == REJECTED)
    ring = start + rng.uniform(500, 5_000, n).astype(np.int64)
    cancel_ms = draw.number(stream.cancel_s) * 1_000
    rung_ms = np.select(
        [answered, outcome == REJECTED, cancelled],
        [rng.uniform(2_000, 25_000, n), rng.uniform(2_000, 12_000, n), rng.uniform(0.4, 1.4, n) * cancel_ms],
        rng.uniform(15_000, 60_000, n),
    ).astype(np.int64)
    talk_ms = (draw.talk_s(stream.talk, n) * 1_000).astype(np.int64)
    failed_after = rng.uniform(300, 4_000, n).astype(np.int64)
    end = np.where(rang, ring + rung_ms, start + failed_after) + np.where(answered, talk_ms, 0)
    by_callee = rng.random(n) < draw.number(stream.callee_hangs_up)
    by_answered = np.where(by_callee, BY_CALLEE, BY_CALLER)
    machine = rng.random(n) < draw.number(stream.machine)
    return {
        "ring": np.where(rang, ring, NONE),
        "answer": np.where(answered, ring + rung_ms, NONE),
        "end": end,
        "hangup": np.select([answered, outcome == REJECTED, cancelled], [by_answered, BY_CALLEE, BY_CALLER], BY_SYSTEM),
        "answered_by": np.where(answered, np.where(machine & ~inbound, MACHINE, HUMAN), 0),
    }


def joined(parts: list[SimulatedCalls], first_serial: int) -> SimulatedCalls:
    """Calls of several streams in the order of their ends, numbered."""
    order = np.argsort(np.concatenate([part.end for part in parts]), kind="stable")
    names = [column.name for column in fields(SimulatedCalls)]
    calls = SimulatedCalls(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in names))
    calls.serial = np.arange(first_serial, first_serial + len(calls))
    return calls
