"""The interface of an assembler for a process: ticks without events, and calls that end in parts."""

import random

import pytest
from call_events import HOUR, MINUTE, SECOND, START, Log, Logged, call, codes, event, records, written

from monitor.adapters.assembly.assembler import MOST_CALL_CHARS, AssemblyLimits


def test_a_tick_ends_the_calls_of_a_live_source_in_time() -> None:
    log = Log()
    log.feed(*call())
    log.assembler.tick(START + 23 * SECOND - 1)
    assert not log.assembler.due
    log.assembler.tick(START + 23 * SECOND)
    assert [found.call_id for found in records(log.assembler.end_due())] == ["leg-1"]


def test_a_tick_leaves_old_events_the_time_that_they_would_have_had() -> None:
    log, delay = Log(), 48 * HOUR
    log.feed(
        Logged(event("initiated", 0).value, START + delay), Logged(event("answered", 1).value, START + delay + 500)
    )
    log.assembler.tick(START + delay + HOUR)
    assert (log.assembler.clock_ms, log.assembler.end_due()) == (START + HOUR, [])
    log.restart()
    log.feed(Logged(event("hangup", 2 * HOUR).value, START + delay + HOUR))
    log.assembler.tick(START + delay + HOUR + 10 * SECOND)
    assert [found.end_ms for found in records(log.assembler.end_due())] == [START + 2 * HOUR]


@pytest.mark.parametrize("ahead", [-1, HOUR])
def test_no_event_moves_a_tick_beyond_its_timestamp(ahead: int) -> None:
    log = Log()
    log.feed(event("initiated", 0))
    log.feed(Logged(event("initiated", ahead, "leg-2").value, START))
    log.assembler.tick(START + MINUTE)
    assert log.assembler.clock_ms == START + MINUTE


def test_a_tick_before_any_event_moves_nothing() -> None:
    log = Log()
    log.assembler.tick(START)
    assert (log.assembler.clock_ms, log.assembler.changes()) == (0, [])


@pytest.mark.parametrize("seed", range(10))
def test_calls_that_end_in_parts_end_as_at_once_wherever_the_process_restarts(seed: int) -> None:
    rng = random.Random(seed)
    events = [each for n in range(60) for each in call(f"leg-{n}", rng.randrange(20 * SECOND), tenant=f"t{n % 7}")]
    events.sort(key=lambda each: each.timestamp_ms)
    whole, parts = Log(AssemblyLimits(open_calls=50)), Log(AssemblyLimits(open_calls=50))
    for log in (whole, parts):
        log.feed(*events)
        log.assembler.tick(START + 5 * MINUTE)
    whole.results += whole.assembler.end_due()
    while parts.assembler.due:
        parts.results += parts.assembler.end_due(rng.randint(1, 9))
        if rng.random() < 0.5:
            parts.restart()
    assert written(parts.results) == written(whole.results)
    whole.store()
    parts.store()
    assert parts.state == whole.state


def test_one_part_writes_no_more_than_it_is_asked_for() -> None:
    log = Log()
    log.feed(*(event("initiated", 0, f"leg-{n}") for n in range(100)))
    log.store()
    log.assembler.tick(START + HOUR)
    assert len(log.assembler.end_due(10)) == 10
    assert len(log.assembler.changes()) == 11  # and the progress
    while log.assembler.due:
        log.assembler.end_due(10)
        assert len(log.assembler.changes()) <= 11
    log.assembler.tick(START + 2 * HOUR)
    assert log.assembler.due  # the ended calls can be forgotten
    assert log.assembler.end_due(10) == []
    assert len(log.assembler.changes()) == 11


def test_a_call_keeps_so_much_that_its_state_fits_into_a_record() -> None:
    log = Log()
    kinds = ("initiated", "answered", "hangup", "machine.detection.ended")
    long = {"from": "\x01" * 16_000, "to": "\x01" * 300}
    found = [log.feed(event(kind, 0, **long)) for kind in kinds]
    assert [codes(each) for each in found] == [[], [], [], ["too_long"]]
    assert 6 * MOST_CALL_CHARS < 900_000
    log.store()
    assert max(len(value) for value in log.state.values()) < 900_000
    assert log.assembler.touched_chars == 0
