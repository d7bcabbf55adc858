"""Repeats lasting messages to Alertmanager, which would otherwise resolve them."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from monitor.text.display import DEFAULT, Display
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.channels import Alertmanager, DeliveryFailed
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.outbox import LastingMessage
from streams.consumers.notify.telemetry import NotifyMetrics
from streams.runtime.retry import Backoff

log = structlog.get_logger("callwarden")

_EVERY_S: Final = 60.0
_ATTEMPTS: Final = 5
_PROBES: Final = 3


class Reminders:
    """The reminders of one Alertmanager. A message that it refuses five times while it accepts others is given up."""

    def __init__(
        self,
        channel: Alertmanager,
        database: Database,
        telemetry: NotifyMetrics,
        elapsed_s: Callable[[], float],
        display: Display = DEFAULT,
    ) -> None:
        self._channel, self._database, self._telemetry = channel, database, telemetry
        self._elapsed_s, self._display = elapsed_s, display
        self._next_s = -math.inf
        self._backoff = Backoff(1.0, _EVERY_S)
        self._turn = 0
        self._refused: Counter[str] = Counter()  # by the message's id

    async def step(self) -> None:
        """Send reminders if they are due. Raises TransientError if the database is unavailable."""
        if self._elapsed_s() < self._next_s:
            return
        standing, most = await self._database.run(outbox.lasting_messages), self._channel.at_once
        try:
            for at in range(0, len(standing), most):
                await self._remind_of(standing[at : at + most])
        except DeliveryFailed as failed:
            if not self._backoff.failures:
                log.warning("a channel does not accept reminders", channel=self._channel.name, why=str(failed))
            self._next_s = self._elapsed_s() + max(failed.wait_s or 0.0, self._backoff.next_s())
            return
        self._backoff.reset()
        self._next_s = self._elapsed_s() + _EVERY_S

    async def _remind_of(self, some: Sequence[LastingMessage]) -> None:
        """Raises DeliveryFailed if the receiver fails; a message that alone fails does not delay others."""
        failed = await self._tried(some)
        if failed is None:
            return
        if failed.receiver_alone or (len(some) == 1 and not failed.message_alone):
            raise failed
        if len(some) == 1:
            await self._blame(some[0].message, failed)
            return
        self._turn = (self._turn + _PROBES) % len(some)
        taken, refused = 0, list[tuple[Message, DeliveryFailed]]()
        for each in (*some[self._turn :], *some[: self._turn]):
            why = await self._tried([each])
            if why is None:
                taken += 1
            elif why.receiver_alone:
                raise why
            elif why.message_alone:
                await self._blame(each.message, why)
            else:
                refused.append((each.message, why))
                if not taken and len(refused) >= _PROBES:
                    raise why  # nothing shows that it is these messages
        if refused and not taken:
            raise refused[0][1]
        for message, why in refused:
            await self._blame(message, why)

    async def _tried(self, some: Sequence[LastingMessage]) -> DeliveryFailed | None:
        try:
            await self._channel.remind(some)
        except DeliveryFailed as failed:
            self._telemetry.failed(self._channel.name)
            return failed
        for each in some:
            self._refused.pop(each.message.id, None)
        return None

    async def _blame(self, message: Message, why: DeliveryFailed) -> None:
        self._refused[message.id] += 1
        if self._refused[message.id] < _ATTEMPTS:
            return
        tenant = self._display.tenant(message.tenant_id) if message.tenant_id else ""
        log.error("an alert is given up", channel=self._channel.name, what=message.what, tenant=tenant, why=str(why))
        del self._refused[message.id]
        await self._database.run(lambda connection: outbox.remove_lasting(connection, message))
