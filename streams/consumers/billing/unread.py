"""Undecodable records: whose answers they withhold, and how an operator accepts them.

Such a record may freeze refunds. Billing answers about no tenant that it may concern until an operator has checked
it and accepted that it changes nothing.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, exists, func, select, update

from monitor.text.masking import mask_text
from streams.consumers.billing.tables import ALL_TENANTS, UNREAD
from streams.kafka.api import PermanentError, TransientError


class AnswerWithheld(TransientError):
    """An undecodable record may freeze the tenant's refunds: there is no answer until an operator has checked it."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            f"the record at {topic}-{partition} offset {offset} cannot be read, and may concern this tenant"
        )
        self.topic, self.partition, self.offset = topic, partition, offset


class UnreadRecord(NamedTuple):
    """An undecodable record that is not accepted. ``tenants``: those it may concern; empty: any tenant."""

    topic: str
    partition: int
    offset: int
    tenants: tuple[str, ...]
    reason: str


_OPEN = UNREAD.c.accepted_ms.is_(None)
ANY_OPEN = exists(select(UNREAD.c.tenant_id).where(_OPEN))
"""Whether there is any such record; for use in another statement."""
_FIRST_OF = select(UNREAD.c.topic, UNREAD.c.partition, UNREAD.c.offset).where(
    _OPEN, UNREAD.c.tenant_id == bindparam("tenant")
)
_RECORDS = select(func.count()).select_from(
    select(UNREAD.c.topic, UNREAD.c.partition, UNREAD.c.offset, UNREAD.c.hash).where(_OPEN).distinct().subquery()
)


def withheld(connection: Connection, tenants: Sequence[str]) -> dict[str, AnswerWithheld]:
    """Those of the tenants whose answers are withheld, each with one record that is the reason.

    One look-up per tenant, which stops at the first row: the cost does not depend on the number of records.
    """
    if (first := _first(connection, ALL_TENANTS)) is not None:
        return dict.fromkeys(tenants, first)
    found = {tenant: _first(connection, tenant) for tenant in tenants}
    return {tenant: first for tenant, first in found.items() if first is not None}


def listed(connection: Connection, most: int) -> list[UnreadRecord]:
    """The records that are not accepted, at most ``most``, in log order."""
    key = (UNREAD.c.topic, UNREAD.c.partition, UNREAD.c.offset, UNREAD.c.hash)
    rows = connection.execute(select(UNREAD).where(_OPEN).order_by(*key, UNREAD.c.tenant_id).limit(2 * most))
    found: dict[tuple[str, int, int, str], UnreadRecord] = {}
    for row in rows:
        place = (row.topic, row.partition, row.offset, row.hash)
        before = found.get(place, UnreadRecord(row.topic, row.partition, row.offset, (), row.reason))
        whose = (row.tenant_id,) if row.tenant_id != ALL_TENANTS else ()
        found[place] = before._replace(tenants=(*before.tenants, *whose))
    return list(found.values())[:most]


def counted(connection: Connection) -> tuple[int, int]:
    """The number of records that are not accepted, and how many of them may concern any tenant."""
    anybody = select(func.count()).select_from(UNREAD).where(_OPEN, UNREAD.c.tenant_id == ALL_TENANTS)
    return connection.execute(_RECORDS).scalar_one(), connection.execute(anybody).scalar_one()


def accept(connection: Connection, places: Iterable[tuple[int, int]] | None, reason: str, now_ms: int) -> int:
    """Accept the records at these partitions and offsets, or all for None. Returns their count.

    Their tenants are answered again unless another record remains. Raises PermanentError if a place has no such
    record; nothing is accepted then.
    """
    chosen = update(UNREAD).where(_OPEN).values(accepted_ms=now_ms, accepted_reason=mask_text(reason))
    before = connection.execute(_RECORDS).scalar_one()
    if places is None:
        connection.execute(chosen)
    for partition, offset in places or ():
        here = chosen.where(UNREAD.c.partition == partition, UNREAD.c.offset == offset)
        if not connection.execute(here).rowcount:
            raise PermanentError(
                f"there is no unread record at {partition}:{offset}; `callwarden billing --unread` lists them"
            )
    return int(before - connection.execute(_RECORDS).scalar_one())


def _first(connection: Connection, tenant: str) -> AnswerWithheld | None:
    row = connection.execute(_FIRST_OF.limit(1), {"tenant": tenant}).first()
    return AnswerWithheld(*row) if row is not None else None
