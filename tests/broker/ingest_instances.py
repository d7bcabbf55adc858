"""Instances of `callwarden ingest` on a real Kafka, their answers, and the records that they wrote."""

import asyncio
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from worker_processes import MAIN
from worker_traffic import make_topics

from helpers.patience import PATIENCE_S
from streams.consumers.service import once_available
from streams.dev.kafka_node import DevKafka, free_ports
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.runtime.child_process import ChildProcess
from streams.settings.load import load


class IngestInstances:
    """Two instances with the same environment, which are killed and restarted."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self.ports = free_ports(2)
        self.children: dict[int, ChildProcess] = {}
        self.statuses: list[int] = []

    def start(self, port: int) -> None:
        mine = {**os.environ, **self._environment, "CALLWARDEN_INGEST_PORT": str(port)}
        with (self._folder / f"ingest-{port}.log").open("ab") as log:
            self.children[port] = ChildProcess([sys.executable, "-c", MAIN, "ingest", "--json-logs"], log, mine)

    def kill(self, port: int) -> None:
        self.statuses.append(self.children.pop(port).kill())

    def stop(self) -> None:
        self.statuses += [child.stop(PATIENCE_S) for child in self.children.values()]

    def log(self) -> str:
        return "\n".join((self._folder / f"ingest-{port}.log").read_text("utf-8") for port in self.ports)


async def ask(
    port: int, path: str, headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body; 0 when nothing answers, or only a part of the answer came before the instance was killed."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
                method = "GET" if content is None else "POST"
                size = "" if content is None else f"Content-Length: {len(content)}\r\n"
                head = f"{method} {path} HTTP/1.1\r\nHost: ingest\r\nConnection: close\r\n{size}{lines}\r\n"
                writer.write(head.encode() + (content or b""))
                found, whole, answer = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, b""
    length = re.search(rb"\r\ncontent-length: (\d+)", found, re.IGNORECASE)
    if not whole or (length and len(answer) < int(length[1])):
        return 0, b""
    return int(found.split()[1]), answer


async def ready(port: int, status: int = 200) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await ask(port, "/readyz"))[0] != status:
            await asyncio.sleep(0.1)


async def written(settings: Mapping[str, object], topic: str) -> list[bytes]:
    """The committed values of a topic. A broker that is killed or slow is asked again."""
    return await once_available(lambda: _written(settings, topic), longest_s=1)


async def _written(settings: Mapping[str, object], topic: str) -> list[bytes]:
    cluster = KafkaCluster(load(dict(settings)))
    try:
        count = (await cluster.partitions([topic]))[topic]
        tps = [TP(topic, number) for number in range(count)]
        starts, ends = await cluster.starts(tps), await cluster.ends(tps)
        return [
            value or b""
            for tp in tps
            async for batch in cluster.read(tp, starts[tp], ends[tp])
            for value in batch.values
        ]
    finally:
        await cluster.stop()


@asynccontextmanager
async def instances_on(node: DevKafka, folder: Path) -> AsyncIterator[tuple[IngestInstances, dict[str, object]]]:
    own = uuid.uuid4().hex[:8]
    settings: dict[str, object] = {
        "bootstrap_servers": node.address, "input_prefix": f"{own}.", "output_prefix": f"{own}.",
        "application_id": own,
    }  # fmt: skip
    environment = {f"CALLWARDEN_{name.upper()}": str(value) for name, value in settings.items()}
    environment["CALLWARDEN_INGEST_AUTH"] = "none"
    await asyncio.to_thread(make_topics, environment)
    instances = IngestInstances(folder, environment)
    for port in instances.ports:
        instances.start(port)
    try:
        for port in instances.ports:
            await ready(port)
        yield instances, settings
    finally:
        await asyncio.to_thread(instances.stop)
