"""The bridge on a real Kafka: two instances are killed and stopped; each source record's outputs are written once."""

import asyncio
import json
import os
import random
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from broker_clusters import make_topic, produce
from ingest_instances import ready, written
from worker_processes import MAIN
from worker_traffic import make_topics

from helpers.patience import PATIENCE_S
from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.shipped import open_adapter
from schemas import codec
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.runtime.child_process import ChildProcess
from streams.settings.load import load

pytestmark = pytest.mark.services

MAPPING = """
format: json
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: customer.id}
  direction: {const: outbound}
  caller: {column: from, number: CN}
  callee: {column: to, number: CN}
  start_ms: {column: began, time: epoch_ms}
  end_ms: {column: ended, time: epoch_ms}
  outcome: {column: result, table: {ok: no_answer, busy: busy}, otherwise: reject}
"""
PARTITIONS = 3


def value_of(number: int) -> bytes:
    """Valid for the most part; some in an array, some with an unknown outcome, some that are no JSON."""
    call = {
        "id": f"c-{number}", "customer": {"id": f"t{number % 7}"}, "from": "075586013388", "to": "13800138000",
        "began": 1_772_438_400_000 + number, "ended": 1_772_438_430_000 + number,
        "result": "unheard of" if number % 50 == 7 else "ok",
    }  # fmt: skip
    if number % 50 == 9:
        return b'{"id": ' + b"%d" % number
    return json.dumps([call, {**call, "id": f"d-{number}"}] if number % 10 == 3 else call).encode()


class Bridges:
    """Two instances with the same environment, which are killed, stopped and restarted."""

    def __init__(self, folder: Path, settings: dict[str, object], source: str) -> None:
        mapping = folder / "own.yaml"
        mapping.write_text(MAPPING, "utf-8")
        adapter = open_adapter(str(mapping))
        assert isinstance(adapter, MappedAdapter)
        self.adapter, self.settings, self.source = adapter, settings, source
        self._folder = folder
        self._command = [sys.executable, "-c", MAIN, "bridge", "--json-logs", "--source-topic", source]
        self._command += ["--format", str(mapping)]
        self.ports = free_ports(2)
        self.children: dict[int, ChildProcess] = {}
        self.statuses: list[int] = []

    def start(self, port: int, *more: str) -> None:
        mine = {f"CALLWARDEN_{name.upper()}": str(value) for name, value in self.settings.items()}
        mine |= {"CALLWARDEN_BRIDGE_PORT": str(port), "CALLWARDEN_SESSION_TIMEOUT": "6s"}
        with (self._folder / f"bridge-{port}.log").open("ab") as log:
            self.children[port] = ChildProcess([*self._command, *more], log, os.environ | mine)

    def stop(self) -> None:
        self.statuses += [child.stop(PATIENCE_S) for child in self.children.values()]
        self.children.clear()

    def log(self) -> str:
        return "\n".join(path.read_text("utf-8") for path in self._folder.glob("bridge-*.log"))

    def wanted(self, numbers: int) -> tuple[Counter[bytes], int]:
        """What a direct mapping of the values gives: the records, and how many rows are rejected."""
        rows = [row for number in range(numbers) for row in self.adapter.read(value_of(number))]
        records = Counter(codec.encode(row.record) for row in rows if row.record is not None)
        return records, sum(row.record is None for row in rows)

    async def caught_up(self, numbers: int) -> list[bytes]:
        """The calls, once there are as many as a direct mapping gives."""
        wanted = self.wanted(numbers)[0].total()
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await written(self.settings, f"{self.settings['input_prefix']}cdr")) < wanted:
                await asyncio.sleep(0.3)
        return found


@asynccontextmanager
async def bridges_at(address: str, folder: Path) -> AsyncIterator[Bridges]:
    own = uuid.uuid4().hex[:8]
    settings: dict[str, object] = {
        "bootstrap_servers": address, "input_prefix": f"{own}.", "output_prefix": f"{own}.", "application_id": own,
    }  # fmt: skip
    source = await make_topic(address, PARTITIONS)
    await asyncio.to_thread(make_topics, {f"CALLWARDEN_{name.upper()}": str(value) for name, value in settings.items()})
    bridges = Bridges(folder, settings, source)
    try:
        yield bridges
    finally:
        await asyncio.to_thread(bridges.stop)


async def letters(bridges: Bridges) -> list[Any]:
    """The dead letters, whole."""
    topic = f"{bridges.settings['output_prefix']}dead-letter"
    cluster = KafkaCluster(load(dict(bridges.settings)))
    try:
        found = []
        for number in range((await cluster.partitions([topic]))[topic]):
            tp = TP(topic, number)
            async for records in cluster.records(tp, 0, (await cluster.ends([tp]))[tp]):
                found += list(records)
        return found
    finally:
        await cluster.stop()


async def test_each_record_is_mapped_once_while_instances_are_killed_and_stopped(address: str, tmp_path: Path) -> None:
    rng = random.Random(11)
    print("seed", 11)
    async with bridges_at(address, tmp_path) as bridges:
        for port in bridges.ports:
            bridges.start(port)
        number = 0
        for fault in ("none", "kill", "stop", "kill"):
            for _ in range(10):
                values = [value_of(each) for each in range(number, number + 60)]
                await produce(address, TP(bridges.source, rng.randrange(PARTITIONS)), values)
                number += len(values)
                await asyncio.sleep(0.05)
            port = rng.choice(bridges.ports)
            if fault == "kill":
                bridges.statuses.append(bridges.children.pop(port).kill())
                bridges.start(port)
            elif fault == "stop":
                os.kill(bridges.children[port].pid, signal.SIGSTOP)
                await asyncio.sleep(8)  # past the session timeout: the other one takes its partitions over
                os.kill(bridges.children[port].pid, signal.SIGCONT)
        calls = await bridges.caught_up(number)
        for port in bridges.ports:  # one that has just begun does not handle TERM yet
            await ready(port)
        await asyncio.to_thread(bridges.stop)
        found, rejected = bridges.wanted(number)
        assert Counter(calls) == found
        dead = await letters(bridges)
        assert len(dead) == rejected
        origins = {(dict(each.headers)["partition"], dict(each.headers)["offset"]) for each in dead}
        assert {dict(each.headers)["topic"] for each in dead} == {bridges.source.encode()}
        assert len(origins) >= number // 50
        assert Counter(bridges.statuses) == {0: 2, -signal.SIGKILL: 2}
        assert "Traceback" not in bridges.log()


async def test_term_commits_what_was_read_and_a_new_instance_goes_on(address: str, tmp_path: Path) -> None:
    async with bridges_at(address, tmp_path) as bridges:
        port = bridges.ports[0]
        await produce(address, TP(bridges.source, 0), [value_of(each) for each in range(50)])
        bridges.start(port, "--start-at", "end")
        await ready(port)
        await asyncio.to_thread(bridges.stop)  # before it has read a record
        await produce(address, TP(bridges.source, 0), [value_of(each) for each in range(50)])
        bridges.start(port, "--start-at", "end")
        calls = await bridges.caught_up(50)
        await asyncio.to_thread(bridges.stop)
        bridges.start(port)
        await ready(port)
        assert Counter(calls) == bridges.wanted(50)[0]
        await asyncio.to_thread(bridges.stop)
        assert await written(bridges.settings, f"{bridges.settings['input_prefix']}cdr") == calls
        assert bridges.statuses == [0, 0, 0]


async def test_a_source_that_cannot_be_bridged_is_refused(address: str, tmp_path: Path) -> None:
    async with bridges_at(address, tmp_path) as bridges:
        compacted = await make_topic(address, cleanup_policy="compact")
        own = f"{bridges.settings['input_prefix']}cdr"
        for topic, why in (
            (compacted, "it is compacted (cleanup.policy=compact)"),
            ("absent-topic", "there is no such topic"),
            (own, "it is one of Callwarden's own topics"),
        ):
            bridges.start(bridges.ports[0], "--source-topic", topic)
            assert await asyncio.to_thread(bridges.children.pop(bridges.ports[0]).wait, PATIENCE_S) == 2
            assert why in bridges.log()
