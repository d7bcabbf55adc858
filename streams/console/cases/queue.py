"""The queue: what waits for a person, soonest to lapse first, by pages and with counts."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, literal, or_, select, union_all

from monitor.text.durations import DAY
from schemas.outputs import Enforcement
from streams.console.cases.keyset import EXAMINED, later
from streams.console.tables import CASES, EVENTS, TENANTS, VERDICTS
from streams.consumers.record_decoding import event_of

View = Literal["waiting", "mine", "postponed", "approval"]
VIEWS: Final[tuple[View, ...]] = ("waiting", "mine", "postponed", "approval")
PAGE: Final = 50
RECENT_DAYS: Final = 7
"""For how long a verdict is listed after it was given."""
_MOST_COUNTED: Final = 10_000
MOST_OTHERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which cases: all given conditions must hold. ``min_age_ms``: decided at least that long ago.

    ``collapsed``: of one tenant's cases of one rule only the first. ``admissions``: applications instead of decisions.
    """

    view: View = "waiting"
    tier: str | None = None
    rule: str | None = None
    tenant: str | None = None
    min_age_ms: int | None = None
    collapsed: bool = False
    admissions: bool = False


class QueuedCase(NamedTuple):
    """A row of the queue. ``others``: how many more cases of this tenant and rule wait, at most `MOST_OTHERS`."""

    case: Any
    event: Enforcement
    tenant_name: str | None
    verdict: Any
    others: int


class QueuePage(NamedTuple):
    """A page of the queue; ``after`` is the cursor of the next one, None at the end."""

    rows: list[QueuedCase]
    after: str | None


class QueueCounts(NamedTuple):
    """How many cases there are in each view; each at most 10,000. ``soon``: those that lapse within a day.

    ``sent``: those whose verdict has no effect yet; ``verdicts``: the verdicts of the last days.
    """

    waiting: int
    soon: int
    mine: int
    postponed: int
    approval: int
    sent: int
    admissions: int
    verdicts: int


class BadCursor(ValueError):
    """A cursor that no page has given."""


def page(
    connection: Connection, wanted: QueueFilter, me: str, now_ms: int, after: str | None = None, limit: int = PAGE
) -> QueuePage:
    """The page after a cursor: soonest to lapse first, or of an age the oldest first. Raises BadCursor.

    If no index has all conditions, it looks at `EXAMINED` cases: the page may have fewer than ``limit`` and yet a next
    one.
    """
    c = CASES.c
    at = c.decided_ms if wanted.min_age_ms is not None else c.order_ms
    within = [later(at, c.id, *_read_cursor(after))] if after is not None else []
    end: tuple[int, str] | None = None
    if (indexed := _indexed(wanted, now_ms)) is not None:
        examined = select(at, c.id).where(*indexed, *within).order_by(at, c.id).offset(EXAMINED - 1).limit(1)
        if (last := connection.execute(examined).one_or_none()) is not None:
            end = last[0], last[1]
            within.append(~later(at, c.id, *end))
            wanted = replace(wanted, min_age_ms=None)  # SQLite ends at one condition and reads through the other
    query = select(CASES).where(*_conditions(wanted, me, now_ms), *within)
    found = connection.execute(query.order_by(at, c.id).limit(limit + 1)).all()
    rows = found[:limit]
    if len(found) > limit:
        end = getattr(rows[-1], at.name), rows[-1].id
    return QueuePage(rows_of(connection, rows), None if end is None else _cursor(*end))


def rows_of(connection: Connection, cases: Sequence[Row[Any]]) -> list[QueuedCase]:
    """These cases with what a row of a list shows of them."""
    events = _events(connection, [case.in_force_id for case in cases])
    names = _names(connection, sorted({case.tenant_id for case in cases}))
    numbers = [case.verdict for case in cases if case.verdict is not None]
    given = connection.execute(select(VERDICTS).where(VERDICTS.c.number.in_(numbers))).all() if numbers else []
    verdicts = {row.number: row for row in given}
    others = _others(connection, {(case.tenant_id, case.rule_id) for case in cases if case.queue is not None})
    return [
        QueuedCase(
            case,
            events[case.in_force_id],
            names.get(case.tenant_id),
            verdicts.get(case.verdict),
            max(0, others.get((case.tenant_id, case.rule_id), 0) - 1),
        )
        for case in cases
        if case.in_force_id in events
    ]


def counts(connection: Connection, me: str, now_ms: int, shared: QueueCounts | None = None) -> QueueCounts:
    """The counts of all views. ``shared``: what is the same for all, if it is known; to count it reads many rows."""
    found = shared if shared is not None else shared_counts(connection, now_ms)
    return found._replace(mine=_count(connection, *_conditions(QueueFilter("mine"), me, now_ms)))


def shared_counts(connection: Connection, now_ms: int) -> QueueCounts:
    """The counts that are the same for all; ``mine`` is 0."""
    queued, nobody = CASES.c.queue == "cases", ""
    return QueueCounts(
        _count(connection, *_conditions(QueueFilter("waiting"), nobody, now_ms)),
        _count(connection, queued, CASES.c.order_ms < now_ms + DAY),
        0,
        _count(connection, *_conditions(QueueFilter("postponed"), nobody, now_ms)),
        _count(connection, *_conditions(QueueFilter("approval"), nobody, now_ms)),
        _count(connection, CASES.c.verdict.in_(select(VERDICTS.c.number).where(VERDICTS.c.state == "sent"))),
        _count(connection, CASES.c.queue == "admissions"),
        _counted(connection, select(VERDICTS.c.number).where(given_lately(now_ms))),
    )


def given_lately(now_ms: int) -> ColumnElement[bool]:
    """Of the verdicts, those that were given in the last days."""
    return VERDICTS.c.given_ms >= now_ms - RECENT_DAYS * DAY


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    return _counted(connection, select(CASES.c.id).where(*conditions))


def _counted(connection: Connection, query: Select[Any]) -> int:
    some = query.limit(_MOST_COUNTED).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def next_after(connection: Connection, case_id: str, me: str, now_ms: int) -> str | None:
    """The case to open after this one: the soonest to lapse that nobody else works on and that has no verdict."""
    c = CASES.c
    query = (
        select(c.id)
        .where(
            c.queue == "cases",
            c.verdict.is_(None),
            c.postponed_until_ms <= now_ms,
            c.id != case_id,
            or_(c.claimed_by.is_(None), c.claimed_by == me, c.claimed_until_ms <= now_ms),
        )
        .order_by(c.order_ms, c.id)
        .limit(1)
    )
    return connection.execute(query).scalar()


def rules_waiting(connection: Connection, most: int = 100) -> list[str]:
    """The rules with cases in the queue."""
    # Each from the one before it by the index: a DISTINCT would read all cases.
    c = CASES.c
    first = select(func.min(c.rule_id).label("rule_id"), literal(1).label("number")).where(c.queue == "cases")
    found = first.cte("found", recursive=True)
    following = select(func.min(c.rule_id)).where(c.queue == "cases", c.rule_id > found.c.rule_id).scalar_subquery()
    more = found.c.rule_id.is_not(None), found.c.number < most
    found = found.union_all(select(following, found.c.number + 1).where(*more))
    query = select(found.c.rule_id).where(found.c.rule_id.is_not(None)).order_by(found.c.rule_id)
    return list(connection.execute(query).scalars())


def _indexed(wanted: QueueFilter, now_ms: int) -> list[ColumnElement[bool]] | None:
    """Of the view `waiting` the conditions that an index in the order of the page has; None if these are all.

    The other views have what users claimed, were given, postponed or decided.
    """
    c = CASES.c
    if wanted.view != "waiting":
        return None
    chosen = [
        column == value
        for column, value in ((c.tenant_id, wanted.tenant), (c.rule_id, wanted.rule), (c.tier, wanted.tier))
        if value is not None
    ]
    found = [c.queue == ("admissions" if wanted.admissions else "cases")]
    if wanted.min_age_ms is not None:
        found.append(c.decided_ms <= now_ms - wanted.min_age_ms)
    elif wanted.tenant is not None and wanted.rule is not None:
        found += chosen[:2]
        chosen = chosen[2:]
    else:
        found += chosen[:1]
        chosen = chosen[1:]
    return found if chosen or wanted.collapsed else None


def _conditions(wanted: QueueFilter, me: str, now_ms: int) -> list[ColumnElement[bool]]:
    c = CASES.c
    queue = "admissions" if wanted.admissions else "cases"
    match wanted.view:
        case "waiting":
            found = [c.queue == queue, c.postponed_until_ms <= now_ms]
        case "mine":
            # Both by their index: with an OR the whole queue would be read. The empty text keeps SQLite, which has no
            # statistics, from reading the queue by its index and looking for each case among the user's.
            claimed = select(c.id).where(c.claimed_by == me, c.claimed_until_ms > now_ms)
            found = [c.queue.concat("") == queue, c.id.in_(claimed.union(select(c.id).where(c.assignee == me)))]
        case "postponed":
            found = [c.queue.concat("") == queue, c.postponed_until_ms > now_ms]  # by the index of these, as above
        case "approval":
            found = [c.verdict.in_(select(VERDICTS.c.number).where(VERDICTS.c.state == "approval"))]
    if wanted.tier is not None:
        found.append(c.tier == wanted.tier)
    if wanted.rule is not None:
        found.append(c.rule_id == wanted.rule)
    if wanted.tenant is not None:
        found.append(c.tenant_id == wanted.tenant)
    if wanted.min_age_ms is not None:
        found.append(c.decided_ms <= now_ms - wanted.min_age_ms)
    if wanted.collapsed and wanted.view == "waiting":
        e = CASES.alias("earlier").c
        same = (e.tenant_id == c.tenant_id, e.rule_id == c.rule_id, e.queue == queue, e.postponed_until_ms <= now_ms)
        before = or_(e.order_ms < c.order_ms, and_(e.order_ms == c.order_ms, e.id < c.id))
        found.append(~exists().where(*same, before))
    return found


def _events(connection: Connection, ids: Sequence[str]) -> dict[str, Enforcement]:
    query = select(EVENTS.c.id, EVENTS.c.value).where(EVENTS.c.id.in_(ids), EVENTS.c.shadow.is_(False))
    return {event_id: event_of(value) for event_id, value in connection.execute(query)} if ids else {}


def _names(connection: Connection, tenants: Sequence[str]) -> dict[str, str]:
    query = select(TENANTS.c.tenant_id, TENANTS.c.name).where(TENANTS.c.tenant_id.in_(tenants))
    return {tenant: name for tenant, name in connection.execute(query) if name} if tenants else {}


def _others(connection: Connection, causes: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """How many cases of each cause wait, in one statement: a server is asked once."""
    c, each, ordered = CASES.c, [], sorted(causes)
    for number, (tenant, rule) in enumerate(ordered):
        waiting = (c.tenant_id == tenant, c.rule_id == rule, c.queue.is_not(None))
        some = select(c.id).where(*waiting).limit(MOST_OTHERS + 1).subquery()
        each.append(select(literal(number), func.count()).select_from(some))
    if not each:
        return {}
    return {ordered[number]: int(count) for number, count in connection.execute(union_all(*each))}


def _cursor(at_ms: int, case_id: str) -> str:
    return f"{at_ms}.{base64.urlsafe_b64encode(case_id.encode()).decode().rstrip('=')}"


def _read_cursor(text: str) -> tuple[int, str]:
    order, _, encoded = text.partition(".")
    try:
        if len(text) > 1_000 or not order.isascii() or not order.isdigit() or int(order) >= 2**63:
            raise ValueError
        return int(order), base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (ValueError, binascii.Error):
        raise BadCursor("not a cursor of this list") from None
