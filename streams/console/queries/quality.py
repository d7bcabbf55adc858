"""The quality of decisions and of those who review them: what was taken back, by whom, and how long it took."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, func, select

from streams.console.cases import second_looks
from streams.console.cases.second_looks import LookCounts
from streams.console.queries.search import CaseLine
from streams.console.tables import CASES, EVENTS, REVIEWS
from streams.consumers.record_decoding import event_of

RULES: Final = 100
REVIEWERS: Final = 100
LAPSING: Final = 20
_DAY_MS: Final = 86_400_000
_NO_LOOKS: Final = LookCounts()


@dataclass(frozen=True, slots=True)
class RuleQuality:
    """The cases that one rule opened in the period, by what became of them. ``looks``: second looks in the period."""

    rule_id: str
    pending: int
    final: int
    reversed: int
    lapsed: int
    looks: LookCounts = _NO_LOOKS

    @property
    def reversed_share(self) -> float | None:
        """The share that was reversed of those that are in force or were; None if there is none."""
        return self.reversed / (self.final + self.reversed) if self.final + self.reversed else None


@dataclass(slots=True)
class ReviewerQuality:
    """The reviews of one reviewer in the period. ``taken_back``: decisions that it upheld and that are reversed now.

    ``looks``: second looks in the period at decisions that it upheld.
    """

    reviewer: str
    upheld: int = 0
    overturned: int = 0
    taken_back: int = 0
    seconds: float = 0.0
    looks: LookCounts = _NO_LOOKS

    @property
    def reviews(self) -> int:
        """All of them."""
        return self.upheld + self.overturned

    @property
    def overturned_share(self) -> float | None:
        """The share that it overturned; None without a review."""
        return self.overturned / self.reviews if self.reviews else None

    @property
    def mean_ms(self) -> float:
        """The mean time from a decision to its review."""
        return 1_000 * self.seconds / self.reviews if self.reviews else 0.0


def rule_quality(connection: Connection, since_ms: int) -> list[RuleQuality]:
    """By rule, the one with the most reversed first."""
    c = CASES.c
    query = select(c.rule_id, c.status, func.count()).where(c.decided_ms >= since_ms).group_by(c.rule_id, c.status)
    counted: dict[str, dict[str, int]] = {}
    for rule_id, status, n in connection.execute(query):
        counted.setdefault(rule_id, {})[status] = n
    looks, _ = second_looks.counts(connection, since_ms)
    made = [
        RuleQuality(
            rule,
            pending=n.get("pending", 0),
            final=n.get("final", 0),
            reversed=n.get("reversed", 0),
            lapsed=n.get("lapsed", 0),
            looks=looks.get(rule, _NO_LOOKS),
        )
        for rule, n in ({rule: dict[str, int]() for rule in looks} | counted).items()
    ]
    return sorted(made, key=lambda one: (-one.reversed, -one.final, one.rule_id))[:RULES]


def reviewer_quality(connection: Connection, since_ms: int) -> list[ReviewerQuality]:
    """By reviewer, the one with the most reviews first."""
    c, e, r = CASES.c, EVENTS.c, REVIEWS.c
    waited = func.sum((r.updated_ms - e.decided_ms) / 1_000.0)
    query = (
        select(r.reviewer, r.verdict, c.status, func.count(), waited)
        .join(EVENTS, and_(e.id == r.enforcement_id, e.shadow.is_(False)))
        .join(CASES, c.id == e.case_id)
        .where(r.updated_ms >= since_ms)
        .group_by(r.reviewer, r.verdict, c.status)
    )
    found: dict[str, ReviewerQuality] = {}
    for reviewer, verdict, status, n, seconds in connection.execute(query):
        one = found.setdefault(reviewer, ReviewerQuality(reviewer))
        one.seconds += float(seconds or 0)
        if verdict in ("uphold", "approve"):
            one.upheld += n
            one.taken_back += n if status == "reversed" else 0
        else:
            one.overturned += n
    for reviewer, looks in second_looks.counts(connection, since_ms)[1].items():
        found.setdefault(reviewer, ReviewerQuality(reviewer)).looks = looks
    return sorted(found.values(), key=lambda one: (-one.reviews, one.reviewer))[:REVIEWERS]


def lapsing_cases(connection: Connection, now_ms: int) -> list[CaseLine]:
    """The cases that lapse within a day, the first to lapse first."""
    c, e = CASES.c, EVENTS.c
    query = (
        select(c.id, c.status, e.value)
        .join(EVENTS, and_(e.id == c.in_force_id, e.shadow.is_(False)))
        .where(c.queue == "cases", c.order_ms < now_ms + _DAY_MS)
        .order_by(c.order_ms, c.id)
        .limit(LAPSING)
    )
    return [CaseLine(case_id, status, event_of(value)) for case_id, status, value in connection.execute(query)]
