"""Little more than the changes is stored: a shard recreated from the changes equals the live one, after any traffic."""

import msgspec
import pytest

from helpers.shard_harness import StoredShardHarness, rule
from helpers.shard_samples import MINUTE, T0
from helpers.shard_traffic import Traffic, all_of
from helpers.thorough import thorough
from monitor.core.shard_state import ShardState
from monitor.core.tenants.alert_store import TENANTS_TOGETHER


@pytest.mark.parametrize("seed", thorough(range(25), 2))
def test_a_shard_recreated_from_the_changes_equals_the_live_one(seed: int) -> None:
    """Every change of a tenant record, deletions included, must be marked. This test finds an unmarked change."""
    print(f"seed {seed}")
    traffic = Traffic(seed)
    harness, minute = traffic.harness, 0
    for _ in range(60):
        start, minute = minute, minute + traffic.rng.choice((5, 10, 10, 35, 90, 1_500))
        traffic.give(start, minute)
        traffic.until(minute)
        if traffic.rng.random() < 0.6:
            harness.store()
            assert all_of(harness.restored()) == all_of(harness.shard)
        if traffic.rng.random() < 0.2:
            harness.restart()


def test_a_decision_is_stored_as_one_tenant_record_for_any_number_of_tenants() -> None:
    harness = StoredShardHarness(rules=[rule("one")])
    for n in range(2_500):
        harness.complaint(n / 1_000, name=f"p{n}", tenant_id=f"t{n}")
    harness.until(3)
    assert len(harness.store()) == 3 * 2_500 + 6  # a record, a complaint and a decision each
    harness.complaint(4, name="new", tenant_id="t7")
    assert harness.store() == {}
    harness.until(4)
    assert harness.store() == {}
    harness.until(4.01)
    assert list(harness.store()) == ["c7.0", "d7.0"]
    harness.complaint(4.5, "received", name="of-a-new-tenant", tenant_id="newcomer")
    harness.until(4.6)
    assert list(harness.store()) == ["n2", "t2500", "c2500.0", "e2"]
    harness.short_calls(4.7, tenant="t7")
    harness.until(5)
    assert list(harness.store()) == [f"f{T0:013d}", "t7", "d7.0", "e0", "a0"]
    harness.until(5.1)
    assert harness.store() == {}
    assert len(msgspec.msgpack.encode(harness.head)) < 1_000


def test_the_head_does_not_grow_with_the_alerts_and_one_more_rewrites_one_page() -> None:
    """It is written with every transaction: with 100,000 tenants in breach it would have had 8 MB."""
    harness = StoredShardHarness(rules=[rule("one", mode="shadow", min_denominator=2)])
    tenants = [f"t{n}" for n in range(64)]
    for tenant in tenants:
        harness.short_calls(1, 2, tenant=tenant)
    empty = len(msgspec.msgpack.encode(harness.head))
    harness.until(5)
    pages = [key for key in harness.store() if key[0] == "a"]
    assert len(pages) == len(tenants) // TENANTS_TOGETHER
    assert len(harness.shard.evaluator.alert_states.active().firing["one"]) == len(tenants)
    assert len(msgspec.msgpack.encode(harness.head)) < empty + 100
    harness.short_calls(6, 7, 8, tenant="t40", talk_ms=60_000)  # its alert is resolved
    for tenant in tenants:
        harness.short_calls(6, tenant=tenant)
    harness.until(10)
    changed = harness.store()
    assert [key for key in changed if key[0] == "a"] == [f"a{40 // TENANTS_TOGETHER}"]
    assert max(len(value) for key, value in harness.stored.items() if key[0] == "a") < 2_000
    assert all_of(harness.restored()) == all_of(harness.shard)


def test_alerts_that_are_over_leave_nothing_in_the_state() -> None:
    harness = StoredShardHarness(rules=[rule("one", mode="shadow", min_denominator=2)])
    harness.short_calls(1, 2)
    harness.until(5)
    harness.store()
    assert "a0" in harness.stored
    harness.short_calls(6, 7, 8, 9, talk_ms=60_000)
    harness.until(10)
    assert harness.store()["a0"] is None


def test_alerts_and_calls_alone_make_no_tenant_record() -> None:
    harness = StoredShardHarness(
        rules=[rule("one", mode="shadow", min_denominator=2), rule("two", above=0.9, mode="shadow")]
    )
    harness.short_calls(1, 2, tenant="bravo")
    harness.short_calls(1, 2, talk_ms=90_000)
    harness.until(5)
    assert [alert.tenant_id for alert in harness.output.alerts] == ["bravo", "bravo"]
    assert list(harness.store()) == [f"f{T0:013d}", "n0", "t0", "e0", "a0"]


def test_the_first_row_that_is_needed_again_is_reported_with_the_clock_before_it() -> None:
    harness = StoredShardHarness(rules=[rule("one")])
    assert ShardState(harness.shard).open_since() == {}
    for minute in (3, 1, 2, 9):  # offsets 1 to 4
        harness.complaint(minute, name=f"p{minute}")
    at = [T0 + minute * MINUTE for minute in (3, 1, 2, 9)]
    assert ShardState(harness.shard).open_since() == {0: (1, at[0])}
    harness.until(2.5)
    assert ShardState(harness.shard).open_since() == {0: (1, at[0])}
    harness.until(4)
    assert ShardState(harness.shard).open_since() == {0: (4, at[3])}
    harness.until(10)
    assert ShardState(harness.shard).open_since() == {}
