"""Messages that were given up: lists them, and delivers them again once their receiver is repaired."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from streams.consumers.database import Database, filled
from streams.consumers.notify import outbox
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.tables import OUTBOX
from streams.settings.load import Settings


class FailedMessages(NamedTuple):
    """A message that was given up.

    ``over``: its subject has ended since, or a newer message about it was sent, so that sending it now would be wrong.
    """

    number: int
    channel: str
    message: Message
    ended_ms: int
    over: bool


def open_database(settings: Settings) -> AbstractContextManager[Database]:
    """The notifier's database for other programs. Raises PermanentError if it has no notifier; TransientError."""
    return filled(
        settings.notify_database.get_secret_value(),
        "notify",
        OUTBOX,
        "contains no notifier's messages; expected the database of the running `callwarden notify`: "
        "CALLWARDEN_NOTIFY_DATABASE",
    )


def list_failed(connection: Connection) -> list[FailedMessages]:
    """All messages that were given up within the last 30 days and not sent again, oldest first."""
    table = OUTBOX.c
    rows = connection.execute(
        select(table.number, table.channel, table.message, table.ended_ms)
        .where(table.state == "given_up")
        .order_by(table.number)
    ).all()
    found = [
        FailedMessages(number, channel, outbox.decode(text), at_ms, False) for number, channel, text, at_ms in rows
    ]
    stands = {outbox.key(one.message): one.message for one in outbox.lasting_messages(connection)}
    # An Alertmanager gets no more reminders of its given-up messages, though what they report may last.
    forgotten = {one.message.id: one for one in found if one.channel.startswith("alertmanager")}
    return [one._replace(over=_over(connection, one.message, stands, forgotten)) for one in found]


def send_again(connection: Connection, some: Sequence[FailedMessages], now_ms: int) -> int:
    """Queue these messages again, except those that are over. Returns how many are queued."""
    revived = 0
    for one in some:
        row = update(OUTBOX).where(OUTBOX.c.number == one.number, OUTBOX.c.state == "given_up")
        fresh = {"state": "waiting", "attempts": 0, "unattributed": 0, "next_ms": now_ms, "ended_ms": None}
        if not one.over and connection.execute(row.values(fresh)).rowcount:
            revived += 1
            if one.channel.startswith("alertmanager"):
                outbox.add_lasting(connection, one.message, one.ended_ms)
    return revived


def _over(
    connection: Connection, message: Message, stands: Mapping[str, Message], forgotten: Mapping[str, FailedMessages]
) -> bool:
    now = stands.get(outbox.key(message))
    if message.standing == "on" and now is None and message.id in forgotten:
        return _followed(connection, forgotten[message.id])
    return message.standing is not None and now != (message if message.standing == "on" else None)


def _followed(connection: Connection, one: FailedMessages) -> bool:
    """Whether a newer message about the same was queued."""
    table, about = OUTBOX.c, outbox.key(one.message)
    later = connection.execute(
        select(table.message).where(table.channel == one.channel, table.number > one.number)
    ).scalars()
    return any(outbox.key(outbox.decode(text)) == about for text in later)
