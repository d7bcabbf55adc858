"""Writes records outside of transactions, by one producer that is replaced after an error."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from streams.kafka.api import TP, Appender, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord

WRITE_S: Final = 12.0
"""A write that is not acknowledged by then has failed. The client's own time-out (10 s) does not hold everywhere."""


class AppendingCluster(Protocol):
    """A cluster as this writer uses it."""

    def appender(self) -> Appender:
        """A new producer."""
        ...


class PlainWriter:
    """Starts its producer with the first records, and again after an error."""

    def __init__(self, cluster: AppendingCluster, write_s: float = WRITE_S) -> None:
        self._cluster, self._write_s = cluster, write_s
        self._starting: asyncio.Task[Appender] | None = None
        self.away: str | None = "has not reached Kafka yet"
        """Why the last write failed; None if it did not."""

    async def start(self) -> None:
        """Start the producer. Raises TransientError and PermanentError."""
        await self._started()

    async def append(self, records: Sequence[OutputRecord]) -> Mapping[TP, int]:
        """See `streams.kafka.api.Appender`."""
        appender = await self._started()
        try:
            async with asyncio.timeout(self._write_s):
                offsets = await appender.append(records)
        except TimeoutError:
            self.away = f"Kafka has not acknowledged within {self._write_s:g} s"
            self._discard(appender)
            raise TransientError(self.away) from None
        except (TransientError, PermanentError) as error:
            self.away = str(error)
            self._discard(appender)
            raise
        self.away = None
        return offsets

    async def _started(self) -> Appender:
        """The producer. A request that is cancelled meanwhile does not end the start, for which others wait."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        starting = self._starting
        try:
            return await asyncio.shield(starting)
        except (TransientError, PermanentError) as error:
            self.away = str(error)
            if self._starting is starting:
                self._starting = None
            raise

    async def _start(self) -> Appender:
        appender = self._cluster.appender()
        try:
            await appender.start()
        except BaseException:
            await appender.stop()
            raise
        self.away = None
        return appender

    def _discard(self, appender: Appender) -> None:
        starting = self._starting
        if starting is not None and starting.done() and not starting.exception() and starting.result() is appender:
            self._starting = None
            self._closing = asyncio.create_task(appender.stop())

    async def stop(self) -> None:
        """Close."""
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled() and not starting.exception():
                await starting.result().stop()
