"""The outbox: messages that wait for each channel, written in the transaction of their cause."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, case, delete, exists, func, insert, select, update

from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.tables import OUTBOX, STANDING
from streams.consumers.sql_common import insert_new

_KEPT_MS = 30 * 86_400_000
_LONGEST_MS = 10 * 60_000  # longer than a sender's longest backoff
decode = msgspec.json.Decoder(Message).decode
"""Decodes a stored message."""


class OutboxRow(NamedTuple):
    """A message that a channel has not delivered yet.

    ``attempts``: failures caused by this message. ``unattributed``: further failures caused by it or by its receiver.
    """

    number: int
    message: Message
    made_ms: int
    attempts: int
    unattributed: int


class ChannelQueue(NamedTuple):
    """One channel's queue: the number of messages; since when the oldest that is not set aside waits, epoch ms; and how
    many are set aside because the receiver refused them and accepted others."""

    messages: int
    oldest_ms: int | None
    set_aside: int


class LastingMessage(NamedTuple):
    """A message that Alertmanager must get repeatedly while its subject lasts."""

    message: Message
    since_ms: int


def enqueue(connection: Connection, messages: Iterable[Message], channels: Collection[str], now_ms: int) -> None:
    """Queue messages for these channels; a message that is queued already stays unchanged."""
    for message in messages:
        text = msgspec.json.encode(message).decode()
        rows = [
            {
                "channel": channel,
                "message_id": message.id,
                "message": text,
                "tenant_id": message.tenant_id or None,
                "made_ms": now_ms,
                "attempts": 0,
                "unattributed": 0,
                "next_ms": now_ms,
                "state": "waiting",
            }
            for channel in channels
            if message.others or channel.startswith("alertmanager")
        ]
        if rows:
            connection.execute(insert_new(connection, OUTBOX), rows)
        if message.standing is not None:
            about = key(message)
            connection.execute(delete(STANDING).where(STANDING.c.key == about))
            if message.standing == "on":
                connection.execute(insert(STANDING).values(key=about, message=text, since_ms=now_ms))


def due_rows(connection: Connection, channel: str, now_ms: int, most: int) -> list[OutboxRow]:
    """The messages to deliver now, oldest first, without those of a tenant that has an earlier one set aside."""
    table, earlier = OUTBOX.c, OUTBOX.alias("earlier").c
    # A row that is due later than any backoff allows was written before the clock was set back.
    set_aside = (earlier.next_ms > now_ms) & (earlier.next_ms <= now_ms + _LONGEST_MS)
    of_tenant = (earlier.tenant_id == table.tenant_id) & (earlier.number < table.number)
    rows = connection.execute(
        select(table.number, table.message, table.made_ms, table.attempts, table.unattributed)
        .where(table.channel == channel, table.state == "waiting")
        .where((table.next_ms <= now_ms) | (table.next_ms > now_ms + _LONGEST_MS))
        .where(~exists().where(earlier.channel == channel, earlier.state == "waiting", of_tenant, set_aside))
        .order_by(table.number)
        .limit(most)
    )
    return [_waiting(*row) for row in rows]


def suspect_rows(connection: Connection, channel: str) -> list[OutboxRow]:
    """The messages set aside that failed again since the channel's last delivery."""
    table = OUTBOX.c
    rows = connection.execute(
        select(table.number, table.message, table.made_ms, table.attempts, table.unattributed)
        .where(table.channel == channel, table.state == "waiting", table.attempts > 0, table.unattributed > 0)
        .order_by(table.number)
    )
    return [_waiting(*row) for row in rows]


def _waiting(number: int, message: str, made_ms: int, attempts: int, unattributed: int) -> OutboxRow:
    return OutboxRow(number, decode(message), made_ms, attempts, unattributed)


def lasting_messages(connection: Connection) -> list[LastingMessage]:
    """All lasting messages now."""
    rows = connection.execute(select(STANDING.c.message, STANDING.c.since_ms).order_by(STANDING.c.key))
    return [LastingMessage(decode(message), since_ms) for message, since_ms in rows]


def remove_lasting(connection: Connection, message: Message) -> None:
    """Remove a lasting message that Alertmanager refuses; a newer one in its place stays."""
    text = msgspec.json.encode(message).decode()
    connection.execute(delete(STANDING).where(STANDING.c.key == key(message), STANDING.c.message == text))


def mark_ended(connection: Connection, numbers: Sequence[int], state: str, now_ms: int) -> None:
    """Mark these rows as ``delivered`` or ``given_up``."""
    for at in range(0, len(numbers), 500):
        some = numbers[at : at + 500]
        connection.execute(update(OUTBOX).where(OUTBOX.c.number.in_(some)).values(state=state, ended_ms=now_ms))


def retry_later(connection: Connection, number: int, next_ms: int) -> None:
    """Record a refusal of this row, to retry at ``next_ms``."""
    row = update(OUTBOX).where(OUTBOX.c.number == number)
    connection.execute(row.values(attempts=OUTBOX.c.attempts + 1, unattributed=0, next_ms=next_ms))


def mark_failed(connection: Connection, numbers: Sequence[int], next_ms: int | None = None) -> None:
    """Record a failure caused by one of these rows or by the receiver; ``next_ms``: when to retry, None for now."""
    later = {} if next_ms is None else {"next_ms": next_ms}
    for at in range(0, len(numbers), 500):
        rows = update(OUTBOX).where(OUTBOX.c.number.in_(numbers[at : at + 500]))
        connection.execute(rows.values(unattributed=OUTBOX.c.unattributed + 1, **later))


def delete_old(connection: Connection, now_ms: int) -> None:
    """Delete rows that ended 30 days ago or earlier."""
    connection.execute(delete(OUTBOX).where(OUTBOX.c.state != "waiting", OUTBOX.c.ended_ms < now_ms - _KEPT_MS))


def queues(connection: Connection) -> dict[str, ChannelQueue]:
    """The queue of each channel that has waiting messages."""
    table = OUTBOX.c
    rows = connection.execute(
        select(
            table.channel,
            func.count(),
            func.min(case((table.attempts == 0, table.made_ms))),
            func.sum(case((table.attempts > 0, 1), else_=0)),
        )
        .where(table.state == "waiting")
        .group_by(table.channel)
    )
    return {channel: ChannelQueue(n, oldest_ms, set_aside) for channel, n, oldest_ms, set_aside in rows}


def add_lasting(connection: Connection, message: Message, since_ms: int) -> None:
    """Add a lasting message for Alertmanager's reminders, unless there is one already."""
    if message.standing == "on":
        text = msgspec.json.encode(message).decode()
        connection.execute(
            insert_new(connection, STANDING), [{"key": key(message), "message": text, "since_ms": since_ms}]
        )


def key(message: Message) -> str:
    """The identity of a message's subject: the next message about it replaces this one."""
    return "\n".join((message.tenant_id, message.behaviour, message.what, message.severity, message.tier))
