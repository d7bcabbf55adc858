"""The ingest service's process: the HTTP API, the producers, and the index of the idempotency keys."""

import asyncio
import ipaddress
import re
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry

from streams.consumers.service import host, pages
from streams.consumers.topic_reader import TopicReader
from streams.ingest.http.answer import IngestAnswer
from streams.ingest.http.api import make
from streams.ingest.http.body import MAX_DROPPED_BYTES
from streams.ingest.http.decision_times import DecisionTimes
from streams.ingest.http.intake import Intake, Writers
from streams.ingest.http.keys.key_index import KeyIndex
from streams.ingest.http.keys.key_log import Answered, decode_key_record
from streams.ingest.http.keys.keyed_writer import KeyedWriter, TransactionalCluster
from streams.ingest.http.plain_writer import AppendingCluster, PlainWriter
from streams.ingest.http.sources.access import Access
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.ingest.http.telemetry import IngestMetrics
from streams.ingest.http.tokens import GrantedTokens
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import TP, OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.runtime.http_server import ServerOptions, usual_limits
from streams.runtime.http_timing import timed
from streams.settings.load import Settings, variable

log = structlog.get_logger("callwarden")

_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 5.0
_REFRESH_S = 30.0
_LOOK_S = 1.0
_DRAIN_S = 8.0
_SETTLED_S = 0.5  # the server stops to listen within 0.1 s
_READS_AT_ONCE = 4  # each has a consumer of its own
_REQUEST_S: Final = 45.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class IngestCluster(TopicReader, AppendingCluster, TransactionalCluster, Protocol):
    """A cluster as the ingest service uses it; `streams.kafka.cluster.KafkaCluster` implements it."""


async def run(settings: Settings, cluster: IngestCluster) -> None:
    """Serve until a stop is requested. Raises PermanentError."""
    tokens = _tokens(settings)
    await Ingest(settings, cluster, tokens).host()


def _tokens(settings: Settings) -> GrantedTokens | None:
    if settings.ingest_auth == "none":
        if not _is_loopback(settings.web_host):
            raise PermanentError(
                f"{variable('ingest_auth')}=none lets everybody write who can reach {settings.web_host}; expected "
                f"tokens, or a loopback address such as 127.0.0.1 as {variable('web_host')}"
            )
        return None
    if settings.ingest_tokens_file is None:
        raise PermanentError(
            f"no token is set; expected {variable('ingest_tokens_file')}, a file with the hashes of tokens, or, on a "
            f"loopback address, {variable('ingest_auth')}=none, which lets everybody write"
        )
    return GrantedTokens(settings.ingest_tokens_file)


class Ingest:
    """The components of one process."""

    def __init__(self, settings: Settings, cluster: IngestCluster, tokens: GrantedTokens | None) -> None:
        names = TopicNames.from_settings(settings)
        self._settings, self._cluster = settings, cluster
        self._access = Access(tokens, ForeignSources(settings.ingest_sources_file))
        self._registry = CollectorRegistry()
        self._metrics = IngestMetrics(self._registry)
        self._placement = TopicPlacement(names, settings.partitioner)
        self._index = KeyIndex(cluster, names.output("ingest-keys"))
        self._plain = PlainWriter(cluster)
        transactional_id = f"{settings.application_id}-ingest-{_instance(settings.ingest_port)}"
        self._keyed = KeyedWriter(
            cluster, self._index, transactional_id, self._plain.append, self._read_answer, settings.ingest_max_keys
        )
        writers = Writers(self._plain.append, self._keyed.write)
        self._times = DecisionTimes(names)
        self._intake = Intake(self._access, self._placement, writers, self._metrics, self._times)
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._stopping = False

    async def host(self) -> None:
        """Serve until a stop is requested; requests under way are answered first."""
        settings = self._settings
        app = make(self._intake, self._access, pages(self._registry, self._not_ready))
        address, within_s = (settings.web_host, settings.ingest_port), settings.stop_within_ms / 1000
        limits = replace(usual_limits(), body_bytes=MAX_DROPPED_BYTES, request_s=_REQUEST_S)
        answering = timed(app, self._metrics.seconds)
        options = ServerOptions(limits, settings.ingest_tls())
        await host([self._work()], answering, address, variable("ingest_port"), within_s, self._registry, options)

    def _not_ready(self) -> str | None:
        if self._stopping:
            return "is stopping"
        if not self._placement.known:
            return "has not reached the topics yet: see the log"
        if not self._index.loaded:
            return "has not read the idempotency keys of the past day to their end yet"
        if self._plain.away is not None:
            return f"the last write failed: {self._plain.away}"
        if self._keyed.away:
            return "the last transaction failed: see the log"
        return None

    async def _work(self) -> None:
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._begin()
            times = self._times.run(self._cluster)
            work = (self._index.run(), self._keyed.run(), self._refresh(), self._look(), times)
            tasks = [asyncio.create_task(each) for each in work]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            await self._drained()
            raise
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await self._plain.stop()

    async def _begin(self) -> None:
        """Look up the topics and connect; retry while Kafka is away."""
        delay_s = _FIRST_RETRY_S
        while True:
            try:
                await self._placement.refresh(self._cluster)
                await self._plain.start()
                return
            except TransientError as error:
                log.warning("waiting", why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _LAST_RETRY_S)

    async def _refresh(self) -> None:
        """Follow changes of the topics' partitions, and restart a producer that failed, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S if self._plain.away is not None else _REFRESH_S)
            with suppress(TransientError):
                await self._placement.refresh(self._cluster)
                await self._plain.start()

    async def _look(self) -> None:
        """Refresh the gauges until cancelled."""
        while True:
            self._metrics.keys.set(len(self._index))
            self._metrics.held.set(self._intake.memory.held)
            await asyncio.sleep(_LOOK_S)

    async def _drained(self) -> None:
        """Wait until no request has been under way for a moment."""
        self._stopping = True
        settled_s = 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while settled_s < _SETTLED_S:
                    await asyncio.sleep(0.05)
                    settled_s = 0.0 if self._intake.under_way else settled_s + 0.05

    async def _read_answer(self, key: str, partition: int, offset: int) -> IngestAnswer:
        """The stored answer of a repeated request."""
        async with self._reads:
            try:
                async for batch in self._cluster.read(TP(self._index.topic, partition), offset, offset + 1):
                    for found, value in zip(batch.keys, batch.values, strict=True):
                        record = decode_key_record(value) if value is not None else None
                        if found == key.encode() and isinstance(record, Answered):
                            return record.answer
            except OffsetOutOfRange as error:
                raise TransientError(str(error)) from None
        raise TransientError("the stored answer of this key is not there any more")


def _instance(port: int) -> str:
    """The name of this process among those of its kind: two never share a host and a port."""
    return f"{_UNSAFE.sub('-', socket.gethostname())[:100]}-{port}"


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
