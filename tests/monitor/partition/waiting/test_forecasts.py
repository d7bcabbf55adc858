"""The time that is named is that of the decision: brute-force clocks reach the same watermark then."""

import random

import pytest

from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.decisions.pending_records import PendingRecords
from monitor.core.record_ref import RecordRef
from monitor.decoding.late_line import LateLine
from monitor.partition.idleness import CALLS, QuietSource, clock_ms
from monitor.partition.waiting.decision_times import (
    DecisionForecast,
    DecisionTime,
    SourceForecast,
    WaitCause,
    _reached,
    grace_ms,
    source_forecast,
)
from schemas.inputs import Complaint

NOW, SECOND, MINUTE, HOUR = 1_772_452_800_000, 1_000, 60_000, 3_600_000
IDLE = 30 * SECOND


def test_a_late_line_is_reached_at_its_least_clock() -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(300):
        starts = sorted(rng.sample(range(100, 200), rng.randrange(4)))
        line = LateLine(rng.randrange(30), tuple((start, rng.randrange(30)) for start in starts))
        target = rng.randrange(80, 260)
        least = next(clock for clock in range(500) if line.line(clock) >= target)
        assert line.clock_ms(target) == least, (line, target)


def test_the_time_is_that_at_which_the_least_clock_arrives() -> None:
    """Clocks are moved as the worker moves them, millisecond by millisecond."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(200):
        grace, idle, lateness = rng.randrange(1, 60), rng.randrange(1, 20), rng.randrange(40)
        current, ended = rng.random() < 0.2, rng.random() < 0.2
        now = 1_000
        clocks = [rng.choice((0, rng.randrange(900, 1_000))) for _ in range(3)]
        quiet = [QuietSource(rng.randrange(30), rng.randrange(5)) for _ in clocks]
        sources = [
            source_forecast(clock, 0, one, now, idle, grace_ms(source, grace, current, ended))
            for source, (clock, one) in enumerate(zip(clocks, quiet, strict=True))
        ]
        target = rng.randrange(880, 1_020)
        found = _reached(target, target + lateness, sources, now)
        at = now
        while True:
            live = []
            for source, (clock, one) in enumerate(zip(clocks, quiet, strict=True)):
                silent = at - (now - one.for_ms - one.ago_ms) >= idle
                follows = clock_ms(CALLS if source == 0 else "complaints", at, grace, current or ended)
                live.append(max(clock, follows) if silent else clock)
            if min(live) - lateness >= target:
                break
            at += 1
        assert found.at_ms == at, (clocks, quiet, grace, idle, lateness, target)


def test_the_source_that_comes_last_and_its_cause_are_named() -> None:
    grace = SourceForecast(NOW, NOW + IDLE, 4 * HOUR)
    other = SourceForecast(NOW, NOW + IDLE)
    record = _reached(NOW, NOW + 10 * MINUTE + 1, [grace, other], NOW)
    assert record == DecisionTime(NOW, NOW + 10 * MINUTE + 1 + 4 * HOUR, 0, WaitCause.OUTAGE_GRACE)
    assert _reached(NOW, NOW + MINUTE, [other, other], NOW) == DecisionTime(NOW, NOW + MINUTE, 0, WaitCause.LATENESS)
    silent = _reached(NOW, NOW + SECOND, [SourceForecast(NOW + MINUTE, None), other], NOW)
    assert silent == DecisionTime(NOW, NOW + IDLE, 1, WaitCause.SILENCE)
    unread = _reached(NOW, NOW + SECOND, [grace, SourceForecast(NOW, None)], NOW)
    assert unread == DecisionTime(NOW, None, 1, WaitCause.UNREAD)
    assert DecisionForecast(record, {MINUTE: unread}).last == unread
    assert DecisionForecast(record, {MINUTE: silent}).last == record
    assert DecisionForecast(None, {}).last is None


@pytest.mark.parametrize(("current", "ended", "behind"), [(False, False, HOUR), (True, False, 0), (False, True, 0)])
def test_the_grace_is_only_that_of_calls_that_may_be_missing(current: bool, ended: bool, behind: int) -> None:
    assert grace_ms(0, HOUR, current, ended) == behind
    assert grace_ms(1, HOUR, current, ended) == 0


def test_the_newest_waiting_record_is_known_without_a_search() -> None:
    pending = PendingRecords()
    assert pending.newest_ms is None
    for offset, at_ms in enumerate((5, 9, 7)):
        record = Complaint(str(offset), "t", "fraud", "verified", at_ms, at_ms)
        pending.add(PendingRecord.of(record, at_ms, RecordRef(0, 1, offset, 0), b""))
    for _ in range(3):
        assert pending.newest_ms == 9
        pending.pop()
    assert pending.newest_ms is None
