"""Cases and verdicts against the real shard: its cases and rejections are those that were predicted."""

import random

import pytest

from helpers.shard_samples import MINUTE, T0
from helpers.shard_traffic import Traffic
from monitor.core.tenants.tenant_record import DecisionCase as ShardCase
from monitor.policy.model import OpenKind
from schemas.outputs import Enforcement
from streams.consumers.ledger.queries.cases import LedgerCase, cases_of
from streams.reviews.validation import GivenVerdict, ReviewRefused, Verdict, rejection_reason, review_of

_CLOSED = ("reversed", "lapsed")


class Watched(Traffic):
    """Random traffic, with all events so far."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.events: list[Enforcement] = []

    def until(self, minute: float) -> None:
        self.events += self.harness.until(minute)
        self._decided = [event.id for event in self.events]

    def barred(self, tenant_id: str) -> bool:
        """Whether the tenant or one of its owners is banned."""
        shard = self.harness.shard
        record = shard.tenant_records.of(shard.tenant_numbers.of(tenant_id))
        return record.banned or shard.owner_bans.earliest(record) is not None

    def shard_cases(self) -> dict[str, ShardCase]:
        """The shard's own cases, by every id that names them."""
        tenant_records = self.harness.shard.tenant_records._all.values()
        return {
            event_id: tenant_record.cases[first]
            for tenant_record in tenant_records
            for event_id, first in tenant_record.case_of.items()
        }


def brute(events: list[Enforcement]) -> dict[str, tuple[str, str]]:
    """For the id of each decision that opened a case, the id in force and the status: a plain loop over all events."""
    output: dict[str, tuple[str, str]] = {}
    for event in events:
        data = event.data
        if data.reverses:
            first = next(first for first, (in_force, _) in output.items() if in_force == data.reverses)
            output[first] = (data.reverses, "lapsed" if data.kind == "lapse" else "reversed")
        elif data.supersedes:
            first = next(first for first, (in_force, _) in output.items() if in_force == data.supersedes)
            output[first] = (event.id, "final")
        else:
            output[event.id] = (event.id, "final" if data.status == "final" else "pending")
    return output


@pytest.mark.parametrize("round_", range(6))
def test_the_register_is_what_a_plain_loop_and_the_shard_say(round_: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    traffic = Watched(seed)
    minute, seen = 0.0, set()
    for _ in range(40):
        start, minute = minute, minute + traffic.rng.choice((1, 5, 10))
        traffic.give(start, minute)
        traffic.until(minute)
    shuffled = traffic.events * 2
    random.Random(seed).shuffle(shuffled)
    cases = cases_of(shuffled)
    assert {case.opening.id: (case.in_force.id, case.status) for case in cases} == brute(traffic.events)
    theirs = traffic.shard_cases()
    for case in cases:
        seen.add(case.status)
        known = theirs.get(case.opening.id)
        if known is not None:  # the shard forgets cases
            assert known.id == case.in_force.id
            assert known.status == ("closed" if case.status in _CLOSED else case.status)
    assert "final" in seen
    assert len(seen) > 1


def reviewed(traffic: Watched, case: LedgerCase, named: str, given: GivenVerdict, minute: float) -> list[str]:
    """The shard's answer to such a review at that minute: nothing, or the first word of its rejection."""
    tenant = case.opening.subject
    traffic.harness.review(minute, given.verdict, named, f"v{minute}", kind=given.kind, tenant_id=tenant)
    traffic.until(minute + 0.01)
    return traffic.harness.rejected()


def test_what_is_refused_beforehand_is_what_the_shard_refuses() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    traffic, rng = Watched(seed), random.Random(seed)
    minute, rejected, taken = 0.0, 0, 0
    for number in range(150):
        start, minute = minute, minute + rng.choice((1, 5, 10))
        traffic.give(start, minute)
        traffic.until(minute)
        if not traffic.events:
            continue
        # The ledger's knowledge, and then a verdict a moment later.
        cases = cases_of(traffic.events)
        case = rng.choice(cases[-12:])
        named = rng.choice([event.id for event in case.events])
        waits = case.in_force.data.kind == "admission_review"
        fitting: tuple[Verdict, ...] = ("approve", "reject") if waits else ("uphold", "overturn")
        verdict: Verdict = rng.choice((*fitting, *fitting, *fitting, "uphold", "approve"))
        kind: OpenKind | None = rng.choice((None, None, None, None, "termination", "ban"))
        given = GivenVerdict(verdict, kind, traffic.barred(case.opening.subject))
        minute += rng.choice((0.1, 0.1, 40))  # within the half hour of reviewing, or beyond
        foreseen = rejection_reason(case, named, given, T0 + round(minute * MINUTE))
        before = len(traffic.events)
        words = reviewed(traffic, case, named, given, minute)
        later = [event for event in traffic.events[before:] if f"v{minute}" in event.data.evidence.review_ids]
        assert bool(foreseen) is bool(words), (number, foreseen, words, named, given)
        assert bool(later) is not bool(foreseen)
        rejected += bool(foreseen)
        taken += not foreseen
    assert rejected > 10
    assert taken > 5


def test_an_unknown_id_is_refused() -> None:
    assert "no such decision in the ledger" in str(rejection_reason(None, "cwe-x", GivenVerdict("uphold"), T0))


def test_a_verdict_has_the_same_id_each_time_and_another_for_another() -> None:
    traffic = Watched(1)
    traffic.harness.likely_ban(1)
    traffic.until(2)
    [case] = cases_of(traffic.events)
    one = review_of(case, GivenVerdict("uphold"), "wang", "looked into", T0)
    assert one.review_id == review_of(case, GivenVerdict("uphold"), "li", "because", T0 + 5).review_id
    for other in (GivenVerdict("overturn"), GivenVerdict("uphold", "termination")):
        assert one.review_id != review_of(case, other, "wang", "looked into", T0).review_id
    output = review_of(case, GivenVerdict("uphold"), "wang 13912345678", "asked +86 139 1234 5678", T0)
    assert (output.reviewer, output.reason) == ("wang •••••••••78", "asked +•• ••• •••• ••78")
    assert (one.enforcement_id, one.tenant_id) == (case.in_force.id, "acme")


@pytest.mark.parametrize(
    ("reviewer", "reason"), [("", "why"), (" ", "why"), ("wang", ""), ("wang", "\ud800"), ("wang", "x" * 4097)]
)
def test_words_that_do_not_fit_are_refused(reviewer: str, reason: str) -> None:
    traffic = Watched(1)
    traffic.harness.likely_ban(1)
    traffic.until(2)
    [case] = cases_of(traffic.events)
    with pytest.raises(ReviewRefused):
        review_of(case, GivenVerdict("uphold"), reviewer, reason, T0)
