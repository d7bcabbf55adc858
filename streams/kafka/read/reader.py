"""Reads partitions without a group, from positions that the caller stores."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.kafka.aiokafka_private import fetching_has_ended, on_log_ends, position
from streams.kafka.api import TP, FetchedBatch, LogEnds, OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error
from streams.kafka.fetch import columnar_fetch
from streams.kafka.fetch.columnar_fetch import CorruptBatch
from streams.kafka.fetch.damage import DamageRetries
from streams.kafka.fetch.record_columns import columns
from streams.kafka.metadata.queries import REQUEST_MS

_STOP_S = 5.0


class KafkaReader:
    """See `streams.kafka.api.Reader`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._client: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TP, LogEnds] = {}
        self._damage = DamageRetries()

    async def start(self, positions: Mapping[TP, int]) -> None:
        client = self._clients.reader(request_timeout_ms=REQUEST_MS)
        try:
            await client.start()
            on_log_ends(client, self._heard)
            self._positions = {TopicPartition(*tp): at for tp, at in positions.items()}
            client.assign(list(self._positions))
            for tp, at in self._positions.items():
                client.seek(tp, at)
        except (KafkaError, OSError) as error:
            await close(client.stop(), _STOP_S)
            raise await self._clients.explain_error(error, f"connecting to {self._clients.servers}") from None
        self._client = client

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        client = self._started
        try:
            batches = await columnar_fetch.poll(client, timeout_s=timeout_s, most=most)
        except OffsetOutOfRangeError as error:
            tp, offset = next(iter(error.args[0].items()))
            raise OffsetOutOfRange(TP(*tp), offset) from None
        except CorruptBatch as torn:
            if (unreadable := self._damage.met(torn)) is not None:
                raise unreadable from None
            self._go_back(client)
            return {}
        except KafkaError as error:
            raise translate_error(error, f"reading from {self._clients.servers}") from None
        if fetching_has_ended(client):
            raise PermanentError("fetching has ended with an error in the client")
        fetched = {}
        for tp, start in self._positions.items():
            stop = position(client, tp)
            if stop is not None and stop > start:
                fetched[TP(*tp)] = columns(start, stop, batches.get(tp, ()))
                self._positions[tp] = stop
        return fetched

    def _go_back(self, client: AIOKafkaConsumer) -> None:
        """Seek back to what `poll` returned: aiokafka took records of other partitions before the error."""
        for tp, at in self._positions.items():
            if position(client, tp) not in (None, at):
                client.seek(tp, at)

    def ends(self) -> dict[TP, LogEnds]:
        return dict(self._ends)

    def _heard(self, tp: TopicPartition, ends: LogEnds) -> None:
        known = self._ends.get(TP(*tp))
        if known is None or ends.asked_s > known.asked_s:  # a former leader may answer late
            self._ends[TP(*tp)] = ends

    async def why_silent(self) -> TransientError | PermanentError:
        """Why no fetch is answered, as far as a probe shows."""
        why = await self._clients.explain_error(TimeoutError(), f"reading from {self._clients.servers}")
        return why if isinstance(why, (TransientError, PermanentError)) else TransientError(str(why))

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await close(client.stop(), _STOP_S)

    @property
    def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise RuntimeError("the reader is not started")
        return self._client
