"""The outbox: messages that wait for each channel, in the transaction of what they are about."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from streams.consumers.notify.message import Message
from streams.consumers.notify.tables import OUTBOX, STANDING
from streams.consumers.shapes import insert_new

_KEPT_MS = 30 * 86_400_000
_LONGEST_MS = 10 * 60_000  # more than a sender lets a refused message wait
decode = msgspec.json.Decoder(Message).decode
"""A message as it is stored."""


class Waiting(NamedTuple):
    """A message that a channel has not delivered yet."""

    number: int
    message: Message
    made_ms: int
    attempts: int


class Standing(NamedTuple):
    """What Alertmanager must hear of again and again while it lasts."""

    message: Message
    since_ms: int


def put(connection: Connection, messages: Iterable[Message], channels: Collection[str], now_ms: int) -> None:
    """Have these told by each of these channels; one that is there already stays as it is."""
    for message in messages:
        text = msgspec.json.encode(message).decode()
        rows = [
            {
                "channel": channel,
                "message_id": message.id,
                "message": text,
                "made_ms": now_ms,
                "attempts": 0,
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


def waiting(connection: Connection, channel: str, now_ms: int, most: int) -> list[Waiting]:
    """What a channel should deliver now, the oldest first."""
    table = OUTBOX.c
    rows = connection.execute(
        select(table.number, table.message, table.made_ms, table.attempts)
        .where(table.channel == channel, table.state == "waiting")
        # One that is to wait for longer than any is was put there before the clock was set back.
        .where((table.next_ms <= now_ms) | (table.next_ms > now_ms + _LONGEST_MS))
        .order_by(table.number)
        .limit(most)
    )
    return [Waiting(number, decode(message), made_ms, attempts) for number, message, made_ms, attempts in rows]


def standing(connection: Connection) -> list[Standing]:
    """All that stands now."""
    rows = connection.execute(select(STANDING.c.message, STANDING.c.since_ms).order_by(STANDING.c.key))
    return [Standing(decode(message), since_ms) for message, since_ms in rows]


def stands_no_more(connection: Connection, message: Message) -> None:
    """Alertmanager does not take this one; one that has taken its place stays."""
    text = msgspec.json.encode(message).decode()
    connection.execute(delete(STANDING).where(STANDING.c.key == key(message), STANDING.c.message == text))


def ended(connection: Connection, numbers: Sequence[int], state: str, now_ms: int) -> None:
    """These were ``delivered``, or ``given_up``."""
    for at in range(0, len(numbers), 500):
        some = numbers[at : at + 500]
        connection.execute(update(OUTBOX).where(OUTBOX.c.number.in_(some)).values(state=state, ended_ms=now_ms))


def again(connection: Connection, number: int, next_ms: int) -> None:
    """This one was refused, and is tried once more later."""
    row = update(OUTBOX).where(OUTBOX.c.number == number)
    connection.execute(row.values(attempts=OUTBOX.c.attempts + 1, next_ms=next_ms))


def forget(connection: Connection, now_ms: int) -> None:
    """Delete what ended a month ago."""
    connection.execute(delete(OUTBOX).where(OUTBOX.c.state != "waiting", OUTBOX.c.ended_ms < now_ms - _KEPT_MS))


def queues(connection: Connection) -> dict[str, tuple[int, int]]:
    """For each channel with something to deliver: how many messages wait, and since when the oldest does."""
    table = OUTBOX.c
    rows = connection.execute(
        select(table.channel, func.count(), func.min(table.made_ms))
        .where(table.state == "waiting")
        .group_by(table.channel)
    )
    return {channel: (n, oldest_ms) for channel, n, oldest_ms in rows}


def stands_again(connection: Connection, message: Message, since_ms: int) -> None:
    """What goes on is to be told to Alertmanager again and again, unless it is already."""
    if message.standing == "on":
        text = msgspec.json.encode(message).decode()
        connection.execute(
            insert_new(connection, STANDING), [{"key": key(message), "message": text, "since_ms": since_ms}]
        )


def key(message: Message) -> str:
    """What a message is about: the next one about the same takes its place."""
    return "\n".join((message.tenant_id, message.behaviour, message.what, message.severity, message.tier))
