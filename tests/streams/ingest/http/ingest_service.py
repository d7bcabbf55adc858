"""The ingest service on topics in memory, on a local port."""

import asyncio
import hashlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from helpers.hosting import hosted
from streams.dev.kafka_node import free_ports
from streams.ingest.http.main import Ingest
from streams.ingest.http.tokens import GrantedTokens
from streams.kafka.api import TP, FetchedBatch, LogEnds, TopicInfo, TransientError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.runtime.monotonic import steady_s
from streams.settings.load import load

TOKEN, NARROW = "a-token-of-the-tests", "a-token-for-calls-of-acme"
PARTITIONS = 4
NAMES = TopicNames()
NOW_MS = 1_772_438_400_000
JSON = {"Content-Type": "application/json"}


class MemoryTopics:
    """A cluster in memory. Tests make it unavailable (``away``), or have it acknowledge once an event is set."""

    def __init__(self) -> None:
        topics = [*NAMES.inputs, *(NAMES.output(each) for each in ("state", "dead-letter", "ingest-keys", "raw"))]
        self.counts = dict.fromkeys(topics, PARTITIONS)
        self.logs: dict[TP, list[OutputRecord]] = {TP(each, n): [] for each in topics for n in range(PARTITIONS)}
        self.away = False
        self.acknowledges = asyncio.Event()
        self.acknowledges.set()
        self.transactions = 0

    def of(self, name: str) -> list[OutputRecord]:
        """All records of a topic."""
        return [record for tp, log in self.logs.items() if tp.topic == f"callwarden.{name}" for record in log]

    def write(self, records: Sequence[OutputRecord]) -> dict[TP, int]:
        for record in records:
            self.logs[TP(record.topic, record.partition)].append(record)
        return {TP(each.topic, each.partition): len(self.logs[TP(each.topic, each.partition)]) - 1 for each in records}

    async def must_be_there(self) -> None:
        await asyncio.sleep(0)
        await self.acknowledges.wait()
        if self.away:
            raise TransientError("the broker is away")

    def reader(self) -> "MemoryReader":
        return MemoryReader(self)

    def appender(self) -> "MemoryProducer":
        return MemoryProducer(self)

    def writer(self, transactional_id: str, transaction_s: float | None = None) -> "MemoryProducer":
        return MemoryProducer(self)

    async def cluster_id(self) -> str | None:
        return None

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        return {name: TopicInfo(self.counts[name], name) for name in names if name in self.counts}

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        await self.must_be_there()
        return {topic: self.counts[topic] for topic in topics if topic in self.counts}

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return {tp: len(self.logs[tp]) for tp in tps}

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        await self.must_be_there()
        yield batch(self.logs[tp], start, stop)


def batch(log: Sequence[OutputRecord], start: int, stop: int) -> FetchedBatch:
    records = log[start:stop]
    times = np.full(len(records), time.time_ns() // 1_000_000, np.int64)
    offsets = np.arange(start, start + len(records))
    return FetchedBatch(start, stop, offsets, times, [each.key for each in records], [each.value for each in records])


class MemoryProducer:
    """`streams.kafka.api.Appender` and `Writer`."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics

    async def start(self) -> None:
        await self._topics.must_be_there()

    async def append(self, records: Sequence[OutputRecord]) -> dict[TP, int]:
        await self._topics.must_be_there()
        return self._topics.write(records)

    async def commit(self, records: Sequence[OutputRecord], offsets: Mapping[TP, int]) -> int:
        await self._topics.must_be_there()
        self._topics.transactions += 1
        return self._topics.write(records)[TP(records[-1].topic, records[-1].partition)]

    async def stop(self) -> None:
        await asyncio.sleep(0)


class MemoryReader:
    """`streams.kafka.api.Reader`."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics
        self._at: dict[TP, int] = {}
        self._ends: dict[TP, LogEnds] = {}

    async def start(self, positions: Mapping[TP, int]) -> None:
        await self._topics.must_be_there()
        self._at = dict(positions)

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        asked_s = steady_s()
        await asyncio.sleep(0.002)
        await self._topics.must_be_there()
        fetched = {}
        for tp, at in self._at.items():
            end = len(self._topics.logs[tp])
            self._ends[tp] = LogEnds(end, end, asked_s)
            if end > at:
                fetched[tp] = batch(self._topics.logs[tp], at, end)
                self._at[tp] = end
        return fetched

    def ends(self) -> dict[TP, LogEnds]:
        return dict(self._ends)

    async def why_silent(self) -> TransientError:
        return TransientError("the broker does not answer")

    async def stop(self) -> None:
        await asyncio.sleep(0)


def call(number: int, tenant: str = "acme", **fields: object) -> dict[str, object]:
    return {
        "type": "cdr",
        "call_id": f"c-{number}",
        "tenant_id": tenant,
        "direction": "outbound",
        "caller": "+861058000001",
        "callee": "+8613800000000",
        "start_ms": NOW_MS,
        "end_ms": NOW_MS + 30_000,
        "outcome": "no_answer",
    } | fields


class Served:
    """One instance. ``post`` sends a body with the token."""

    def __init__(self, topics: MemoryTopics, port: int, tokens_file: Path, tls: ssl.SSLContext | None = None) -> None:
        self.topics, self.port, self.tokens_file, self._tls = topics, port, tokens_file, tls

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, length: bool = True
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self._tls)
        try:
            given = {"Host": "service", "Connection": "close", **({"Content-Length": str(len(body))} if length else {})}
            lines = "".join(f"{name}: {value}\r\n" for name, value in {**given, **headers}.items())
            writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
            head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        status, *rest = head.decode().split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        text = answer.decode()
        return int(status.split()[1]), found, json.loads(text) if "json" in found["content-type"] else text

    async def post(self, body: object, headers: Mapping[str, str] = JSON, token: str = TOKEN) -> tuple[int, Any]:
        """Status and body of the answer to these records, or these bytes."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, answer = await self.ask("POST", "/v1/records", {"Authorization": f"Bearer {token}", **headers}, sent)
        return status, answer

    async def metric(self, name: str) -> float:
        """A value of the metrics page; 0 if it is missing."""
        page = (await self.ask("GET", "/metrics", {}))[2]
        return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))


def tokens_text(*tokens: tuple[str, ...]) -> str:
    """A tokens file of names, tokens, types and tenants, and sources if there are any."""
    lines = ["tokens:"]
    for name, token, types, tenants, *sources in tokens:
        digest = hashlib.sha256(token.encode()).hexdigest()
        lines += [f"- name: {name}", f"  sha256: {digest}", f"  types: {types}", f"  tenants: {tenants}"]
        lines += [f"  sources: {each}" for each in sources]
    return "\n".join(lines) + "\n"


BOTH = tokens_text(("wide", TOKEN, "all", "all"), ("narrow", NARROW, "[cdr]", "[acme]"))


@asynccontextmanager
async def serving(
    folder: Path,
    topics: MemoryTopics | None = None,
    *,
    ready: bool = True,
    tokens: str = BOTH,
    tls: ssl.SSLContext | None = None,
    **options: object,
) -> AsyncIterator[Served]:
    """Run an instance with these settings until it is ready, with requests over ``tls``; an error that ends it fails
    the test.
    """
    file = folder / "tokens.yaml"
    file.write_text(tokens, "utf-8")
    topics, port = topics or MemoryTopics(), free_ports(1)[0]
    settings = load({"ingest_port": port, "ingest_tokens_file": str(file), **options})
    served = Served(topics, port, file, tls)
    host = Ingest(settings, topics, GrantedTokens(file)).host()
    async with hosted(host, partial(_answers, served, "/readyz" if ready else "/healthz")):
        yield served


async def _answers(served: Served, page: str) -> bool:
    try:
        return (await served.ask("GET", page, {}))[0] == 200
    except OSError:
        return False
