"""What the senders of verdicts and of the console's outbox share: the topics, the database, the writer, and turns."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from monitor.partition.partitioner import Partitioner, partition_of
from streams.consumers.database import Database
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import Cluster
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.ops.control_client import Superseded, commit_records, open_operator_writer

_TRIES = 10
_TURN_S = 15.0
"""A sender that is stalled for longer is fenced by the next one."""

T = TypeVar("T")

Write = Callable[[Sequence[OutputRecord]], Awaitable[object]]
"""Writes records in one transaction."""

Writing = Callable[[], AbstractAsyncContextManager[Write]]
"""A writer that has fenced every earlier one, and whose transactions fail once a later one is started."""


@dataclass(frozen=True, slots=True)
class SenderContext:
    """Where a sender reads and writes. ``database`` stores what is to be sent; `writing_to` returns a ``writing``."""

    topics: TopicReader
    database: Database
    names: TopicNames
    partitioner: Partitioner
    writing: Writing

    async def in_turn(self, name: str, send: Callable[[], Awaitable[T]]) -> T:
        """The result of ``send``, which opens a writer. Senders with the same ``name`` and database run one at a time.

        If another process fences the writer, ``send`` is called again. Raises Superseded after the last try, and what
        ``send`` raises.
        """
        for retry in range(_TRIES):
            try:
                # Each try fences the other senders, so concurrent senders would stop one another.
                async with self.database.turn(name, _TURN_S):
                    return await send()
            except Superseded:
                if retry == _TRIES - 1:
                    raise
                # Random, not a backoff: two senders that fenced each other must not meet again.
                await asyncio.sleep(random.uniform(0.1, 1.0))
        raise AssertionError  # the last try returns or raises

    @property
    def reviews(self) -> str:
        """The topic of reviews."""
        return f"{self.names.input_prefix}reviews"

    def partition_of_review(self, key: bytes, counts: Mapping[str, int]) -> int:
        """The partition of a review. ``counts`` are the partition counts of the topics of reviews and of state.

        If the topic of reviews was given more partitions, workers read only as many as the topic of state has.
        """
        count = counts[self.reviews]
        return partition_of(key, min(count, counts.get(self.names.output("state"), count)), self.partitioner)


def writing_to(cluster: Cluster, application_id: str) -> Writing:
    """What opens a writer of verdicts, or of the console's outbox. All writers with one ``application_id`` share a
    transactional id.
    """

    @asynccontextmanager
    async def writing() -> AsyncIterator[Write]:
        async with open_operator_writer(cluster, f"{application_id}-reviews") as writer:

            async def write(records: Sequence[OutputRecord]) -> None:
                await commit_records(writer, records)

            yield write

    return writing
