"""State of an aiokafka 0.14 consumer that has no public interface: private names, in one place."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.fetch import FetchRequest

from streams.kafka.api import LogEnds
from streams.runtime.monotonic import steady_s


def position(client: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The client's current position; None without one: not assigned, or in a rebalance before its callback.

    `AIOKafkaConsumer.position` would wait for one.
    """
    subscriptions = client._subscription
    if not subscriptions.is_assigned(tp):
        return None
    state = subscriptions.subscription.assignment.state_value(tp)
    return int(state.position) if state.has_valid_position else None


async def know(client: AIOKafkaConsumer, topics: Iterable[str]) -> None:
    """Have the client load the metadata of these topics if it does not have it yet.

    A request for an unknown topic first fails inside aiokafka, which retries it after a pause.
    """
    network = client._client
    for topic in topics:
        network.add_topic(topic)
    await network._maybe_wait_metadata()


def fetching_has_ended(client: AIOKafkaConsumer) -> bool:
    """Whether the client's fetch task has failed: it then fetches nothing, and raises nothing."""
    return client._fetcher is not None and bool(client._fetcher.error_future.done())


class FetchUnanswered:
    """The fetches that a broker has not answered yet. It answers each, with records or without, within its wait."""

    def __init__(self) -> None:
        self._asked_s: dict[object, float] = {}

    @property
    def for_s(self) -> float:
        """Seconds for which the oldest of them has been waiting; 0 if there is none."""
        return steady_s() - min(self._asked_s.values()) if self._asked_s else 0.0

    @contextmanager
    def asking(self, asked_s: float) -> Iterator[None]:
        """Track one fetch for the duration of the block."""
        one = object()
        self._asked_s[one] = asked_s
        try:
            yield
        finally:
            del self._asked_s[one]


def on_log_ends(
    client: AIOKafkaConsumer, tell: Callable[[TopicPartition, LogEnds], None], unanswered: FetchUnanswered | None = None
) -> None:
    """Call ``tell`` with the ends of partitions in each fetch response; ``unanswered`` tracks the open fetches.

    `AIOKafkaConsumer.last_poll_timestamp` is not a substitute: it is wall-clock time when the response was handled.
    """
    network = client._client
    send = network.send

    async def sending(node_id: Any, request: Any, *args: Any, **more: Any) -> Any:
        asked_s = steady_s()
        if not isinstance(request, FetchRequest):
            return await send(node_id, request, *args, **more)
        with unanswered.asking(asked_s) if unanswered is not None else nullcontext():
            response = await send(node_id, request, *args, **more)
        if response is not None:
            for tp, last_stable, high_watermark in _ends(response.topics):
                tell(tp, LogEnds(last_stable, high_watermark, asked_s))
        return response

    network.send = sending


def _ends(topics: Iterable[Any]) -> Iterable[tuple[TopicPartition, int, int]]:
    for topic, partitions in topics:
        for partition, error, high_watermark, last_stable, *_ in partitions:
            if not error:
                yield TopicPartition(topic, partition), int(last_stable), int(high_watermark)
