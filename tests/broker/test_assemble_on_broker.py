"""`callwarden assemble` on a real Kafka: two processes are killed while the ingest service accepts events; each call is
written once, as the log of events says.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ingest_instances import ask, ready, written
from worker_processes import MAIN
from worker_traffic import make_topics

from helpers.call_log import Given, RawRecord, given_by, tccc_record, telnyx_event
from helpers.patience import PATIENCE_S
from monitor.adapters.shipped import shipped_text
from streams.dev.kafka_node import free_ports
from streams.ingest.assemble.feeds import Feeds
from streams.ingest.assemble.main import limits_of
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.runtime.child_process import ChildProcess
from streams.settings.load import load

pytestmark = pytest.mark.services

CALLS = 300
HELD = 40
JSON = {"Content-Type": "application/json"}


class Programs:
    """The ingest service and some assemblers with the same environment."""

    def __init__(self, folder: Path, environment: Mapping[str, str], assemblers: int) -> None:
        self._folder, self._environment = folder, environment
        self.ingest, *self.assemblers = free_ports(1 + assemblers)
        self._children: dict[int, ChildProcess] = {}

    def start(self, port: int) -> None:
        name = "ingest" if port == self.ingest else "assemble"
        mine = {**os.environ, **self._environment, f"CALLWARDEN_{name.upper()}_PORT": str(port)}
        with (self._folder / f"{name}-{port}.log").open("ab") as log:
            self._children[port] = ChildProcess([sys.executable, "-c", MAIN, name, "--json-logs"], log, mine)

    def kill(self, port: int) -> None:
        assert self._children.pop(port).kill() == -signal.SIGKILL

    def stop(self) -> list[int]:
        children, self._children = self._children, {}
        return [child.stop(PATIENCE_S) for child in children.values()]

    def log(self) -> str:
        return "\n".join(file.read_text("utf-8") for file in sorted(self._folder.glob("assemble-*.log")))


@asynccontextmanager
async def programs_on(
    address: str, folder: Path, assemblers: int = 2
) -> AsyncIterator[tuple[Programs, dict[str, object]]]:
    """A running ingest service; tests start the assemblers."""
    quick = shipped_text("telnyx.yaml").replace("settle: 10s", "settle: 1s")
    quick = quick.replace("ring_timeout: 3m", "ring_timeout: 2s")
    (folder / "quick.yaml").write_text(quick, "utf-8")
    sources = "sources:\n- {name: telnyx, format: quick.yaml}\n- {name: held, format: tccc, set: {settle: 2s}}\n"
    (folder / "sources.yaml").write_text(sources, "utf-8")
    own = uuid.uuid4().hex[:8]
    settings: dict[str, object] = {
        "bootstrap_servers": address, "input_prefix": f"{own}.", "output_prefix": f"{own}.", "application_id": own,
    }  # fmt: skip
    environment = {f"CALLWARDEN_{name.upper()}": str(value) for name, value in settings.items()} | {
        "CALLWARDEN_INGEST_AUTH": "none",
        "CALLWARDEN_INGEST_SOURCES_FILE": str(folder / "sources.yaml"),
        "CALLWARDEN_SESSION_TIMEOUT": "6s",
        "CALLWARDEN_ASSEMBLE_TICK": "1s",
    }
    await asyncio.to_thread(make_topics, environment)
    programs = Programs(folder, environment, assemblers)
    programs.start(programs.ingest)
    try:
        await ready(programs.ingest)
        yield programs, settings
    finally:
        await asyncio.to_thread(programs.stop)


async def raw_log(cluster: KafkaCluster, topic: str) -> list[list[RawRecord]]:
    """The records of each partition."""
    tps = [TP(topic, number) for number in range((await cluster.partitions([topic]))[topic])]
    ends = await cluster.ends(tps)
    logs: list[list[RawRecord]] = []
    for tp in tps:
        logs.append([])
        async for batch in cluster.read(tp, 0, ends[tp]):
            columns = (batch.offsets.tolist(), batch.timestamps_ms.tolist(), batch.keys, batch.values)
            logs[-1] += map(RawRecord, *columns)
    return logs


async def given(settings: dict[str, object], folder: Path) -> list[Given]:
    """What the log of events gives by brute force."""
    loaded = load(settings)
    cluster = KafkaCluster(loaded)
    try:
        logs = await raw_log(cluster, f"{settings['output_prefix']}raw")
    finally:
        await cluster.stop()
    feeds = Feeds(ForeignSources(folder / "sources.yaml"), limits_of(loaded))
    adapters = {name: feeds.adapter(name) for name in ("telnyx", "held")}
    return [given_by(log, adapters, limits_of(loaded)) for log in logs]


async def left(settings: dict[str, object], folder: Path) -> bool:
    """Whether late records or dead letters of the log of events are not written yet."""
    by_log = await given(settings, folder)
    wanted = {"late": [each for one in by_log for each in one.late]}
    wanted["dead-letter"] = [value for one in by_log for value, _ in one.letters]
    return any(
        [
            len(await written(settings, f"{settings['output_prefix']}{name}")) < len(all_)
            for name, all_ in wanted.items()
        ]
    )


async def call(port: int, number: int, rng: random.Random) -> None:
    """The events of an answered call, sent to the ingest service as they happen, or a little later."""
    await asyncio.sleep(rng.uniform(0, 10))
    began_ms, talk_s = time.time_ns() // 1_000_000, rng.uniform(0.2, 2)
    for kind, after_s in (("initiated", 0.0), ("answered", 0.1), ("hangup", talk_s)):
        await asyncio.sleep(max(0.0, began_ms / 1000 + after_s - time.time()))
        event = telnyx_event(kind, began_ms + int(after_s * 1000), f"c-{number}", f"t{number % 13}")
        await send(port, "telnyx", event, f"{number}-{kind}")


async def corrected_call(port: int, number: int, rng: random.Random) -> None:
    """A call that comes with its recording a little later, and again when it has been written."""
    await asyncio.sleep(rng.uniform(0, 6))
    ended_ms = time.time_ns() // 1_000_000
    for recording, after_s in (("", 0.0), ("recorded", rng.uniform(0, 1)), ("again", 6.0)):
        await asyncio.sleep(max(0.0, ended_ms / 1000 + after_s - time.time()))
        await send(
            port, "held", tccc_record(ended_ms, f"h-{number}", f"t{number % 13}", recording), f"h-{number}-{recording}"
        )


async def send(port: int, source: str, body: bytes, key: str) -> None:
    """Send a request until it is accepted."""
    while (status := (await ask(port, f"/v1/in/{source}", {**JSON, "Idempotency-Key": key}, body))[0]) != 202:
        assert status in (0, 409, 503), status
        await asyncio.sleep(0.5)


async def test_each_call_is_written_once_while_the_processes_are_killed(address: str, tmp_path: Path) -> None:
    rng = random.Random(11)
    async with programs_on(address, tmp_path) as (programs, settings):
        cdr = f"{settings['input_prefix']}cdr"
        for port in programs.assemblers:
            programs.start(port)
        calls = [asyncio.create_task(call(programs.ingest, number, rng)) for number in range(CALLS)]
        calls += [asyncio.create_task(corrected_call(programs.ingest, number, rng)) for number in range(HELD)]
        kills = 0
        while kills < 3 or not all(task.done() for task in calls):
            await asyncio.sleep(rng.uniform(0.5, 3))
            port = rng.choice(programs.assemblers)
            await asyncio.to_thread(programs.kill, port)
            programs.start(port)
            kills += 1
        await asyncio.gather(*calls)
        async with asyncio.timeout(PATIENCE_S):
            while len(records := await written(settings, cdr)) < CALLS + HELD:
                await asyncio.sleep(0.5)
        for port in programs.assemblers:
            await ready(port)  # before that, TERM ends a process at once
        async with asyncio.timeout(PATIENCE_S):
            while await left(settings, tmp_path):
                await asyncio.sleep(0.5)
        statuses = await asyncio.to_thread(programs.stop)
        records, by_log = await written(settings, cdr), await given(settings, tmp_path)
        letters, late = [
            await written(settings, f"{settings['output_prefix']}{name}") for name in ("dead-letter", "late")
        ]
    assert kills >= 3
    assert statuses == [0, 0, 0]
    assert Counter(records) == Counter(each for one in by_log for each in one.records)
    ids = [*(f"c-{number}" for number in range(CALLS)), *(f"h-{number}" for number in range(HELD))]
    assert Counter(json.loads(each)["call_id"] for each in records) == Counter(ids)
    assert {json.loads(each)["recording_id"] for each in records} >= {"recorded"}
    assert Counter(late) == Counter(each for one in by_log for each in one.late)
    assert late
    assert Counter(letters) == Counter(value for one in by_log for value, _ in one.letters)
    assert "Traceback" not in programs.log()


async def test_a_partition_waits_for_a_source_and_says_so(address: str, tmp_path: Path) -> None:
    async with programs_on(address, tmp_path, assemblers=1) as (programs, settings):
        (port,), file = programs.assemblers, tmp_path / "sources.yaml"
        known = file.read_text("utf-8")
        file.write_text(known + "- {name: added, format: quick.yaml}\n", "utf-8")
        event = telnyx_event("initiated", time.time_ns() // 1_000_000, "c-1", "acme")
        assert (await ask(programs.ingest, "/v1/in/added", JSON, event))[0] == 202
        file.write_text(known, "utf-8")
        programs.start(port)
        async with asyncio.timeout(PATIENCE_S):
            while b"events of the source 'added', and there is no such source" not in (await ask(port, "/readyz"))[1]:
                await asyncio.sleep(0.1)
        file.write_text(known + "- {name: added, format: quick.yaml}\n", "utf-8")
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await written(settings, f"{settings['input_prefix']}cdr")):
                await asyncio.sleep(0.5)
        await ready(port)
        _, page = await ask(port, "/metrics")
    assert json.loads(found[0])["call_id"] == "c-1"
    assert b'callwarden_assemble_calls_total{result="record"} 1.0' in page
    assert b'callwarden_assemble_events_total{result="accepted"} 1.0' in page
