"""A member of a consumer group that commits its offsets after its records were handled."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from streams.kafka.aiokafka_private import fetching_has_ended, position
from streams.kafka.api import TP, FetchedBatch, PermanentError, TransientError
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error
from streams.kafka.fetch import columnar_fetch
from streams.kafka.fetch.record_columns import columns

_JOIN_S = 90.0
_STOP_S = 5.0
_REBALANCE_MS = 30_000


class KafkaGroupReader:
    """See `streams.kafka.api.GroupReader`."""

    def __init__(self, clients: Clients, topics: Sequence[str], group: str) -> None:
        self._clients, self._topics, self._group = clients, list(topics), group
        self._client: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        settings = self._clients.settings
        client = self._clients.reader(
            group_id=self._group,
            auto_offset_reset="earliest",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_ms,
            rebalance_timeout_ms=max(_REBALANCE_MS, settings.session_timeout_ms),
            request_timeout_ms=max(_REBALANCE_MS, settings.session_timeout_ms) + 10_000,
            max_poll_interval_ms=2**31 - 1,  # records may be handled for as long as that takes
        )
        client.subscribe(self._topics)
        try:
            async with asyncio.timeout(_JOIN_S):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await close(client.stop(), _STOP_S)
            raise await self._clients.explain_error(error, f"joining group {self._group}") from None
        self._client = client

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        client = self._started
        try:
            # aiokafka's own timeout does not hold during a rebalance.
            async with asyncio.timeout(timeout_s + 0.1):
                batches = await columnar_fetch.poll(client, timeout_s=timeout_s, most=most)
        except TimeoutError:
            return {}
        except KafkaError as error:
            raise translate_error(error, f"as member of group {self._group}") from None
        if fetching_has_ended(client):
            raise PermanentError("fetching has ended with an error in the client")
        fetched = {}
        for tp, records in batches.items():
            stop = position(client, tp)
            if len(records) and stop is not None:
                fetched[TP(*tp)] = columns(int(records.offsets[0][0]), stop, records)
        return fetched

    async def commit(self, tp: TP, offset: int) -> None:
        try:
            await self._started.commit({TopicPartition(*tp): offset})
        except (CommitFailedError, IllegalStateError):
            raise TransientError(
                f"{tp.topic}-{tp.partition} has gone to another member of group {self._group}, which reads the same "
                "records again"
            ) from None
        except KafkaError as error:
            raise translate_error(error, f"committing offsets of group {self._group}") from None

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await close(client.stop(), _STOP_S)

    @property
    def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise RuntimeError("the reader is not started")
        return self._client
