"""Timestamps that jump: the broker's clock is wrong for a moment, or nothing came for days."""

import random

import pytest
from call_events import HOUR, MINUTE, SECOND, START, Log, Logged, call, codes, event, records, written

from helpers.thorough import thorough
from monitor.adapters.assembly.log_progress import CONFIRMED_MS, JUMP_MS, LogProgress

YEAR_2098 = 4_039_000_000_000
DAYS = 72 * HOUR


def ticks(log: Log, *timestamps_ms: int, restarts: bool = False) -> list[str]:
    """The calls that end by ticks at these times."""
    found = []
    for each in timestamps_ms:
        log.assembler.tick(each)
        found += log.assembler.end_due()
        if restarts:
            log.restart()
    log.results += found
    return [each.call_id for each in records(found)]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("jump_ms", [YEAR_2098, START + 2 * HOUR])
def test_one_tick_from_the_future_moves_no_clock(jump_ms: int, restarts: bool) -> None:
    log = Log()
    log.feed(*call("leg-1"))
    # A second tick of the same moment confirms nothing either.
    assert ticks(log, jump_ms, jump_ms + CONFIRMED_MS - 1, restarts=restarts) == []
    assert ticks(log, START + 23 * SECOND, restarts=restarts) == ["leg-1"]
    log.feed(*call("leg-2", MINUTE))
    assert ticks(log, START + MINUTE + 23 * SECOND, restarts=restarts) == ["leg-2"]
    assert log.assembler.clock_ms == START + MINUTE + 23 * SECOND


def test_an_event_of_the_future_that_the_broker_dates_there_costs_its_tenant_alone() -> None:
    log = Log()
    log.feed(*call("leg-1"))
    strange = event("initiated", 0, "strange", "other").value.replace(b'"occurred_at": "2026', b'"occurred_at": "2090')
    assert log.feed(Logged(strange, YEAR_2098)) == []
    assert log.assembler.clock_ms == START + 13 * SECOND
    assert ticks(log, START + 23 * SECOND) == ["leg-1"]
    log.feed(*call("leg-2", MINUTE))
    assert ticks(log, START + MINUTE + 23 * SECOND) == ["leg-2"]


@pytest.mark.parametrize("restarts", [False, True])
def test_after_days_without_events_the_next_tick_confirms_the_first(restarts: bool) -> None:
    log = Log()
    log.feed(*call("leg-1"))
    assert ticks(log, START + DAYS, restarts=restarts) == []
    assert log.assembler.clock_ms == START + 13 * SECOND
    assert ticks(log, START + DAYS + CONFIRMED_MS, restarts=restarts) == ["leg-1"]
    assert log.assembler.clock_ms == START + DAYS + CONFIRMED_MS


def test_after_days_without_events_a_call_ends_as_on_other_days() -> None:
    log = Log()
    log.feed(*call("leg-1"))
    ticks(log, START + MINUTE)
    log.feed(*call("leg-2", DAYS))
    assert ticks(log, START + DAYS + 23 * SECOND - 1) == []
    assert ticks(log, START + DAYS + 23 * SECOND) == ["leg-2"]


def test_a_jump_after_days_without_events_is_not_confirmed_by_a_greater_one() -> None:
    log = Log()
    log.feed(event("initiated", 0))
    ticks(log, START + DAYS, YEAR_2098)
    assert log.assembler.clock_ms == START + DAYS
    ticks(log, START + DAYS + CONFIRMED_MS)
    assert log.assembler.clock_ms == START + DAYS + CONFIRMED_MS


def test_a_wrong_timestamp_before_the_right_one_after_days_is_not_believed() -> None:
    log = Log()
    log.feed(event("initiated", 0))
    ticks(log, YEAR_2098, START + DAYS)
    assert log.assembler.clock_ms == START
    ticks(log, START + DAYS + CONFIRMED_MS)
    assert log.assembler.clock_ms == START + DAYS + CONFIRMED_MS


def test_up_to_an_hour_is_no_jump() -> None:
    log = Log()
    log.feed(event("initiated", 0))
    ticks(log, START + JUMP_MS)
    assert log.assembler.clock_ms == START + JUMP_MS


def test_the_clock_waits_for_a_broker_whose_clock_goes_back() -> None:
    log = Log()
    log.feed(*call("leg-1", HOUR))
    ticks(log, START)
    assert log.assembler.clock_ms == START + HOUR + 13 * SECOND
    log.feed(*call("leg-2", 30 * MINUTE))
    assert ticks(log, START + HOUR + 22 * SECOND) == []
    assert ticks(log, START + HOUR + 23 * SECOND) == ["leg-1", "leg-2"]


@pytest.mark.parametrize("seed", thorough(range(20), 8))
def test_jumps_and_idle_times_give_the_same_bytes_across_restarts(seed: int) -> None:
    chance = random.Random(seed)
    whole, broken = Log(), Log()
    now_ms = 0
    for n in range(80):
        now_ms += chance.choice([SECOND, CONFIRMED_MS, MINUTE, 2 * HOUR])
        wrong_ms = chance.choice([0, 0, 0, 0, 2 * HOUR, DAYS, -MINUTE])
        some = call(f"leg-{n % 30}", now_ms, tenant=chance.choice("ab"))
        for log in (whole, broken):
            log.feed(*(Logged(each.value, each.timestamp_ms + wrong_ms) for each in some))
            ticks(log, START + now_ms + wrong_ms)
        if chance.random() < 0.5:
            broken.restart()
    whole.store()
    broken.store()
    assert written(broken.results) == written(whole.results)
    assert broken.state == whole.state
    assert "" in codes(whole.results)


def test_a_call_of_a_jump_counts_from_its_confirmation() -> None:
    progress = LogProgress(0)
    progress.move(START, START)
    before = progress.next_serial()
    progress.move(START + DAYS, START + DAYS)
    within = progress.next_serial()
    progress.tick(START + DAYS + CONFIRMED_MS)
    assert progress.since(before, START) == START
    assert progress.since(within, START) == START + DAYS
    assert progress.since(progress.next_serial(), progress.clock_ms) == progress.clock_ms == START + DAYS + CONFIRMED_MS
