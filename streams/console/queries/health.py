"""What the console's database says of its health: records that it could not read or that were lost, and the outbox."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from streams.console.tables import ALERTS, LOSSES, OUTBOX, REJECTED, VERDICTS

SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A record that the console could not read, with the reason."""

    topic: str
    partition: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class LostRange:
    """Offsets from ``first`` up to ``stop`` that were deleted before the console read them."""

    topic: str
    partition: int
    first: int
    stop: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class StoredHealth:
    """Counts, and the newest of what is listed."""

    unread: int
    unread_records: list[UnreadableRow]
    losses: list[LostRange]
    unsent: int
    oldest_unsent_ms: int | None
    refused_verdicts: int
    firing_alerts: int


def stored_health(connection: Connection, now_ms: int) -> StoredHealth:
    """The health at ``now_ms``; what waits in the outbox for its time is not counted."""
    r, o, v = REJECTED.c, OUTBOX.c, VERDICTS.c
    unread = select(r.topic, r.partition, r.offset, r.reason).order_by(r.topic, r.partition, r.offset.desc())
    lost = select(LOSSES.c.topic, LOSSES.c.partition, LOSSES.c.first, LOSSES.c.stop, LOSSES.c.at_ms)
    due = (o.sent_ms.is_(None), o.not_before_ms <= now_ms)
    unsent, oldest = connection.execute(select(func.count(), func.min(o.not_before_ms)).where(*due)).one()
    return StoredHealth(
        connection.execute(select(func.count()).select_from(REJECTED)).scalar_one(),
        [UnreadableRow(*row) for row in connection.execute(unread.limit(SHOWN))],
        [LostRange(*row) for row in connection.execute(lost.order_by(LOSSES.c.number.desc()).limit(SHOWN))],
        unsent,
        oldest,
        connection.execute(select(func.count()).where(v.state == "rejected")).scalar_one(),
        connection.execute(select(func.count()).where(ALERTS.c.state == "firing")).scalar_one(),
    )
