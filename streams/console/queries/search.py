"""Search: tenants by id, name and owner; decisions by id, rule, time, and by what their evidence names."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, select, true

from schemas.outputs import Enforcement
from streams.console.cases.keyset import EXAMINED, before
from streams.console.queries.cursors import LIMIT, decode_cursor, encode_cursor
from streams.console.queries.tenants import TenantIdentity, TenantStatus, identities, tenant_statuses
from streams.console.tables import CASES, EVENTS, NAMED_IDS, REVIEWS, TENANTS
from streams.consumers.record_decoding import event_of

TENANTS_SHOWN: Final = 20
_INDEXED: Final[Sequence[Sequence[Column[Any]]]] = (
    (CASES.c.tenant_id, CASES.c.rule_id),
    (CASES.c.tenant_id, CASES.c.status),
    (CASES.c.tenant_id,),
    (CASES.c.rule_id,),
    (),
)
"""The conditions that an index in the order of the list has, the narrowest first."""


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One case in a list, with its event in force."""

    case_id: str
    status: str
    event: Enforcement


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases are listed: all that are given must hold. ``from_ms`` is inclusive, ``until_ms`` is not."""

    tenant_id: str | None = None
    rule_id: str | None = None
    status: str | None = None
    tier: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None


def find_tenants(connection: Connection, words: str) -> list[tuple[TenantIdentity, TenantStatus]]:
    """The tenants whose id or owner is ``words``, or whose id begins with it, or whose name contains it."""
    t, folded = TENANTS.c, words.casefold()
    found = identities(connection, t.tenant_id == words) + identities(connection, t.owner_id == words, TENANTS_SHOWN)
    if len(found) < TENANTS_SHOWN:
        begins = and_(t.tenant_id >= words, t.tenant_id < words + "\U0010ffff")
        found += identities(connection, begins, TENANTS_SHOWN)
    if len(found) < TENANTS_SHOWN and len(folded) > 1:
        found += identities(connection, t.name_folded.contains(folded, autoescape=True), TENANTS_SHOWN)
    unique = list({each.tenant_id: each for each in found}.values())[:TENANTS_SHOWN]
    if not any(each.tenant_id == words for each in unique) and _has_decisions(connection, words):
        unique.insert(0, TenantIdentity(words))
    status = tenant_statuses(connection, [each.tenant_id for each in unique])
    return [(each, status[each.tenant_id]) for each in unique]


def find_cases(connection: Connection, words: str, tenants: Collection[str] = ()) -> list[CaseLine]:
    """The cases that ``words`` names exactly: a decision, a review, a rule, or a call, a complaint, a finding or an
    application in the evidence of a decision. If there is none, those of ``tenants``, which ``words`` found.
    The newest first, at most `LIMIT`."""
    c, e, r = CASES.c, EVENTS.c, REVIEWS.c
    by_event = select(e.case_id).where(e.id == words, e.shadow.is_(False))
    by_review = (
        select(e.case_id).join(REVIEWS, and_(e.id == r.enforcement_id, e.shadow.is_(False))).where(r.review_id == words)
    )
    named = [*connection.execute(by_event).scalars(), *connection.execute(by_review.limit(LIMIT)).scalars()]
    if not named:
        named = _naming(connection, words)
    # Each by its index: with an OR all of a rule, or of these tenants, would be read and sorted.
    found = _newest(connection, [c.id.in_(named), c.rule_id == words])
    return found or _newest(connection, [c.tenant_id == tenant for tenant in tenants])


def _newest(connection: Connection, each: Iterable[ColumnElement[bool]]) -> list[CaseLine]:
    """The newest cases for which one of these conditions holds."""
    c = CASES.c
    rows: dict[str, int] = {}
    for where in each:
        query = select(c.id, c.decided_ms).where(where).order_by(c.decided_ms.desc(), c.id.desc()).limit(LIMIT)
        rows |= {row.id: row.decided_ms for row in connection.execute(query)}
    ids = sorted(rows, key=lambda case_id: (rows[case_id], case_id), reverse=True)[:LIMIT]
    return _lines(connection, c.id.in_(ids), LIMIT)[0] if ids else []


def list_cases(
    connection: Connection, wanted: CaseFilter, after: str | None = None, limit: int = LIMIT
) -> tuple[list[CaseLine], str | None]:
    """A page of cases, the newest decision first, and the cursor of the next one. Raises InvalidCursor.

    If no index has all conditions, it looks at `EXAMINED` cases: the page may have fewer than ``limit`` and yet a next
    one.
    """
    c = CASES.c
    equal = {
        column: column == value
        for column, value in (
            (c.tenant_id, wanted.tenant_id),
            (c.rule_id, wanted.rule_id),
            (c.status, wanted.status),
            (c.tier, wanted.tier),
        )
        if value is not None
    }
    # One condition at each end, since SQLite begins and ends at one of them and reads through the others.
    first, end = [], []
    if (place := decode_cursor(after, "is")) is not None:
        first.append(before(c.decided_ms, c.id, *place))
    elif wanted.until_ms is not None:
        first.append(c.decided_ms < wanted.until_ms)
    if wanted.from_ms is not None:
        end.append(c.decided_ms >= wanted.from_ms)
    indexed = next(columns for columns in _INDEXED if equal.keys() >= set(columns))
    last = None
    if len(equal) > len(indexed):
        examined = select(c.decided_ms, c.id).where(*(equal[column] for column in indexed), *first, *end)
        examined = examined.order_by(c.decided_ms.desc(), c.id.desc()).offset(EXAMINED - 1).limit(1)
        if (last := connection.execute(examined).one_or_none()) is not None:
            end = [~before(c.decided_ms, c.id, *last)]
    lines, following = _lines(connection, and_(true(), *equal.values(), *first, *end), limit)
    return lines, following if following is not None or last is None else encode_cursor(*last)


def _lines(connection: Connection, where: ColumnElement[bool], limit: int) -> tuple[list[CaseLine], str | None]:
    c, e = CASES.c, EVENTS.c
    query = (
        select(c.id, c.status, c.decided_ms, e.value)
        .join(EVENTS, and_(e.id == c.in_force_id, e.shadow.is_(False)))
        .where(where)
        .order_by(c.decided_ms.desc(), c.id.desc())
        .limit(limit + 1)
    )
    rows = connection.execute(query).all()
    lines = [CaseLine(case_id, status, event_of(value)) for case_id, status, _, value in rows[:limit]]
    following = encode_cursor(rows[limit - 1][2], rows[limit - 1][0]) if len(rows) > limit else None
    return lines, following


def _naming(connection: Connection, words: str) -> list[str]:
    """The newest cases whose evidence names ``words``, of `EXAMINED` if more do."""
    some = select(NAMED_IDS.c.case_id, NAMED_IDS.c.at_ms).where(NAMED_IDS.c.named == words).limit(EXAMINED).subquery()
    return list(connection.execute(select(some.c.case_id).order_by(some.c.at_ms.desc()).limit(LIMIT)).scalars())


def _has_decisions(connection: Connection, tenant_id: str) -> bool:
    query = select(CASES.c.id).where(CASES.c.tenant_id == tenant_id).limit(1)
    return connection.execute(query).first() is not None
