"""The door on a real Kafka: two instances and the broker killed under load; nothing acknowledged is lost or twice."""

import asyncio
import json
import os
import random
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from worker_processes import MAIN
from worker_traffic import make_topics

from streams.dev.kafka_node import DevKafka, free_ports
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.runtime.child_process import ChildProcess
from streams.settings.load import load

pytestmark = pytest.mark.services

NOW_MS = 1_772_438_400_000
JSON = {"Content-Type": "application/json"}
ENDED = (0, -signal.SIGKILL)


def call(request: int, number: int) -> dict[str, Any]:
    return {
        "type": "cdr",
        "call_id": f"{request}-{number}",
        "tenant_id": f"t{(request + number) % 13}",
        "direction": "outbound",
        "caller": "+861058000001",
        "callee": "+8613800000000",
        "start_ms": NOW_MS,
        "end_ms": NOW_MS + 30_000,
        "outcome": "no_answer",
    }


def body(request: int) -> bytes:
    """20 calls, of which one is invalid."""
    calls = [call(request, number) for number in range(20)]
    calls[7]["outcome"] = "gone"
    return json.dumps(calls).encode()


class Doors:
    """Two instances with one environment, which are killed and started again."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self.ports = free_ports(2)
        self.children: dict[int, ChildProcess] = {}
        self.statuses: list[int] = []

    def start(self, port: int) -> None:
        mine = {**os.environ, **self._environment, "CALLWARDEN_INGEST_PORT": str(port)}
        with (self._folder / f"door-{port}.log").open("ab") as log:
            self.children[port] = ChildProcess([sys.executable, "-c", MAIN, "ingest", "--json-logs"], log, mine)

    def kill(self, port: int) -> None:
        self.statuses.append(self.children.pop(port).kill())

    def stop(self) -> None:
        self.statuses += [child.stop(60) for child in self.children.values()]

    def log(self) -> str:
        return "\n".join((self._folder / f"door-{port}.log").read_text("utf-8") for port in self.ports)


async def ask(
    port: int, path: str, headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body; 0 when nothing answers."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
                method = "GET" if content is None else "POST"
                size = "" if content is None else f"Content-Length: {len(content)}\r\n"
                head = f"{method} {path} HTTP/1.1\r\nHost: door\r\nConnection: close\r\n{size}{lines}\r\n"
                writer.write(head.encode() + (content or b""))
                found, _, answer = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, b""
    return (int(found.split()[1]), answer) if found else (0, b"")


async def ready(port: int, status: int = 200, within_s: float = 90) -> None:
    async with asyncio.timeout(within_s):
        while (await ask(port, "/readyz"))[0] != status:
            await asyncio.sleep(0.1)


async def sent(doors: Doors, request: int, rng: random.Random) -> bytes:
    """The answer to a request, sent to either instance until it is answered, as an impatient client does."""
    headers = {**JSON, "Idempotency-Key": f"request-{request}"}
    async with asyncio.timeout(240):
        while True:
            status, answer = await ask(rng.choice(doors.ports), "/v1/records", headers, body(request))
            if status == 202:
                return answer
            assert status in (0, 409, 503), (status, answer)
            await asyncio.sleep(rng.uniform(0.05, 0.5))


async def written(settings: Mapping[str, object], topic: str) -> list[bytes]:
    """The committed values of a topic."""
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
async def doors_on(node: DevKafka, folder: Path) -> AsyncIterator[tuple[Doors, dict[str, object]]]:
    own = uuid.uuid4().hex[:8]
    settings: dict[str, object] = {
        "bootstrap_servers": node.address, "input_prefix": f"{own}.", "output_prefix": f"{own}.",
        "application_id": own,
    }  # fmt: skip
    environment = {f"CALLWARDEN_{name.upper()}": str(value) for name, value in settings.items()}
    environment["CALLWARDEN_INGEST_AUTH"] = "none"
    await asyncio.to_thread(make_topics, environment)
    doors = Doors(folder, environment)
    for port in doors.ports:
        doors.start(port)
    try:
        for port in doors.ports:
            await ready(port)
        yield doors, settings
    finally:
        await asyncio.to_thread(doors.stop)


async def test_nothing_acknowledged_is_lost_or_twice_while_doors_and_broker_are_killed(
    jars: Path, tmp_path: Path
) -> None:
    rng = random.Random(7)
    with DevKafka(tmp_path / "node", jars) as node:
        async with doors_on(node, tmp_path) as (doors, settings):
            answers: dict[int, list[bytes]] = {}
            number = iter(range(1_000_000))
            stopping = asyncio.Event()

            async def client() -> None:
                while not stopping.is_set():
                    request = next(number)
                    answers[request] = [await sent(doors, request, rng)]
                    if rng.random() < 0.3:
                        answers[request].append(await sent(doors, request, rng))

            clients = [asyncio.create_task(client()) for _ in range(8)]

            async def more() -> None:
                """Wait until as many more requests as clients are answered: each kill then meets requests under way."""
                wanted = len(answers) + len(clients)
                async with asyncio.timeout(120):
                    while len(answers) < wanted:
                        await asyncio.sleep(0.01)

            for _ in range(4):
                await more()
                port = rng.choice(doors.ports)
                await asyncio.to_thread(doors.kill, port)
                await asyncio.sleep(rng.uniform(0.0, 2.0))
                doors.start(port)
            await more()
            await asyncio.to_thread(node.kill)
            await asyncio.sleep(2)
            await asyncio.to_thread(node.start)
            for port in doors.ports:
                await ready(port)
            await more()
            stopping.set()
            await asyncio.gather(*clients)
            for request in rng.sample(sorted(answers), min(30, len(answers))):
                answers[request].append(await sent(doors, request, rng))
            await asyncio.to_thread(doors.stop)
            calls = await written(settings, f"{settings['input_prefix']}cdr")
            letters = await written(settings, f"{settings['output_prefix']}dead-letter")
    assert len(answers) >= 6 * len(clients)
    for found in answers.values():
        assert set(found) == {found[0]}
        assert json.loads(found[0])["accepted"] == 19
    wanted = Counter(call(request, each)["call_id"] for request in answers for each in range(20) if each != 7)
    assert Counter(json.loads(value)["call_id"] for value in calls) == wanted
    assert Counter(json.loads(value)["call_id"] for value in letters) == {f"{request}-7": 1 for request in answers}
    assert set(doors.statuses) <= set(ENDED)
    assert "Traceback" not in doors.log()


async def test_term_answers_what_is_under_way(jars: Path, tmp_path: Path) -> None:
    with DevKafka(tmp_path / "node", jars) as node:
        async with doors_on(node, tmp_path) as (doors, settings):
            port = doors.ports[0]
            waiting = [
                asyncio.create_task(ask(port, "/v1/records", {**JSON, "Idempotency-Key": f"k{n}"}, body(n)))
                for n in range(40)
            ]
            await asyncio.sleep(0.3)
            status = await asyncio.to_thread(doors.children.pop(port).stop, 60)
            answers = await asyncio.gather(*waiting)
            calls = await written(settings, f"{settings['input_prefix']}cdr")
    assert status == 0
    assert {answer[0] for answer in answers} <= {0, 202}
    answered = sum(answer[0] == 202 for answer in answers)
    assert answered > 0
    assert len(calls) == 19 * answered


async def test_a_killed_broker_is_a_503_within_the_time_that_the_page_promises(jars: Path, tmp_path: Path) -> None:
    with DevKafka(tmp_path / "node", jars) as node:
        async with doors_on(node, tmp_path) as (doors, _):
            port = doors.ports[0]
            await asyncio.to_thread(node.kill)
            async with asyncio.timeout(25):
                status, answer = await ask(port, "/v1/records", JSON, body(1))
            assert (status, json.loads(answer)["type"]) == (503, "urn:callwarden:problem:not-now")
            await ready(port, 503, 30)
            await asyncio.to_thread(node.start)
            await ready(port)
            assert (await ask(port, "/v1/records", JSON, body(1)))[0] == 202
