"""The transactional writer of `streams.kafka.api`, on a broker in memory."""

import asyncio
from collections.abc import Mapping, Sequence

from crash.log import Record, Txn
from crash.memory_link import Link
from helpers.single_records import each_record
from streams.kafka.api import TP
from streams.kafka.outputs import Outputs


class MemoryWriter:
    """`streams.kafka.api.Writer`."""

    def __init__(self, link: Link, transactional_id: str) -> None:
        self._link, self._id = link, transactional_id
        self._epoch: int | None = None

    async def start(self) -> None:
        self._epoch = await self._link.call("writer.start", lambda: self._link.broker.fence(self._id))
        await self._until_ended()

    async def commit(self, records: Outputs, offsets: Mapping[TP, int], note: str = "") -> int:
        epoch, self._epoch = self._epoch, None  # after an error the epoch is no longer valid
        assert epoch is not None, "commit on a writer that was not started, is committing, or has failed"
        assert records or offsets, "a transaction needs a record or an offset"
        broker, link = self._link.broker, self._link
        await self._until_ended()
        txn = await link.call("commit.begin", lambda: broker.begin(self._id, epoch))
        sent = await self._produce(txn, records) if records else -1
        await link.call("commit.offsets", lambda: broker.add_offsets(self._id, txn, offsets, note))
        await link.call("commit.end", lambda: broker.commit(self._id, txn))
        self._epoch = epoch
        return sent

    async def commit_again(self, tps: Sequence[TP]) -> None:
        epoch, self._epoch = self._epoch, None
        assert epoch is not None, "commit on a writer that was not started, is committing, or has failed"
        broker, link = self._link.broker, self._link
        await self._until_ended()
        txn = await link.call("again.begin", lambda: broker.begin(self._id, epoch))
        await link.call("again.add", lambda: broker.add_partitions(self._id, txn, tps))
        await link.call("again.end", lambda: broker.commit(self._id, txn))
        self._epoch = epoch

    async def stop(self) -> None:
        self._epoch = None
        await asyncio.sleep(0)

    async def _until_ended(self) -> None:
        """`CONCURRENT_TRANSACTIONS`: the client retries until the markers of the last transaction are written."""
        while self._link.broker.busy(self._id):
            await asyncio.sleep(0.01)
            await self._link.passes("writer.retry")

    async def _produce(self, txn: Txn, records: Outputs) -> int:
        """Each log receives its records in order. The order of the logs and the number of pieces are random."""
        queues: dict[TP, list[Record]] = {}
        for out in each_record(records):
            queues.setdefault(TP(out.topic, out.partition), []).append(Record(out.key, out.value, out.headers))
        last_tp, last = TP(records[-1].topic, records[-1].partition), -1
        while queues:
            tp = self._link.rng.choice(list(queues))
            size = self._link.rng.randint(1, len(queues[tp])) if self._link.rng.random() < 0.2 else len(queues[tp])
            piece, queues[tp] = queues[tp][:size], queues[tp][size:]
            if not queues[tp]:
                del queues[tp]
            sent = await self._link.call(
                "commit.produce", lambda tp=tp, piece=piece: self._link.broker.produce(self._id, txn, tp, piece)
            )
            last = sent if tp == last_tp else last
        return last
