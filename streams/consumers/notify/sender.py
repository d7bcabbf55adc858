"""Empties the outbox to one channel: at least once, backing off while it does not answer, a flood as a digest."""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from streams.cluster import Unavailable
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.channels import Alertmanager, Channel, Failed
from streams.consumers.notify.digest import digest, plan
from streams.consumers.notify.message import Message
from streams.consumers.notify.names import shown
from streams.consumers.notify.outbox import Standing, Waiting
from streams.consumers.notify.telemetry import Telemetry

log = structlog.get_logger("callwarden")

LOOK_S: Final = 0.5
_MOST: Final = 10_000
_MINUTE_MS: Final = 60_000
_LAST_RETRY_S: Final = 300.0
_ATTEMPTS: Final = 5


class Sender:
    """One channel's. What one cannot deliver waits in the outbox, and holds no other up."""

    def __init__(
        self,
        channel: Channel,
        database: Database,
        clock: Callable[[], int],
        telemetry: Telemetry,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives epoch ms, and may be set back; ``elapsed_s`` only goes on."""
        self._channel, self._database = channel, database
        self._clock, self._telemetry = clock, telemetry
        self._elapsed_s = elapsed_s
        self._sent: deque[float] = deque()
        self._failures = 0
        self._rest_until_s = self._reminded_s = -math.inf
        self._refused: Counter[str] = Counter()  # of reminders, by the message's id

    async def run(self) -> None:
        """Deliver, for as long as it is let."""
        while True:
            try:
                await self.step()
            except Unavailable as error:
                log.warning("waiting", why=str(error))
                await asyncio.sleep(5)
            await asyncio.sleep(LOOK_S)

    async def step(self) -> None:
        """Deliver what can be delivered now. Raises Unavailable, of the database."""
        if self._elapsed_s() < self._rest_until_s:
            return
        now_ms = self._clock()
        name, room = self._channel.name, self._room()
        if room is not None and room <= 0:
            return
        rows = await self._database.run(lambda connection: outbox.waiting(connection, name, now_ms, _MOST))
        if rows and not await self._deliver(rows, room):
            return
        if isinstance(self._channel, Alertmanager) and self._elapsed_s() - self._reminded_s >= _MINUTE_MS / 1000:
            await self._remind(self._channel)

    async def _remind(self, channel: Alertmanager) -> None:
        standing = await self._database.run(outbox.standing)
        for at in range(0, len(standing), channel.at_once):
            if not await self._remind_of(channel, standing[at : at + channel.at_once]):
                return
        self._reminded_s = self._elapsed_s()

    async def _remind_of(self, channel: Alertmanager, some: Sequence[Standing]) -> bool:
        """Whether the channel is well; if it minds one alone, the others are told all the same."""
        try:
            await channel.remind(some)
        except Failed as failed:
            self._telemetry.failed(channel.name)
            if not failed.message_alone:
                self._rest(failed)
                return False
            if len(some) > 1:
                for each in some:
                    if not await self._remind_of(channel, [each]):
                        return False
                return True
            message = some[0].message
            self._refused[message.id] += 1
            if self._refused[message.id] >= _ATTEMPTS:
                log.error("an alert is given up", **_named(channel, message), why=str(failed))
                await self._stands_no_more(message)
            return True
        self._well_again()
        for each in some:
            self._refused.pop(each.message.id, None)
        return True

    async def _stands_no_more(self, message: Message) -> None:
        self._refused.pop(message.id, None)
        await self._database.run(lambda connection: outbox.stands_no_more(connection, message))

    async def _deliver(self, rows: Sequence[Waiting], room: int | None) -> bool:
        """Whether the channel is well."""
        channel = self._channel
        if room is None:
            for at in range(0, len(rows), channel.at_once):
                if not await self._send(rows[at : at + channel.at_once]):
                    return False
            return True
        planned = plan([row.message for row in rows], room)
        by_id = {row.message.id: row for row in rows}
        for message in planned.single:
            if not await self._send([by_id[message.id]]):
                return False
        digested = [by_id[message.id] for message in planned.digested]
        if digested:
            return await self._send(digested, digest(planned.digested, self._clock()))
        return True

    async def _send(self, rows: Sequence[Waiting], instead: Message | None = None) -> bool:
        """Whether the channel is well: it took these, or ``instead`` of them one for all, or it minds one alone."""
        messages = [instead] if instead else [row.message for row in rows]
        since_ms = [row.made_ms for row in rows][: len(messages)]
        if self._channel.per_minute is not None:
            self._sent.append(self._elapsed_s())
        try:
            await self._channel.send(messages, since_ms)
        except Failed as failed:
            self._telemetry.failed(self._channel.name)
            if not failed.message_alone or instead:
                self._rest(failed)
                return False
            if len(rows) > 1:
                return all([await self._send([row]) for row in rows])
            await self._try_later(rows[0], str(failed))
            return True
        except Exception:
            log.critical("a message could not be said", channel=self._channel.name, exc_info=True)
            for row in rows:
                await self._try_later(row, "an unforeseen error")
            return True
        self._well_again()
        numbers, now_ms = [row.number for row in rows], self._clock()
        await self._database.run(lambda connection: outbox.ended(connection, numbers, "delivered", now_ms))
        for message in messages:
            self._telemetry.sent(self._channel.name, message.what)
        return True

    async def _try_later(self, row: Waiting, why: str) -> None:
        now_ms = self._clock()
        if row.attempts + 1 < _ATTEMPTS:
            next_ms = now_ms + _MINUTE_MS * 2**row.attempts
            await self._database.run(lambda connection: outbox.again(connection, row.number, next_ms))
            return
        log.error("a message is given up", **_named(self._channel, row.message), why=why)
        self._telemetry.given_up(self._channel.name)
        await self._database.run(lambda connection: outbox.ended(connection, [row.number], "given_up", now_ms))
        if isinstance(self._channel, Alertmanager):
            await self._stands_no_more(row.message)

    def _rest(self, failed: Failed) -> None:
        seconds = max(failed.wait_s or 0.0, min(2.0**self._failures, _LAST_RETRY_S))
        if not self._failures:
            log.warning("a channel does not take messages", channel=self._channel.name, why=str(failed))
        self._failures += 1
        self._rest_until_s = self._elapsed_s() + seconds

    def _well_again(self) -> None:
        if self._failures:
            log.info("a channel takes messages again", channel=self._channel.name, failed=self._failures)
        self._failures = 0

    def _room(self) -> int | None:
        """How many may be sent now, None: any number. What failed counts, too: its receiver may have counted it."""
        if self._channel.per_minute is None:
            return None
        while self._sent and self._sent[0] <= self._elapsed_s() - _MINUTE_MS / 1000:
            self._sent.popleft()
        return self._channel.per_minute - len(self._sent)


def _named(channel: Channel, message: Message) -> dict[str, str]:
    """Which it is, for the log."""
    return {
        "channel": channel.name,
        "what": message.what,
        "tenant": shown(message.tenant_id) if message.tenant_id else "",
    }
