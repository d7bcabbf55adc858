"""Followers on a real Kafka: processes that are killed and started again, and what they wrote."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

from ingest_instances import written
from worker_processes import MAIN
from worker_traffic import make_topics

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess


class Followers:
    """Followers of one installation, which are killed and started again."""

    def __init__(self, folder: Path, address: str, *words: str) -> None:
        own = uuid.uuid4().hex[:8]
        self.settings: dict[str, object] = {
            "bootstrap_servers": address, "input_prefix": f"{own}.", "output_prefix": f"{own}.", "application_id": own,
        }  # fmt: skip
        environment = {f"CALLWARDEN_{name.upper()}": str(value) for name, value in self.settings.items()}
        self.environment = {**os.environ, **environment}
        self.folder, self.words = folder, words
        (self.port,) = free_ports(1)
        self.children: list[ChildProcess] = []
        make_topics(environment)

    def start(self, port: int | None = None) -> ChildProcess:
        with (self.folder / "follower.log").open("ab") as log:
            words = ["follow", *self.words, "--port", str(port or self.port), "--json-logs"]
            child = ChildProcess([sys.executable, "-c", MAIN, *words], log, self.environment)
        self.children.append(child)
        return child

    def start_beside(self, command: str) -> None:
        """Start another program of the installation, on a port that is free, with `sources.yaml`."""
        more = {"CALLWARDEN_INGEST_SOURCES_FILE": str(self.folder / "sources.yaml"), "CALLWARDEN_ASSEMBLE_TICK": "1s"}
        (port,) = free_ports(1)
        words = [sys.executable, "-c", MAIN, command, "--port", str(port), "--json-logs"]
        with (self.folder / "follower.log").open("ab") as log:
            self.children.append(ChildProcess(words, log, {**self.environment, **more}))

    def kill(self) -> None:
        assert self.children[-1].kill() == -signal.SIGKILL, self.log()

    def close(self) -> None:
        for child in self.children:
            child.kill()

    def log(self) -> str:
        return (self.folder / "follower.log").read_text("utf-8")

    async def records(self, topic: str) -> list[bytes]:
        return await written(self.settings, f"{self.settings['output_prefix']}{topic}")

    async def calls(self, number: int) -> Counter[str]:
        """The calls of the topic as soon as there are so many."""
        found: Counter[str] = Counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    found = Counter(json.loads(value)["call_id"] for value in await self.records("cdr"))
                    if found.total() >= number:
                        return found
                    await asyncio.sleep(0.3)
        except TimeoutError:
            many = f"{found.total()} records of {len(found)} calls"
            raise AssertionError(f"{many} in {PATIENCE_S:g} s, expected {number}: {self.log()[-3000:]}") from None

    async def assert_ends_with(self, ids: list[str], rejected: str) -> None:
        """Each call was written once, the row ``rejected`` is a dead letter, and the log has no error or secret."""
        assert await self.calls(len(ids)) == dict.fromkeys(ids, 1)
        async with asyncio.timeout(PATIENCE_S):
            while not (letters := await self.records("dead-letter")):
                await asyncio.sleep(0.3)
        assert [json.loads(each)["callid"] for each in letters] == [rejected]
        await asyncio.sleep(2.5)  # the keys are looked up again
        assert await self.calls(len(ids)) == dict.fromkeys(ids, 1)
        assert await asyncio.to_thread(self.children[-1].stop, PATIENCE_S) == 0
        assert not [word for word in ("Traceback", "a-password", "reader:") if word in self.log()]

    def metrics(self) -> str:
        """The page of the last one."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())
