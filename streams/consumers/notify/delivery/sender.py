"""Empties the outbox to one channel: at least once, with backoff on failure, and a digest under a flood."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

from monitor.text.display import DEFAULT, Display
from monitor.text.durations import MINUTE
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.channels import Alertmanager, Channel, DeliveryFailed
from streams.consumers.notify.delivery.rate_limit import RateLimit
from streams.consumers.notify.delivery.reminders import Reminders
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.outbox import OutboxRow
from streams.consumers.notify.rules.digest import digest, plan
from streams.consumers.notify.telemetry import NotifyMetrics
from streams.kafka.api import TransientError
from streams.runtime.retry import Backoff, delay

log = structlog.get_logger("callwarden")

LOOK_S: Final = 0.5
_MOST: Final = 10_000
_FIRST_BACKOFF_MS, _LONGEST_BACKOFF_MS = 1 * MINUTE, 8 * MINUTE
_LONGEST_RETRY_S: Final = 5.0
_LONGEST_REST_S: Final = 300.0
_ATTEMPTS: Final = 5
_IN_DOUBT: Final = 3
"""After this many unattributed failures of a message, other messages are tried to find the cause."""
_PROBES: Final = 3
"""How many messages are tried in one round."""


class Sender:
    """Delivers one channel's messages. What it cannot deliver waits in the outbox and does not delay other channels.

    A failure may be caused by the message or by the receiver. If the answer does not show which, the message is tried
    again; after `_IN_DOUBT` failures messages of other tenants are tried. If the receiver accepts one of them and then
    fails at the first again, that message is set aside, retried with increasing delays, and given up; if it accepts
    none, the receiver is the cause and all wait in order. Later messages of a tenant wait for one that is set aside.
    The failure counts of a message are stored with it.
    """

    def __init__(
        self,
        channel: Channel,
        database: Database,
        clock: Callable[[], int],
        telemetry: NotifyMetrics,
        elapsed_s: Callable[[], float] = time.monotonic,
        display: Display = DEFAULT,
    ) -> None:
        """``clock`` gives epoch ms and may go back; ``elapsed_s`` only increases."""
        self._channel, self._database = channel, database
        self._clock, self._telemetry = clock, telemetry
        self._elapsed_s, self._display = elapsed_s, display
        self._limit = RateLimit(channel.name, channel.per_minute, database, clock, elapsed_s)
        self._reminders = (
            Reminders(channel, database, telemetry, elapsed_s, display) if isinstance(channel, Alertmanager) else None
        )
        self._backoff = Backoff(1.0, _LONGEST_REST_S)
        self._rest_until_s = -math.inf
        self._passed = False  # whether the last request succeeded
        self._suspects: dict[int, OutboxRow] | None = None  # see `outbox.suspect_rows`
        self._held: set[str] = set()  # tenants with a message set aside in this step

    async def run(self) -> None:
        """Deliver until cancelled."""
        backoff = Backoff(longest_s=_LONGEST_RETRY_S)
        while True:
            try:
                await self.step()
            except TransientError as error:
                delay_s = backoff.next_s()
                log.warning("waiting", why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
            else:
                backoff.reset()
            await asyncio.sleep(LOOK_S)

    async def step(self) -> None:
        """Deliver what can be delivered now. Raises TransientError if the database is unavailable."""
        if self._elapsed_s() < self._rest_until_s:
            return
        name, now_ms, room = self._channel.name, self._clock(), await self._limit.room()
        if room is not None and room <= 0:
            return
        if self._suspects is None:
            found = await self._database.run(lambda connection: outbox.suspect_rows(connection, name))
            self._suspects = {row.number: row for row in found}
        self._held.clear()
        rows = await self._database.run(lambda connection: outbox.due_rows(connection, name, now_ms, _MOST))
        try:
            first = _first_of_tenants(rows)
            if not self._passed and any(_in_doubt(row) for row in first):
                await self._probe(first, room)
            elif rows:
                await self._deliver(rows, room)
        except DeliveryFailed as failed:
            self._rest(failed)
            return
        if self._reminders is not None:
            await self._reminders.step()

    async def _deliver(self, rows: Sequence[OutboxRow], room: int | None) -> None:
        """Deliver these rows. Raises DeliveryFailed if the channel must pause."""
        if room is None:
            for batch in _batches(rows, self._channel.at_once):
                await self._send(batch)
            return
        planned = plan([row.message for row in rows], room)
        by_id = {row.message.id: row for row in rows}
        for message in planned.single:
            await self._send([by_id[message.id]])
        digested = [by_id[m.id] for m in planned.digested if m.tenant_id not in self._held]
        if digested:
            unnamed = {row.message.id for row in digested if row.attempts or _in_doubt(row)}
            await self._send(digested, digest([row.message for row in digested], self._clock(), unnamed))

    async def _probe(self, rows: Sequence[OutboxRow], room: int | None) -> None:
        """Try the first row, to keep the order if it succeeds, then those that failed least, until one succeeds; then
        retry those that failed before it. Raises DeliveryFailed if none succeeds."""
        failed: list[tuple[OutboxRow, DeliveryFailed]] = []
        tried = [*rows[:1], *sorted(rows[1:], key=lambda row: row.unattributed)]
        for row in tried[: _PROBES if room is None else min(_PROBES, room)]:
            try:
                await self._send([row])
            except DeliveryFailed as why:
                if why.receiver_alone:
                    raise
                failed.append((row, why))
            else:
                break
        else:
            raise failed[-1][1]
        for row, _ in failed[: None if room is None else max(0, room - len(failed) - 1)]:
            await self._send([row._replace(unattributed=row.unattributed + 1)])

    async def _send(self, rows: Sequence[OutboxRow], instead: Message | None = None) -> None:
        """Send these rows, or ``instead`` in place of all of them. Raises DeliveryFailed if the channel must pause."""
        rows = [row for row in rows if row.message.tenant_id not in self._held]
        if not rows:
            return
        messages = [instead] if instead else [row.message for row in rows]
        await self._limit.take()
        try:
            await self._channel.send(messages, [row.made_ms for row in rows][: len(messages)])
        except DeliveryFailed as failed:
            await self._failed(rows, failed, instead is not None)
            return
        except Exception:
            log.critical("a message could not be rendered", channel=self._channel.name, exc_info=True)
            for row in rows:
                await self._set_aside(row, "an unexpected error")
            return
        finally:
            self._limit.answered()
        self._well_again()
        numbers, now_ms = [row.number for row in rows], self._clock()
        await self._database.run(lambda connection: outbox.mark_ended(connection, numbers, "delivered", now_ms))
        for message in messages:
            self._telemetry.sent(self._channel.name, message.what)
        await self._blame_suspects(numbers)

    async def _failed(self, rows: Sequence[OutboxRow], failed: DeliveryFailed, digested: bool) -> None:
        """Set aside the message at fault. Raises DeliveryFailed if the cause is unknown, or is the receiver."""
        self._telemetry.failed(self._channel.name)
        passed, self._passed = self._passed, False
        if failed.receiver_alone:
            raise failed
        if digested or (len(rows) > 1 and not failed.message_alone):
            numbers = [row.number for row in rows]
            await self._database.run(lambda connection: outbox.mark_failed(connection, numbers))
            raise failed
        if len(rows) > 1:
            for row in rows:
                await self._send([row])
            return
        [row] = rows
        if failed.message_alone or (passed and row.unattributed + 1 >= _IN_DOUBT and not row.attempts):
            await self._set_aside(row, str(failed))
            return
        next_ms = self._clock() + _backoff_ms(row.attempts) if row.attempts else None
        await self._database.run(lambda connection: outbox.mark_failed(connection, [row.number], next_ms))
        if not row.attempts:
            raise failed
        self._hold(row)
        self._suspected()[row.number] = row

    async def _blame_suspects(self, delivered: Sequence[int]) -> None:
        """Others were delivered: the suspects failed again because of themselves."""
        suspects = self._suspected()
        for number in delivered:
            suspects.pop(number, None)
        for row in list(suspects.values()):
            await self._set_aside(row, "the receiver fails on it and accepts others")

    async def _set_aside(self, row: OutboxRow, why: str) -> None:
        """Retry this row later, or give it up."""
        self._suspected().pop(row.number, None)
        self._hold(row)
        now_ms, name = self._clock(), self._channel.name
        about = {
            "channel": name,
            "what": row.message.what,
            "tenant": self._display.tenant(row.message.tenant_id) if row.message.tenant_id else "",
            "why": why,
        }
        if row.attempts + 1 < _ATTEMPTS:
            if not row.attempts:
                log.warning("a message is set aside", **about)
            next_ms = now_ms + _backoff_ms(row.attempts)
            await self._database.run(lambda connection: outbox.retry_later(connection, row.number, next_ms))
            return
        log.error("a message is given up", **about)
        self._telemetry.given_up(name)
        await self._database.run(lambda connection: outbox.mark_ended(connection, [row.number], "given_up", now_ms))
        if isinstance(self._channel, Alertmanager):
            await self._database.run(lambda connection: outbox.remove_lasting(connection, row.message))

    def _suspected(self) -> dict[int, OutboxRow]:
        if self._suspects is None:
            self._suspects = {}
        return self._suspects

    def _hold(self, row: OutboxRow) -> None:
        if row.message.tenant_id:
            self._held.add(row.message.tenant_id)

    def _rest(self, failed: DeliveryFailed) -> None:
        if not self._backoff.failures:
            log.warning("a channel does not accept messages", channel=self._channel.name, why=str(failed))
        self._rest_until_s = self._elapsed_s() + max(failed.wait_s or 0.0, self._backoff.next_s())

    def _well_again(self) -> None:
        if failures := self._backoff.failures:
            log.info("a channel accepts messages again", channel=self._channel.name, failed=failures)
        self._backoff.reset()
        self._passed = True


def _in_doubt(row: OutboxRow) -> bool:
    return not row.attempts and row.unattributed >= _IN_DOUBT


def _first_of_tenants(rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """The next message of each tenant, except those that are known to fail."""
    first: dict[str | int, OutboxRow] = {}
    for row in rows:
        first.setdefault(row.message.tenant_id or row.number, row)
    return [row for row in first.values() if not row.attempts]


def _backoff_ms(attempts: int) -> int:
    """The delay after another failure of a message with so many."""
    return delay(attempts + 1, _FIRST_BACKOFF_MS, _LONGEST_BACKOFF_MS)


def _batches(rows: Sequence[OutboxRow], most: int) -> Iterator[list[OutboxRow]]:
    """The rows in order, at most ``most`` in a batch; a row that may be at fault is a batch of its own."""
    batch: list[OutboxRow] = []
    for row in rows:
        alone = row.attempts > 0 or _in_doubt(row)
        if batch and (alone or len(batch) == most):
            yield batch
            batch = []
        if alone:
            yield [row]
        else:
            batch.append(row)
    if batch:
        yield batch
