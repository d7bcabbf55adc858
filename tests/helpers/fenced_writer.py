"""Replaces `writing_to` a cluster: writers to topics in memory, each fenced by the next one."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from helpers.fake_topics import FakeTopics
from streams.kafka.api import TransientError
from streams.kafka.outputs import OutputRecord
from streams.ops.control_client import Superseded
from streams.reviews.sender_context import Write


class FencedWriter:
    """Topics in memory and what was written to them. ``fail`` yields how the next writes fail: before, after, not."""

    def __init__(self, held: FakeTopics) -> None:
        self.held = held
        self.written: list[OutputRecord] = []
        self.fail: Iterator[str] = iter(())
        self._started = 0

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Write]:
        """Open a writer, which fences the one before."""
        self._started += 1
        number = self._started

        async def write(records: Sequence[OutputRecord]) -> None:
            if number != self._started:
                raise Superseded("another one is writing")
            await asyncio.sleep(0)
            how = next(self.fail, "")
            if how == "before":
                raise TransientError("the broker is away")
            self.written += records
            for out in records:
                self.held.put(out.topic, out.partition, out.value, key=out.key, headers=out.headers)
            if how == "after":
                raise TransientError("the broker went away: whether it was written is not known")

        yield write
