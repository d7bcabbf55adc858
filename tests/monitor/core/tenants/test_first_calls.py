"""Rules with `first`: judged only at ends in (f, f + first], for any order of calls, restarts and rescales."""

import random
from typing import Any

import numpy as np
import pytest

from helpers.shard_harness import ShardHarness, StoredShardHarness, rule
from helpers.shard_samples import MINUTE, T0
from monitor.core.tenants.first_calls import LONG_AGO, NEVER, FirstCalls, decode_first_calls, encode_first_calls

HOUR = 60 * MINUTE


def judged_ends(harness: ShardHarness) -> list[float]:
    """The ends of the windows that the harness wrote, in minutes."""
    return [(window.end_ms - T0) / MINUTE for window in harness.output.windows]


def watched(**changes: Any) -> ShardHarness:
    """A harness with one rule that is judged in the first 20 minutes of a tenant, and writes its windows."""
    harness = ShardHarness(rules=[rule("young", first="20m", mode="shadow", **changes)])
    harness.shard.evaluator.keep_windows = True
    return harness


@pytest.mark.parametrize(
    ("first", "ends"),
    [
        (0.0, [5, 10, 15, 20]),  # the end at f + 20 m is the last one
        (0.1, [5, 10, 15, 20]),
        (4.9, [5, 10, 15, 20]),
        (5.0, [10, 15, 20, 25]),  # the end at f itself is not judged
    ],
)
def test_a_rule_is_judged_at_the_ends_after_the_first_call_up_to_its_limit(first: float, ends: list[int]) -> None:
    harness = watched()
    harness.short_calls(first, *range(6, 60))
    harness.until(60)
    assert judged_ends(harness) == ends
    assert all(event.data.decided_ms <= T0 + 20 * MINUTE + first * MINUTE for event in harness.output.shadow)


def test_an_earlier_call_that_is_read_later_counts() -> None:
    harness = watched()
    harness.short_calls(12, 13)
    harness.short_calls(3)
    harness.short_calls(*range(14, 60))
    harness.until(60)
    assert judged_ends(harness) == [5, 10, 15, 20]


def test_the_alert_that_still_fires_resolves_at_the_first_end_after_without_a_measure() -> None:
    harness = ShardHarness(rules=[rule("young", first="20m"), rule("old")])
    harness.short_calls(*range(1, 60))
    harness.until(57)
    found = {
        alert.rule_id: (alert.updated_ms, alert.measure) for alert in harness.output.alerts if alert.state == "resolved"
    }
    assert found == {"young": (T0 + 25 * MINUTE, None)}


def test_a_tenant_without_a_call_is_not_judged() -> None:
    harness = ShardHarness(rules=[rule("young", metric="complaints", above=0, first="20m")])
    harness.complaint(1)
    assert [event.data.rule_id for event in harness.until(7)] == ["blind_calling"], "only the complaint decides"
    assert not harness.output.alerts
    harness.short_calls(8)
    harness.until(20)
    assert [alert.state for alert in harness.output.alerts] == ["firing", "resolved"]


def test_an_override_may_set_the_limit_or_take_it_away() -> None:
    signed = {"owner": "ops", "reason": "why", "expires": "2099-01-01"}
    overrides = [
        {"tenant": "acme", "rule": "young", "first": "10m", **signed},
        {"tenant": "bravo", "rule": "young", "first": None, **signed},
    ]
    harness = ShardHarness(rules=[rule("young", first="20m", mode="shadow")], overrides=overrides)
    harness.shard.evaluator.keep_windows = True
    for tenant in ("acme", "bravo", "coral"):
        harness.short_calls(*range(1, 40), tenant=tenant)
    harness.until(35)
    last = {}
    for window in harness.output.windows:
        last[window.tenant_id] = (window.end_ms - T0) // MINUTE
    assert last == {"acme": 10, "bravo": 35, "coral": 20}


def test_the_first_call_is_kept_in_the_state_at_every_restart() -> None:
    rng = random.Random(4)
    plain, stored = (
        kind(rules=[rule("young", first="45m", mode="shadow"), rule("old", mode="shadow", window="15m")])
        for kind in (ShardHarness, StoredShardHarness)
    )
    seen: list[list[str]] = [[], []]
    for minute in range(1, 90, 2):
        tenant = rng.choice(("acme", "bravo", "coral", "delta"))
        for at, harness in enumerate((plain, stored)):
            harness.short_calls(minute - 0.5, tenant=tenant)
            harness.until(minute)
            seen[at] += [event.id for event in harness.output.shadow]
        if minute % 5 == 0 and rng.random() < 0.5:  # everything read is in closed panes
            stored.restart()
    assert seen[0]
    assert seen[0] == seen[1]


def test_the_entries_hold_all_tenants_and_only_the_changed_ones_are_written() -> None:
    rng = np.random.default_rng(1)
    first = FirstCalls()
    entries: dict[str, bytes] = {}
    known = np.full(0, NEVER)
    for tenants in (1, 999, 1_000, 1_001, 2_500):
        known = np.append(known, np.full(tenants - len(known), NEVER))
        who = rng.integers(0, tenants, 40)
        times = T0 + rng.integers(0, HOUR, 40)
        before = known.copy()
        np.minimum.at(known, who, times)
        assert first.take(who.astype(np.int32), times) == np.flatnonzero(known != before).tolist()
        entries |= first.changes(tenants)
        assert first.changes(tenants) == {}
        assert (decode_first_calls(entries, tenants) == known).all()
        assert encode_first_calls(known).keys() == entries.keys()
    assert first.take(np.array([7, 1_600]), np.array([T0 - 1, T0 - 2])) == [7, 1_600]
    assert first.changes(2_500).keys() == {"e0", "e1"}


def test_tenants_of_a_state_without_first_calls_are_not_new() -> None:
    restored = FirstCalls()
    restored.restore(decode_first_calls({}, 3))
    assert restored.take(np.array([0, 3]), np.array([T0, T0])) == [3]
    assert restored.within(np.arange(4), 30 * 24 * HOUR, T0 + HOUR).tolist() == [False, False, False, True]
    entries = restored.changes(5)
    assert decode_first_calls(entries, 5).tolist() == [LONG_AGO, LONG_AGO, LONG_AGO, T0, NEVER]
