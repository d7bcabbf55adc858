"""Complaints in windows, counted as they arrive, against loops over all records that were decided before the end."""

import random
from typing import Any

import pytest
from hypothesis import strategies as st

from helpers.shard_samples import MINUTE, T0, policy_of
from helpers.thorough import examples
from monitor.core.decisions.cooldowns import Cooldowns
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.decisions.record_handlers import RecordHandlers
from monitor.core.owners.owner_bans import OwnerBans
from monitor.core.record_ref import RecordRef
from monitor.core.results import Output
from monitor.core.tenants.complaints import ComplaintWindow
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.catalogue import Catalogue
from monitor.policy.model import Policy
from schemas.inputs import Complaint

LENGTHS = (3, 10)  # of the windows, in minutes
TENANTS = ("acme", "bravo")
NAMES = ("records", "complaints", "verified", "complainants")
STATUSES = ("received", "verified", "dismissed")


def complaint(tenant: str, name: str, status: str, at_ms: int, written_ms: int, who: str | None) -> Complaint:
    return Complaint(
        complaint_id=name,
        tenant_id=tenant,
        category="other",
        status=status,  # type: ignore[arg-type]
        reported_ms=T0,
        updated_ms=written_ms,
        complainant=who,
    )


class ComplaintHarness:
    """The record handlers with windows of every length. Complaints are decided one at a time."""

    def __init__(self, policy: Policy) -> None:
        self.windows = [ComplaintWindow(length * MINUTE, bit, True, True) for bit, length in enumerate(LENGTHS)]
        self.tenant_records = TenantRecords(TENANTS)
        output, cooldowns = Output(), Cooldowns()
        self.idle = ComplaintWindow(LENGTHS[1] * MINUTE, len(LENGTHS), False, False)  # no rule uses its counts
        self.records = RecordHandlers(
            policy,
            Catalogue(()),
            DecisionLifecycle(policy, self.tenant_records, cooldowns, OwnerBans(policy.retention_ms), output),
            [*self.windows, self.idle],
            self.tenant_records,
            TENANTS.index,
            output,
        )
        self.output = output

    def decide(self, record: Complaint, at_ms: int, serial: int) -> None:
        self.records.decide(PendingRecord.of(record, at_ms, RecordRef(0, 0, serial, serial), b""))

    def counts(self, window: ComplaintWindow, end_ms: int) -> dict[str, list[int]]:
        window.leave(end_ms - window.window_ms)
        return {name: window.count(name, len(TENANTS)).tolist() for name in NAMES}

    def restarted(self, policy: Policy) -> "ComplaintHarness":
        """A harness restored from the tenant records, as after a restart: the windows start empty."""
        other = ComplaintHarness(policy)
        tenant_records = [self.tenant_records.of(tenant) for tenant in range(len(TENANTS))]
        other.tenant_records.restore(tenant_records)
        other.records.restore(tenant_records, [0] * (len(LENGTHS) + 1))
        return other


def plain_counts(decided: list[tuple[int, Complaint]], end_ms: int, length_ms: int) -> dict[str, list[int]]:
    """By section 4 of the contract, from all complaint records in decision order; repeated ones do not count."""
    counts: dict[str, list[int]] = {name: [] for name in NAMES}
    start_ms = end_ms - length_ms
    for tenant in TENANTS:
        lives: dict[str, dict[str, tuple[int, Complaint]]] = {}
        for at_ms, record in decided:
            if record.tenant_id == tenant:
                lives.setdefault(record.complaint_id, {}).setdefault(record.status, (at_ms, record))
        inside = [at_ms for life in lives.values() for at_ms, _ in life.values() if start_ms <= at_ms < end_ms]
        open_lives = [life for life in lives.values() if "dismissed" not in life]
        first = [life for life in open_lives if start_ms <= min(at for at, _ in life.values()) < end_ms]
        people = set()
        for life in first:
            newest = max(enumerate(life.values()), key=lambda one: (one[1][1].updated_ms, one[0]))[1][1]
            people.add(newest.complainant)
        counts["records"].append(len(inside))
        counts["complaints"].append(len(first))
        counts["verified"].append(
            sum("verified" in life and start_ms <= life["verified"][0] < end_ms for life in open_lives)
        )
        counts["complainants"].append(len(people - {None, ""}))
    return counts


def some_records(rng: random.Random, count: int) -> list[tuple[int, Complaint]]:
    """Complaints in decision order: few ids, so statuses follow, repeat, and name other complainants."""
    made, at_ms = [], T0
    for _ in range(count):
        at_ms += rng.choice((0, 0, 1, MINUTE // 2, MINUTE, 2 * MINUTE))
        written_ms = at_ms - rng.choice((0, 0, 1, 3 * MINUTE))
        name, who = f"p{rng.randrange(5)}", rng.choice(("w1", "w2", "w3", "", None))
        made.append((at_ms, complaint(rng.choice(TENANTS), name, rng.choice(STATUSES), at_ms, written_ms, who)))
    order = {status: place for place, status in enumerate(STATUSES)}
    return sorted(made, key=lambda one: (one[0], one[1].complaint_id, order[one[1].status]))


POLICY = policy_of()


@examples(st.integers(0, 2**32), st.integers(1, 40), st.booleans(), fast=37, most=150)
def test_windows_count_what_a_loop_over_the_records_counts(seed: int, count: int, restarts: bool) -> None:
    """At every minute: dismissed, renamed, leaving, repeated; with the handlers restored from the tenant records."""
    rng = random.Random(seed)
    todo = some_records(rng, count)
    harness = ComplaintHarness(POLICY)
    decided: list[tuple[int, Complaint]] = []
    end_ms = T0
    for serial, (at_ms, record) in enumerate(todo):
        while end_ms <= at_ms:
            for window, length in zip(harness.windows, LENGTHS, strict=True):
                expected = plain_counts(decided, end_ms, length * MINUTE)
                assert harness.counts(window, end_ms) == expected, (end_ms - T0, length)
                assert len(window) == sum(expected["records"])
            assert harness.counts(harness.idle, end_ms)["records"] == expected["records"]
            end_ms += MINUTE
            if restarts and rng.random() < 0.2:
                harness = harness.restarted(POLICY)
        harness.decide(record, at_ms, serial)
        decided.append((at_ms, record))
    last_ms = todo[-1][0] // MINUTE * MINUTE + MINUTE
    for window, length in zip(harness.windows, LENGTHS, strict=True):
        assert harness.counts(window, last_ms) == plain_counts(decided, last_ms, length * MINUTE)
        assert harness.counts(window, last_ms + 11 * MINUTE) == {name: [0, 0] for name in NAMES}


def counts_after(*records: tuple[int, str, str, str | None], written: dict[int, int] | None = None) -> dict[str, int]:
    """Counts of the longer window a minute after the last of these records ``(minute, id, status, complainant)``."""
    harness = ComplaintHarness(POLICY)
    for serial, (minute, name, status, who) in enumerate(records):
        at_ms = T0 + minute * MINUTE
        written_ms = at_ms if written is None else T0 + written.get(serial, minute) * MINUTE
        harness.decide(complaint("acme", name, status, at_ms, written_ms, who), at_ms, serial)
    counted = harness.counts(harness.windows[1], T0 + (records[-1][0] + 1) * MINUTE)
    return {name: column[0] for name, column in counted.items()}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        # The first record need not be `received`.
        ([(0, "p1", "verified", "w1")], (1, 1, 1, 1)),
        # One complainant, two complaints.
        ([(0, "p1", "received", "w1"), (1, "p2", "received", "w1")], (2, 2, 0, 1)),
        # Dismissed: it leaves every count, but the tenant is still evaluated.
        ([(0, "p1", "received", "w1"), (1, "p1", "verified", "w1"), (2, "p1", "dismissed", "w1")], (3, 0, 0, 0)),
        # A complaint that is dismissed first stays dismissed.
        ([(0, "p1", "dismissed", "w1"), (1, "p1", "verified", "w1"), (2, "p1", "received", "w1")], (3, 0, 0, 0)),
        # The newest record names another complainant, or none.
        ([(0, "p1", "received", "w1"), (1, "p1", "verified", "w2"), (1, "p2", "received", "w2")], (3, 2, 1, 1)),
        ([(0, "p1", "received", "w1"), (1, "p1", "verified", None)], (2, 1, 1, 0)),
        # A repeated record does not count, whatever it contains.
        ([(0, "p1", "received", "w1"), (1, "p1", "received", "w2")], (1, 1, 0, 1)),
    ],
)
def test_each_sentence_on_complaints_holds(records: list[Any], expected: tuple[int, int, int, int]) -> None:
    assert counts_after(*records) == dict(zip(NAMES, expected, strict=True))


def test_the_newest_record_is_that_of_the_largest_time_as_written() -> None:
    """A record that was raised to the late line, or came late in the log, does not determine the complainant."""
    said = (0, "p1", "received", "w1"), (1, "p1", "verified", "w2"), (2, "p2", "received", "w1")
    assert counts_after(*said, written={1: -5})["complainants"] == 1
    assert counts_after(*said)["complainants"] == 2


def test_a_dismissed_duplicate_of_a_repeated_record_counts_as_a_duplicate() -> None:
    harness = ComplaintHarness(POLICY)
    for serial, at_ms in enumerate((T0, T0 + 1, T0 + 2)):
        harness.decide(complaint("acme", "p1", "dismissed", at_ms, at_ms, None), at_ms, serial)
    assert harness.output.duplicates == 2
    assert len(harness.windows[0]) == 1


def test_a_version_is_another_whenever_a_count_is() -> None:
    """The evaluator skips a window whose version it has evaluated."""
    harness = ComplaintHarness(POLICY)
    versions = [harness.windows[0].version]
    for serial, (status, who) in enumerate((("received", "w1"), ("verified", "w2"), ("dismissed", "w2"))):
        at_ms = T0 + serial
        harness.decide(complaint("acme", "p1", status, at_ms, at_ms, who), at_ms, serial)
        versions.append(harness.windows[0].version)
    harness.windows[0].leave(T0 + MINUTE)
    versions.append(harness.windows[0].version)
    assert versions == sorted(set(versions))
