"""Commits small transactions step by step: a live worker writes several a second, each of a few records."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from streams.kafka.aiokafka_private import TransactionSteps
from streams.kafka.api import TP, OutputRecord, TransientError
from streams.kafka.produce.batch_sender import outcome_of, records_by_partition

_MOST_RECORDS: Final = 500  # appended without a turn for the event loop


class SmallTransactions:
    """The small transactions of a transactional producer that has started."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._steps = TransactionSteps(producer)

    async def commit(
        self, records: Sequence[OutputRecord], offsets: Mapping[TopicPartition, OffsetAndMetadata], group: str
    ) -> dict[TP, int] | None:
        """Commit a transaction. Returns the last offset by partition.

        None: nothing was done, because the transaction is large, or the client is not ready for it.
        """
        if len(records) > _MOST_RECORDS:
            return None
        parts = {TopicPartition(*tp): some for tp, some in records_by_partition(records).items()}
        if not parts or not self._steps.possible(parts):
            return None
        builders = {tp: self._batch(some) for tp, some in parts.items()}
        if None in builders.values():
            return None
        steps = self._steps
        with steps.charge():
            await steps.begin(builders)
            sent = await steps.produce(builders)
            if all(future.done() for future in sent):
                last = await self._last(parts, sent)
                if offsets:
                    await steps.add_offsets(offsets, group)
                await steps.commit()
                return last
        steps.send_again()
        await asyncio.wait(sent)
        last = await self._last(parts, sent)
        if offsets:
            await self._producer.send_offsets_to_transaction(offsets, group)
        await self._producer.commit_transaction()
        return last

    def _batch(self, records: Sequence[OutputRecord]) -> Any:
        """The records of a partition in one batch; None if they do not fit in one."""
        batch = self._producer.create_batch()
        for _, _, key, value, headers in records:
            if batch.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                return None
        batch.close()
        return batch

    @staticmethod
    async def _last(
        parts: Mapping[TopicPartition, Sequence[OutputRecord]], sent: Sequence[asyncio.Future[Any]]
    ) -> dict[TP, int]:
        """The last offsets, from the futures of the batches, which are done. Raises the first error."""
        for future in sent:
            future.exception()
        last = {}
        for (tp, records), future in zip(parts.items(), sent, strict=True):
            first = (await outcome_of(future, TP(*tp), records)).offset
            if first < 0:  # stored at a first try whose response was lost
                raise TransientError(f"{tp.topic}-{tp.partition}: the broker does not say where it put the records")
            last[TP(*tp)] = first + len(records) - 1
        return last
