"""The ends of partitions in a broker's responses, each with the time of its request."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.protocol.fetch import FetchRequest

from streams.kafka.aiokafka_private import on_log_ends
from streams.kafka.api import TP, LogEnds
from streams.kafka.read.reader import KafkaReader
from streams.runtime.monotonic import steady_s


async def test_an_end_is_of_when_it_was_asked_for_and_errors_tell_none() -> None:
    looked_at: list[float] = []

    async def send(node_id: int, request: Any) -> Any:
        looked_at.append(steady_s())  # later than the request, however long the response waits
        return SimpleNamespace(topics=[("ours", [(0, 0, 9, 7, b""), (1, 6, 9, 7, b"")])])

    client: Any = SimpleNamespace(_client=SimpleNamespace(send=send))
    output: list[tuple[TopicPartition, LogEnds]] = []
    on_log_ends(client, lambda *each: output.append(each))
    asked_s = steady_s()
    await client._client.send(1, FetchRequest(500, 1, 1, 0, []))
    await client._client.send(1, "something else")
    [(tp, ends)] = output
    assert (tp, ends.last_stable, ends.high_watermark) == (TopicPartition("ours", 0), 7, 9)
    assert asked_s <= ends.asked_s <= looked_at[0]


def test_an_earlier_question_that_is_answered_late_makes_nothing_older() -> None:
    clients: Any = None
    reader = KafkaReader(clients)
    for end, asked_s in ((7, 20.0), (5, 10.0), (7, 20.0), (9, 30.0), (8, 25.0)):
        reader._heard(TopicPartition("ours", 0), LogEnds(end, end, asked_s))
    assert reader.ends() == {TP("ours", 0): LogEnds(9, 9, 30.0)}
