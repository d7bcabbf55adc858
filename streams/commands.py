"""What an operator tells the workers: writes commands into the control topic, and sees whether they were taken."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from streams.cluster import TP, Cluster, Fenced, Out, Refused, Unavailable, Writer
from streams.control import Command, says_done
from streams.emit import decode_note
from streams.names import Names

_LOOK_S = 0.5


class Displaced(Unavailable):
    """Another operator's command was being written at the same time: whether this one was is not known."""


@asynccontextmanager
async def operator(cluster: Cluster, application_id: str) -> AsyncIterator[Writer]:
    """A writer for an operator's transactions, started. Unavailable, Refused.

    All operators of an application share a transactional id: what an earlier one has written can be seen by whoever
    has such a writer, and of two at once, one is told so.
    """
    writer = cluster.writer(f"{application_id}-operator")
    try:
        await writer.start()
        yield writer
    except Fenced:
        raise Displaced("another operator's command was being written; whether this one was is not known") from None
    finally:
        await writer.stop()


async def write(cluster: Cluster, application_id: str, records: Sequence[Out]) -> int:
    """Write the records in one transaction; the offset of the last. Unavailable, Refused."""
    async with operator(cluster, application_id) as writer:
        return await writer.commit(records, {})


async def send(
    cluster: Cluster, names: Names, application_id: str, numbers: Sequence[int], command: Command
) -> list[TP]:
    """Write a command for the owners of these partition numbers; where it was written. Unavailable, Refused."""
    topic, value = names.output("control"), msgspec.json.encode(command)
    await write(cluster, application_id, [Out(topic, number, str(number).encode(), value) for number in numbers])
    return [TP(topic, number) for number in numbers]


async def partition_count(cluster: Cluster, names: Names) -> int:
    """How many partitions the control topic has. Unavailable; Refused where it does not exist."""
    topic = names.output("control")
    counts = await cluster.partitions([topic])
    if topic not in counts:
        raise Refused(f"there is no topic {topic}; `callwarden topics create` makes it")
    return counts[topic]


class Watch:
    """Looks for a worker's answer: a record that is one, in what comes into its log after the watch began."""

    def __init__(self, cluster: Cluster, log: TP, is_answer: Callable[[bytes | None], bool]) -> None:
        self._cluster, self._log, self._is_answer = cluster, log, is_answer
        self._at = 0

    async def begin(self) -> None:
        """To be called before the command is sent."""
        self._at = (await self._cluster.ends([self._log]))[self._log]

    async def answered(self, within_s: float) -> bool:
        """Whether the answer comes in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            if await self._look():
                return True
            if loop.time() >= until:
                return False
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> bool:
        end = (await self._cluster.ends([self._log]))[self._log]
        start, self._at = self._at, end
        async for fetched in self._cluster.read(self._log, start, end):
            if any(map(self._is_answer, fetched.values)):
                return True
        return False


def watch(cluster: Cluster, names: Names, number: int, command: Command) -> Watch:
    """For the note of the partition's owner that it has done the command."""

    def is_answer(value: bytes | None) -> bool:
        source, note = decode_note(value or b"")
        return says_done(note, None if source is None else names.inputs[source], command)

    return Watch(cluster, TP(names.output("clock"), number), is_answer)


async def tell(
    cluster: Cluster, names: Names, application_id: str, numbers: Sequence[int], command: Command, within_s: float
) -> list[int]:
    """Write a command for the owners of these partition numbers; those that have not noted in time that it is done.

    With ``within_s`` 0 nobody is waited for. Unavailable, Refused.
    """
    watches = [watch(cluster, names, number, command) for number in numbers]
    for each in watches:
        await each.begin()
    await send(cluster, names, application_id, numbers, command)
    if not within_s:
        return list(numbers)
    done = await asyncio.gather(*(each.answered(within_s) for each in watches))
    return [number for number, answered in zip(numbers, done, strict=True) if not answered]
