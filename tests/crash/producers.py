"""A producer of inputs that writes in transactions, which stay open for a while; some are aborted."""

import asyncio
import random
from collections.abc import Callable

from crash.broker import Broker
from crash.log import Record
from streams.kafka.api import TP

_ID = "platform"
_LONG_S = 600.0  # a platform's producer chooses its own transaction timeout


class InTransactions:
    """Writes the records that it receives, one transaction after another.

    ``seen`` returns how far a log has been read. ``aborted`` counts the records of aborted transactions; ``held_back``
    the transactions that were committed while a reader was waiting at the first of their records.
    """

    def __init__(self, broker: Broker, rng: random.Random, seen: Callable[[TP], int | None]) -> None:
        self._broker, self._rng, self._seen = broker, rng, seen
        self._due: list[tuple[TP, Record]] = []
        self.aborted = self.held_back = 0

    def write(self, tp: TP, record: Record) -> None:
        """Queue a record for the next transaction."""
        self._due.append((tp, record))

    async def run(self, going_on: Callable[[], bool]) -> None:
        """Write while ``going_on`` holds, and then until the queue is empty."""
        gives_up = self._rng.random() < 0.5
        while going_on() or self._due:
            if self._due:
                await self._transaction(gives_up)
                gives_up = not gives_up if self._rng.random() < 0.7 else gives_up
            await asyncio.sleep(0.02)

    async def _transaction(self, gives_up: bool) -> None:
        broker, rng = self._broker, self._rng
        epoch = await self._initialise()
        txn = broker.begin(_ID, epoch, _LONG_S)
        until = broker.loop.time() + rng.choice((rng.uniform(0.0, 0.2), rng.uniform(0.2, 2.5)))
        written: list[tuple[TP, Record]] = []
        while self._due or broker.loop.time() < until:
            if self._due and broker.up:
                tp, record = self._due.pop(0)
                broker.produce(_ID, txn, tp, [record])
                written.append((tp, record))
            else:
                await asyncio.sleep(0.02)
        await self._there()
        if gives_up:
            await self._initialise()  # its process died; this is the first action of its successor
            self.aborted += len(written)
            self._due = [*(written if rng.random() < 0.7 else []), *self._due]
        else:
            logs = broker.logs
            self.held_back += any(self._seen(tp) == logs[tp].last_stable < logs[tp].end for tp in txn.tps)
            broker.commit(_ID, txn)

    async def _initialise(self) -> int:
        """Return the epoch of a new producer. The open transaction of its predecessor is aborted."""
        await self._there()
        epoch = self._broker.fence(_ID)
        while self._broker.busy(_ID):
            await asyncio.sleep(0.01)
        return epoch

    async def _there(self) -> None:
        while not self._broker.up:
            await asyncio.sleep(0.1)
