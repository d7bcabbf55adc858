"""Cases looked up in a ledger of the real shard's decisions, against plain loops over all events."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers.ledger_samples import address
from helpers.shard_samples import MINUTE, T0
from helpers.shard_traffic import Traffic
from helpers.thorough import thorough
from schemas import codec
from schemas.inputs import Review
from schemas.outputs import Enforcement
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord
from streams.consumers.ledger.queries import lookup as look
from streams.consumers.ledger.queries.cases import LedgerCase, cases_of, once
from streams.consumers.ledger.queries.lookup import CaseQuery, case_of, cases, events_of_review, of_tenant, resting_on
from streams.consumers.ledger.writer import LedgerWriter
from streams.kafka.api import TP

_STATUSES = (None, "pending", "final", "reversed", "lapsed")


class Recorded(Traffic):
    """Random traffic, with all events and reviews so far."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.events: list[Enforcement] = []
        self.reviews: list[Review] = []
        give = self.harness._give

        def noted(waiting) -> None:
            if isinstance(waiting.record, Review):
                self.reviews.append(waiting.record)
            give(waiting)

        self.harness._give = noted  # type: ignore[method-assign]

    def run(self) -> None:
        """Run some hours of it."""
        minute = 0.0
        while minute < 240:
            start, minute = minute, minute + self.rng.choice((1, 5, 10))
            self.give(start, minute)
            self.events += self.harness.until(minute)
            self._decided = [event.id for event in self.events]


def records(traffic: Recorded) -> Sequence[FollowedRecord]:
    """The records as the topics would hold them; some are repeated."""
    again = traffic.rng.sample(traffic.events, min(5, len(traffic.events)))
    decisions = TP("out.enforcement", 0)
    held = [FollowedRecord(decisions, n, 1, None, codec.encode(one)) for n, one in enumerate([*traffic.events, *again])]
    return held + [
        FollowedRecord(TP("in.reviews", 0), n, 1, None, codec.encode(one)) for n, one in enumerate(traffic.reviews)
    ]


def reviewed(seed: int) -> tuple[Recorded, list[LedgerCase]]:
    """The first traffic from this seed on that contains reviews, and its cases."""
    while True:
        print("seed", seed)
        traffic = Recorded(seed)
        traffic.run()
        everything = cases_of(traffic.events, traffic.reviews)
        if len(everything) > 10 and any(case.reviews for case in everything):
            return traffic, everything
        seed += 1


def fits(case: LedgerCase, wanted: CaseQuery) -> bool:
    data = case.opening.data
    return (
        wanted.status in (None, case.status)
        and wanted.tenant in (None, data.tenant_id)
        and wanted.rule in (None, data.rule_id)
        and (wanted.from_ms is None or data.decided_ms >= wanted.from_ms)
        and (wanted.to_ms is None or data.decided_ms < wanted.to_ms)
    )


@pytest.mark.parametrize("round_", thorough(range(3), 1))
async def test_what_is_looked_up_is_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, round_: int) -> None:
    monkeypatch.setattr(look, "_AT_ONCE", 3)
    traffic, everything = reviewed(random.randrange(2**32))
    rng = traffic.rng
    database = Database(address(tmp_path), "ledger")
    await database.migrate()
    await database.run(lambda connection: LedgerWriter().keep(connection, records(traffic)))
    with database.reading() as connection:
        for _ in range(60):
            some = rng.choice(everything).opening.data
            wanted = CaseQuery(
                status=rng.choice(_STATUSES),
                tenant=rng.choice((None, some.tenant_id)),
                rule=rng.choice((None, some.rule_id)),
                from_ms=rng.choice((None, some.decided_ms, T0 + rng.randrange(240) * MINUTE)),
                to_ms=rng.choice((None, some.decided_ms, T0 + rng.randrange(240) * MINUTE)),
            )
            assert cases(connection, wanted) == [case for case in everything if fits(case, wanted)], wanted
        for case in everything:
            for event in case.events:
                assert case_of(connection, event.id) == case
        assert case_of(connection, "cwe-none") is None
        assert case_of(connection, traffic.reviews[0].review_id) is None
        for tenant in {case.opening.subject for case in everything}:
            events, reviews, known = of_tenant(connection, tenant)
            assert events == [event for event in traffic.events if event.subject == tenant]
            assert reviews == once(review for review in traffic.reviews if review.tenant_id == tenant)
            assert known == [case for case in everything if case.opening.subject == tenant]
        for review in traffic.reviews:
            mine = (event for event in traffic.events if event.subject == review.tenant_id)
            behind = [event for event in mine if review.review_id in event.data.evidence.review_ids]
            # Reviews that share an id, of different decisions, caused these events together.
            alike = [
                other
                for other in traffic.reviews
                if (other.tenant_id, other.review_id) == (review.tenant_id, review.review_id)
            ]
            found = {event.id: event for other in alike for event in events_of_review(connection, other)}
            assert found == {event.id: event for event in behind}
            if len({other.enforcement_id for other in alike}) == 1:
                assert events_of_review(connection, review) == behind
        for _ in range(10):
            chosen = rng.sample(everything, 4)
            ids = {event_id for case in chosen for event_id in case.ids}
            others = [case for case in everything if case.status == "final" and case not in chosen]
            resting = {one.in_force.id for one in others if ids & set(one.in_force.data.evidence.enforcement_ids)}
            assert {case.in_force.id for case in resting_on(connection, chosen)} == resting
    database.close()
