"""A tenant's records cost as much per record, in stored bytes and in work, after thousands of them as
at the beginning.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from helpers.shard_harness import ShardHarness, StoredShardHarness, escalation
from helpers.shard_samples import T0
from monitor.core.tenants.seen_versions import VERSIONS_TOGETHER, SeenVersions, VersionRun
from monitor.core.tenants.tenant_record import PAGE_SIZES

KEPT = {"defaults": {"retention": "400d"}}
FEW, MANY = 100, 4_000

Give = Callable[[StoredShardHarness, float, int], None]


def a_complaint(harness: StoredShardHarness, minute: float, n: int) -> None:
    harness.complaint(minute, "received", name=f"complaint-{n:08}")


def a_verified_complaint(harness: StoredShardHarness, minute: float, n: int) -> None:
    harness.complaint(minute, name=f"complaint-{n:08}")


def a_finding(harness: StoredShardHarness, minute: float, n: int) -> None:
    harness.finding(minute, "suspected", name=f"finding-{n:08}")


def an_application(harness: StoredShardHarness, minute: float, n: int) -> None:
    harness.application(minute, "callbacks", name=f"application-{n:08}")


def a_version_of_an_application(harness: StoredShardHarness, minute: float, n: int) -> None:
    harness.application(minute, "callbacks", name="application")


def a_version_of_the_tenant(harness: StoredShardHarness, minute: float, n: int) -> None:
    harness.tenant(minute, "Alpha")


def stored_at(harness: StoredShardHarness, give: Give, serial: "count[int]", last: int) -> tuple[int, int]:
    """The number of entries and bytes that one more record changes, the maximum of eight, after ``last`` records."""
    while (n := next(serial)) < last:
        give(harness, n / 10, n)
    harness.until(n / 10)
    harness.store()
    most = 0, 0
    for _ in range(8):
        give(harness, n / 10, n)
        n = next(serial)
        harness.until(n / 10)
        changed = harness.store()
        assert changed, "no change followed"
        most = max(most[0], len(changed)), max(most[1], sum(len(blob or b"") for blob in changed.values()))
    return most


@pytest.mark.parametrize(
    "give",
    [
        a_complaint,
        a_verified_complaint,
        a_finding,
        an_application,
        a_version_of_an_application,
        a_version_of_the_tenant,
    ],
)
def test_one_record_more_changes_as_few_bytes_after_thousands_as_after_a_hundred(give: Give) -> None:
    harness = StoredShardHarness(**KEPT)
    serial = count()
    few = stored_at(harness, give, serial, FEW)
    many = stored_at(harness, give, serial, MANY)
    assert many[0] <= 4, "entries"
    assert many[1] < 2 * few[1] + 1_000, f"{few[1]} bytes after {FEW} records, {many[1]} after {MANY}"


def test_a_complaint_of_long_ago_that_changes_rewrites_its_own_page_alone() -> None:
    harness = StoredShardHarness(**KEPT)
    for n in range(1_000):
        harness.complaint(n / 100, "received", name=f"p{n}")
    harness.until(10)
    harness.store()
    harness.complaint(11, "dismissed", name="p77")
    harness.until(12)
    assert list(harness.store()) == [f"c0.{77 // PAGE_SIZES['c']}"]


def test_forgotten_records_are_deleted_from_the_stored_state() -> None:
    harness = StoredShardHarness(defaults={"retention": "72h"})
    for n in range(300):
        harness.complaint(n, name=f"p{n}")
        harness.complaint(n + 0.5, "dismissed", name=f"p{n}")
        harness.finding(n, "suspected", name=f"f{n}")
        harness.application(n, "callbacks", name=f"n{n % 3}")
    harness.until(300)
    harness.store()
    assert {key[0] for key in harness.stored} >= set("cdqvt")
    harness.tenant(300 + 72 * 60, "Alpha")
    harness.until(301 + 72 * 60)
    harness.store()
    assert [key for key in sorted(harness.stored) if key[0] in "cdqv"] == ["v0.0"], "the tenant's own record alone"


@pytest.mark.parametrize("order", [1, -1, 7])
def test_versions_are_found_whatever_order_they_came_in_and_stay_in_short_runs(order: int) -> None:
    first, *others = [T0 + (n * order) % 1_009 for n in range(1_009)]
    seen = SeenVersions([VersionRun("tenant:acme", T0, [first])])
    for n, version in enumerate(others, 1):
        assert not seen.has(version)
        changed = seen.take(version, T0 + n)
        assert any(version in run.versions for run in changed)
        assert len(changed) <= 2
    assert [version for run in seen.runs for version in run.versions] == sorted([first, *others])
    assert all(seen.has(version) for version in [first, *others])
    assert not seen.has(min(first, *others) - 1)
    assert seen.last_ms == T0 + 1_008
    assert max(len(run.versions) for run in seen.runs) <= VERSIONS_TOGETHER
    assert len(seen.runs) <= 2.1 * 1_009 / VERSIONS_TOGETHER + 1


class Unwalkable(list[Any]):
    """A list that may be kept and not iterated."""

    def __iter__(self) -> Any:
        raise AssertionError("all that an escalation has used was walked through")


def test_a_reversal_does_not_walk_through_all_that_a_pending_escalation_has_used() -> None:
    harness = ShardHarness(escalations=[escalation(at_least=50)])
    for n in range(60):
        harness.complaint(n / 10, name=f"p{n}")
    harness.until(6)
    (use,) = harness.shard.decisions._uses._uses.values()
    used = use.violations
    assert len(used) == 50
    use.violations = Unwalkable(used)
    harness.complaint(7, "dismissed", name="p55")  # which it has not used
    harness.until(8)
    use.at_least = 48  # two reversals leave enough
    harness.complaint(9, "dismissed", name="p1")
    harness.complaint(9, "dismissed", name="p2")
    assert [event.data.kind for event in harness.until(10)] == ["reversal", "reversal"]
    assert use.left == 48
    use.violations = used
    harness.complaint(11, "dismissed", name="p3")
    assert [event.data.kind for event in harness.until(12)] == ["reversal", "reversal"], "the escalation falls, too"
