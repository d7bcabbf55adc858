"""The distances of tenants from escalations: against a plain loop over the events of random decisions, and bounded."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from helpers.shard_harness import ShardHarness, StoredShardHarness, escalation, rule
from helpers.shard_samples import MINUTE, T0
from helpers.thorough import thorough
from monitor.core.escalation_distance import FAR, EscalationDistances, NearEscalation
from monitor.core.escalation_distance import measure_escalations as measure
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.core.threshold_distance import DistanceOptions, measure_distances, merge_distances
from schemas.outputs import Enforcement

ALL = 1_000_000


@dataclass
class Account:
    """One tenant as its events tell: violations on record with their times, stops, and what escalations used."""

    violations: dict[str, int] = field(default_factory=dict)
    counting: set[str] = field(default_factory=set)
    rules: dict[str, str] = field(default_factory=dict)  # of the violations by measured rules
    stops: set[str] = field(default_factory=set)
    used: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # by the escalation's event
    pending: set[str] = field(default_factory=set)

    def tell(self, event: Enforcement, at_least: dict[str, int]) -> None:
        """Take an event into account."""
        data = event.data
        if data.kind in ("reversal", "lapse"):
            assert data.reverses is not None
            self.violations.pop(data.reverses, None)
            self.stops.discard(data.reverses)
            if data.reverses in self.pending and data.reverses in self.used:
                escalation_id, used = self.used[data.reverses]
                # It was reversed because too little of what it used was left: the rest may be used again.
                left = [one for one in used if one in self.violations]
                if len(self.groups(left, escalation_id in ONCE)) < at_least[escalation_id]:
                    del self.used[data.reverses]
            self.pending.discard(data.reverses)
            return
        if data.behaviour == "repeat_violation" and data.supersedes is None:
            used = list(data.evidence.enforcement_ids)
            if data.rule_id in ONCE:  # the event names only those that count
                taken = self.taken(data.rule_id)
                since_ms = data.decided_ms - ONCE[data.rule_id]
                used = [one for one, at in self.violations.items() if at > since_ms and one in self.counting - taken]
            self.used[event.id] = data.rule_id, used
        if data.status == "pending_review":
            self.pending.add(event.id)
            return
        if data.supersedes is not None:
            self.pending.discard(data.supersedes)
        if "record_violation" in data.actions:
            self.violations[event.id] = data.decided_ms
            if data.behaviour != "repeat_violation":
                self.counting.add(event.id)
            if data.measure is not None:
                self.rules[event.id] = data.rule_id
        if data.kind in ("termination", "ban"):
            self.stops.add(event.id)

    def counted(self, escalation_id: str, since_ms: int) -> int:
        """The violations after ``since_ms`` that count towards the escalation."""
        used = self.taken(escalation_id)
        found = [
            one
            for one, decided_ms in self.violations.items()
            if decided_ms > since_ms and one in self.counting and one not in used
        ]
        return len(self.groups(found, escalation_id in ONCE))

    def taken(self, escalation_id: str) -> set[str]:
        """The violations that the escalation has used."""
        return {one for name, ids in self.used.values() if name == escalation_id for one in ids}

    def groups(self, violations: list[str], once: bool) -> set[str]:
        """What counts of them: of a measured rule one, if each rule counts ``once``."""
        return {self.rules.get(one, one) if once else one for one in violations}


def by_hand(accounts: dict[str, Account], policy: Iterable[dict[str, object]], now_ms: int) -> list[NearEscalation]:
    """All pairs, from the events alone, sorted."""
    found = []
    for each in policy:
        name, at_least, window = str(each["id"]), int(str(each["at_least"])), int(str(each["window"])[:-1]) * MINUTE
        for tenant_id, account in accounts.items():
            counted = account.counted(name, now_ms - window)
            if counted and not account.stops:
                missing = max(1, at_least - counted)
                found.append(NearEscalation(missing, tenant_id, name, counted, len(account.violations)))
    return sorted(found, key=lambda one: (one.missing, -one.counted, one.tenant_id, one.escalation))


ESCALATIONS = [
    escalation("two", at_least=2, window="40m", tier="severe"),
    escalation("three", at_least=3, window="90m"),
    escalation("six", at_least=6, window="200m", mode="enforce"),
    escalation("once", at_least=3, window="150m", once_per_rule=True),
]
ONCE = {"once": 150 * MINUTE}
"""The escalations that count a rule once, with their windows."""
RULES = [rule("half", cooldown="10m"), rule("answered", metric="answered", above=3, cooldown="25m")]
TENANTS = ("acme", "bravo", "coral")


@pytest.mark.parametrize("seed", thorough(range(12), 6))
def test_no_distance_differs_from_a_plain_loop_over_the_events(seed: int) -> None:
    """Findings, complaints, dismissals and reviews at random; at times the shard is restored from its state."""
    print(f"seed {seed}")
    rng, policy = random.Random(seed), ESCALATIONS[: 1 + seed % 3] + ESCALATIONS[3:]
    at_least = {each["id"]: each["at_least"] for each in policy}
    harness = StoredShardHarness(rules=RULES, escalations=policy, defaults={"review_within": "30m"})
    accounts = {tenant: Account() for tenant in TENANTS}
    events: list[Enforcement] = []
    named: list[tuple[str, str]] = []
    seen: Counter[str] = Counter()
    for minute in range(3, 500, 3):
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            tenant, name, at = rng.choice(TENANTS), f"n{len(named)}", minute - rng.choice((0.5, 1, 2))
            match rng.randrange(8):
                case 0 | 1 | 2:
                    harness.complaint(at, name=name, tenant_id=tenant)
                    named.append((tenant, name))
                case 7:
                    harness.short_calls(at, at + 0.1, at + 0.2, at + 0.3, tenant=tenant)
                case 3:
                    harness.finding(at, name=f"f{name}{minute}", tenant_id=tenant)
                case 4 if named:
                    tenant, name = rng.choice(named[-6:])
                    harness.complaint(at, "dismissed", name=name, tenant_id=tenant)
                case 5 | 6 if events:
                    event = rng.choice(events[-8:])
                    stopping = event.data.kind in ("termination", "ban")
                    verdict = rng.choice(("uphold", "overturn", "overturn") if stopping else ("uphold", "overturn"))
                    harness.review(at, verdict, event, f"v{minute}{name}{at}", tenant_id=event.data.tenant_id)
        for event in harness.until(minute):
            events.append(event)
            accounts[event.data.tenant_id].tell(event, at_least)
        if rng.random() < 0.05:
            harness.restart()
        later_ms = T0 + (minute + rng.choice((0, 0, 7, 35))) * MINUTE
        wanted = by_hand(accounts, policy, later_ms)
        found = measure(harness.shard, ALL, later_ms)
        assert found.near == wanted, minute
        for name, missing_of in found.by_escalation.items():
            lacking = Counter(min(one.missing, FAR) for one in wanted if one.escalation == name)
            assert missing_of.tenants == lacking
        most = rng.randrange(4)
        assert measure(harness.shard, most, later_ms).near == wanted[:most]
        seen.update(f"{one.missing}" for one in wanted)
        seen["once"] += any(account.counted("once", 0) < account.counted("two", 0) for account in accounts.values())
        seen["stopped"] += any(account.stops for account in accounts.values())
        seen["used"] += any(account.used for account in accounts.values())
    assert seen["1"]
    assert seen["used"]
    assert seen["once"]
    assert seen["stopped"] or len(policy) < 4


# How many are reported ------------------------------------------------------------------------------------------------


def crowd(count: int, letter: str = "t") -> ShardHarness:
    """That many tenants: tenant n has 1 + n % 3 of the five violations that it takes."""
    harness = ShardHarness(escalations=[escalation("five", at_least=5)])
    for tenant in range(count):
        for violation in range(1 + tenant % 3):
            harness.complaint(1 + violation, name=f"p{violation}", tenant_id=f"{letter}{tenant:02}")
    harness.until(5)
    return harness


def test_however_many_are_near_no_more_are_reported_and_all_are_counted() -> None:
    shard = crowd(12).shard
    found = measure_distances(shard, DistanceOptions(most=3)).escalations
    assert [(one.tenant_id, one.missing, one.counted) for one in found.near] == [
        ("t02", 2, 3),
        ("t05", 2, 3),
        ("t08", 2, 3),
    ]
    assert found.by_escalation["five"].tenants == {2: 4, 3: 4, 4: 4}
    assert measure_distances(shard, DistanceOptions(most=0)).escalations.near == []


def test_several_shards_are_one_within_the_same_limit() -> None:
    options = DistanceOptions(most=5)
    parts = [measure_distances(crowd(count, letter).shard, options) for count, letter in ((12, "t"), (3, "u"))]
    found = merge_distances(parts, options).escalations
    assert [one.tenant_id for one in found.near] == ["t02", "t05", "t08", "t11", "u02"]
    assert found.by_escalation["five"].tenants == {2: 5, 3: 5, 4: 5}
    assert (found.by_escalation["five"].kind, found.by_escalation["five"].at_least) == ("termination", 5)
    assert merge_distances([], options).escalations == EscalationDistances()


def test_no_tenant_without_a_violation_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = ShardHarness(rules=[rule("half", mode="shadow")], escalations=[escalation()])
    for tenant in range(50):
        harness.short_calls(1, tenant=f"quiet{tenant}")
    harness.complaint(2)
    harness.until(5)
    looked: list[int] = []
    known = TenantRecords.known
    monkeypatch.setattr(TenantRecords, "known", lambda self, tenant: looked.append(tenant) or known(self, tenant))
    assert harness.shard.tenants == 51
    assert len(measure(harness.shard, ALL, T0).near) == 1
    assert len(looked) == 1


def test_after_a_termination_is_reversed_it_is_one_violation_away_though_enough_count() -> None:
    harness = ShardHarness(escalations=[escalation(at_least=2, mode="enforce")])
    harness.complaint(1, name="p1")
    harness.complaint(2, name="p2")
    [_, _, terminated] = harness.until(3)
    assert terminated.data.kind == "termination"
    for minute in (3, 4, 5):
        harness.complaint(minute, name=f"p{minute}")
    harness.until(6)
    assert measure(harness.shard, ALL, T0 + 6 * MINUTE).near == []
    harness.review(7, "overturn", terminated)
    harness.until(8)
    assert measure(harness.shard, ALL, T0 + 8 * MINUTE).near == [NearEscalation(1, "acme", "strikes", 3, 5)]
    harness.complaint(9, name="p9")
    assert [event.data.behaviour for event in harness.until(10)] == ["blind_calling", "repeat_violation"]


def test_a_violation_counts_until_it_leaves_the_window() -> None:
    harness = crowd(1)
    left_ms = T0 + 61 * MINUTE
    for now_ms, counted in ((left_ms - 1, 1), (left_ms, 0)):
        assert len(measure(harness.shard, ALL, now_ms).near) == counted
