"""The writer without keys: a producer that does not answer is replaced, and readiness reports it."""

import asyncio
from collections.abc import Sequence

import pytest

from streams.ingest.http.plain_writer import PlainWriter
from streams.kafka.api import TP, TransientError
from streams.kafka.outputs import OutputRecord

RECORD = OutputRecord("cdr", 0, b"acme", b"{}")


class Producer:
    def __init__(self, answers: bool) -> None:
        self.answers, self.stopped = answers, asyncio.Event()

    async def start(self) -> None:
        pass

    async def append(self, records: Sequence[OutputRecord]) -> dict[TP, int]:
        if not self.answers:
            await asyncio.Event().wait()
        return {TP("cdr", 0): len(records)}

    async def stop(self) -> None:
        self.stopped.set()


class Producers:
    """The first does not answer, all others do."""

    def __init__(self) -> None:
        self.made: list[Producer] = []

    def appender(self) -> Producer:
        self.made.append(Producer(answers=bool(self.made)))
        return self.made[-1]


async def test_a_producer_that_does_not_answer_is_replaced_and_the_writer_is_away_until_one_does() -> None:
    producers = Producers()
    writer = PlainWriter(producers, write_s=0.01)
    await writer.start()
    assert writer.away is None
    with pytest.raises(TransientError, match=r"has not acknowledged within 0\.01 s"):
        await writer.append([RECORD])
    assert writer.away == "Kafka has not acknowledged within 0.01 s"
    await producers.made[0].stopped.wait()
    assert await writer.append([RECORD]) == {TP("cdr", 0): 1}
    assert (writer.away, len(producers.made)) == (None, 2)
    await writer.stop()
    assert producers.made[1].stopped.is_set()
