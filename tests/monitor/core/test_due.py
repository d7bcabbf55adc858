"""Whether a decision is due: a shard that advances only then equals one that always advances."""

import random
from typing import Any

import pytest

from helpers.shard_harness import StoredShardHarness, rule
from helpers.shard_samples import HOUR, MINUTE, T0
from helpers.shard_traffic import Traffic, all_of
from helpers.thorough import thorough
from monitor.core.due_work import is_due
from monitor.core.results import Output


def decided_by(traffic: Traffic) -> dict[str, Any]:
    """The whole state, except the panes' boundary up to which there was nothing to close."""
    whole = all_of(traffic.harness.shard)
    return {**whole, "head": {**whole["head"], "sealed_ms": 0}}


@pytest.mark.parametrize("seed", thorough(range(8), 1, soak=range(8, 40)))
def test_where_nothing_is_due_advancing_changes_nothing(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    always, asked = Traffic(seed), Traffic(seed)
    minute = 0.0
    idle = 0
    for _ in range(40):
        start, minute = minute, minute + rng.choice((5, 10, 10, 35, 90, 1_500))
        always.give(start, minute)
        asked.give(start, minute)
        for tick in sorted([rng.uniform(start, minute) for _ in range(6)] + [minute]):
            watermark_ms = T0 + round(tick * MINUTE)
            due = is_due(always.harness.shard, watermark_ms)
            assert is_due(asked.harness.shard, watermark_ms) == due
            before = decided_by(always)
            always.until(tick)
            if due:
                asked.until(tick)
                assert asked.harness.output == always.harness.output
            else:
                idle += 1
                assert always.harness.output == Output()
                assert decided_by(always) == before
            assert not is_due(always.harness.shard, watermark_ms)
            assert decided_by(asked) == decided_by(always)
        if rng.random() < 0.2:
            always.harness.restart()
            asked.harness.restart()
    assert idle > 40


def due_at(harness: StoredShardHarness, *minutes: float) -> list[bool]:
    """At each of these watermarks, in minutes from `T0`, whether a decision is due there; if so, advance to it."""
    answers = []
    for minute in minutes:
        answers.append(is_due(harness.shard, T0 + round(minute * MINUTE)))
        if answers[-1]:
            harness.until(minute)
    return answers


def test_a_record_is_due_once_the_watermark_is_past_it() -> None:
    harness = StoredShardHarness()
    harness.finding(2)
    assert due_at(harness, 1, 2, 2.001, 2.002, 500) == [False, False, True, False, False]


def test_a_pending_decision_is_due_at_the_instant_of_its_lapse() -> None:
    harness = StoredShardHarness(defaults={"review_within": "30m"})
    harness.likely_ban(2)
    assert due_at(harness, 3, 31.999, 32, 32.001) == [True, False, True, False]


def test_calls_are_due_when_their_pane_ends_and_as_long_as_a_window_holds_them() -> None:
    harness = StoredShardHarness(rules=[rule("one", mode="shadow")])
    harness.short_calls(6)
    assert due_at(harness, 1, 9.999, 10, 10.5, 14.9, 15, 19.9, 20, 20.1, 25, 600) == [
        *(False, False, True, False, False, True, False, True, False, False, False)
    ]


def test_an_hour_is_due_when_it_ends_for_long_windows() -> None:
    harness = StoredShardHarness(rules=[rule("long", metric="answered", above=9, window="72h", step="1h")])
    harness.short_calls(6)
    assert due_at(harness, 10, 30, 59, 60, 61, 119, 120) == [True, False, False, True, False, False, True]
    assert not is_due(harness.shard, T0 + 2 * HOUR)
