"""`callwarden billing` killed repeatedly under load, on a real Kafka, SQLite and PostgreSQL: the holds are correct."""

import asyncio
import json
import random
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiokafka import AIOKafkaProducer
from billing_answers import Asked, Written, wrong
from broker_clusters import cluster_at, make_topic, until
from deadlines import deadline
from postgres import Postgres
from process_group import ProcessGroup
from sqlalchemy.exc import OperationalError, ProgrammingError

from helpers.patience import PATIENCE_S
from oracle.billing import TENANTS, event, holds, random_records
from streams.consumers.billing.holds import holds_of
from streams.consumers.billing.tables import POSITIONS
from streams.consumers.database import Database
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP, TransientError

TOKEN = "a-token-of-the-tests"
PARTITIONS = 3
STALE_S = 10
WHOM = (*TENANTS, *(f"tenant-{number}" for number in range(200)))


class Log:
    """The enforcement topic of this test, and the records committed to it."""

    def __init__(self, address: str, topic: str, rng: random.Random) -> None:
        self.address, self.topic, self._rng = address, topic, rng
        self.committed: list[bytes | None] = []
        self.written = Written()

    async def write(self, stop: asyncio.Event) -> None:
        """Write events in transactions until stopped; every fourth transaction is aborted. Each event goes to a random
        partition: an event of one partition may release a hold of another.
        """
        async with AIOKafkaProducer(bootstrap_servers=self.address, transactional_id=uuid.uuid4().hex) as producer:
            for turn in self._turns(stop):
                records = random_records(self._rng, 300, f"e{turn}-", WHOM)
                await self._transaction(producer, records)
                self.committed += records
                if turn % 3 == 0:
                    known = [json.loads(each)["id"] for each in records if each and each.startswith(b'{"id": "e')]
                    aborted = [event(f"a{turn}-{name}", "acme", "frozen", reverses=name) for name in known[:50]]
                    await self._transaction(producer, aborted, commit=False)
                # Pauses that let billing catch up.
                await asyncio.sleep(0.02 if turn % 20 else 1.0)

    def _turns(self, stop: asyncio.Event) -> Iterator[int]:
        turn = 0
        while not stop.is_set() or turn < 3:
            yield turn
            turn += 1

    async def _transaction(
        self, producer: AIOKafkaProducer, records: Sequence[bytes | None], commit: bool = True
    ) -> None:
        await producer.begin_transaction()
        sent = [
            await producer.send(self.topic, record, key=b"k", partition=self._rng.randrange(PARTITIONS))
            for record in records
        ]
        await (producer.commit_transaction() if commit else producer.abort_transaction())
        for record, future in zip(records, sent, strict=True):
            if commit:
                at = await future
                self.written.add(TP(at.topic, at.partition), at.offset, record)

    async def ends(self) -> dict[TP, int]:
        async with cluster_at(self.address) as cluster:
            return await cluster.ends([TP(self.topic, number) for number in range(PARTITIONS)])

    async def watch(self, stop: asyncio.Event) -> None:
        """Record the ends of the topic until stopped."""
        async with cluster_at(self.address) as cluster:
            while not stop.is_set():
                ends = await cluster.ends([TP(self.topic, number) for number in range(PARTITIONS)])
                self.written.ends(time.monotonic(), ends)
                await asyncio.sleep(0.2)


class Fleet:
    """Two processes with one database."""

    def __init__(self, folder: Path, processes: ProcessGroup, url: str, rng: random.Random) -> None:
        self._log, self._processes, self._rng = folder / f"{uuid.uuid4().hex}.log", processes, rng
        self.ports = free_ports(2)
        self.database = Database(url, "billing")
        self._pids = [self._start(port) for port in self.ports]

    async def die(self, times: int) -> None:
        """Kill one of them at random and restart it, each time some more records have been handled."""
        for _ in range(times):
            wanted = self.handled + self._rng.randint(1, 700)
            async with deadline(f"{wanted} records are handled; {self.said()[-3:]}"):
                while self.handled < wanted:
                    await asyncio.sleep(0.003)
            slot = self._rng.randrange(2)
            self._processes.kill(self._pids[slot])
            self._pids[slot] = self._start(self.ports[slot])

    @property
    def handled(self) -> int:
        return sum(self.positions.values())

    @property
    def positions(self) -> dict[TP, int]:
        try:
            with self.database.reading() as connection:
                return POSITIONS.known(connection)
        except (OperationalError, ProgrammingError, TransientError):  # the tables do not exist yet
            return {}

    def is_at(self, ends: dict[TP, int]) -> bool:
        """Whether it has followed up to there."""
        return self.positions == ends

    def said(self) -> list[str]:
        return self._log.read_text("utf-8").splitlines()

    def held(self) -> dict[str, set[str]]:
        with self.database.reading() as connection:
            found = holds_of(connection, WHOM)
        return {tenant: {hold.id for hold in each} for tenant, each in found.items() if each}

    async def asked(self, stop: asyncio.Event) -> list[Asked]:
        """Request the holds of a few tenants from random processes, until stopped."""
        answers = list[Asked]()
        while not stop.is_set() or not any(asked.status == 200 for asked in answers):
            slot, tenant = self._rng.randrange(2), self._rng.choice(WHOM[:6])
            asked_s, before = time.monotonic(), self.positions
            status, headers, body = await asyncio.to_thread(self.ask, slot, tenant)
            if status:
                answers.append(Asked(tenant, asked_s, before, status, headers, body, self.positions))
            await asyncio.sleep(0.01)
        return answers

    def ask(self, slot: int, tenant: str) -> tuple[int, dict[str, str], Any]:
        """Return an answer; 0 while the process does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[slot]}/v1/refunds?tenant_id={quote(tenant, safe='')}",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        try:
            try:
                answer = urllib.request.urlopen(request, timeout=PATIENCE_S)
            except urllib.error.HTTPError as refusal:
                answer = refusal
            with answer:
                return answer.status, _named(answer), json.loads(answer.read())
        except (OSError, HTTPException):  # also when it is killed in the middle of its answer
            return 0, {}, None

    def _start(self, port: int) -> int:
        return self._processes.start(self._log, "billing", "--port", str(port), "--json-logs")


def _named(answer: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


async def killed(times: int, address: str, folder: Path, urls: Sequence[str]) -> None:
    """Kill processes of each database that many times; compare the holds with the rule applied to all records."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    log = Log(address, await make_topic(address, PARTITIONS, suffix=".enforcement"), rng)
    stop = asyncio.Event()
    writing = asyncio.create_task(log.write(stop))
    with ExitStack() as stack:
        fleets = []
        for url in urls:
            environment = {
                "BOOTSTRAP_SERVERS": address,
                "OUTPUT_PREFIX": log.topic.removesuffix("enforcement"),
                "BILLING_DATABASE": url,
                "BILLING_TOKEN": TOKEN,
                "BILLING_STALE_AFTER": f"{STALE_S}s",
            }
            mine = {f"CALLWARDEN_{name}": value for name, value in environment.items()}
            processes = stack.enter_context(ProcessGroup(mine))
            fleets.append(Fleet(folder, processes, url, random.Random(rng.randrange(2**32))))
            stack.callback(fleets[-1].database.close)
        watching = asyncio.create_task(log.watch(stop))
        asking = [asyncio.create_task(fleet.asked(stop)) for fleet in fleets]
        try:
            await asyncio.gather(*(fleet.die(times) for fleet in fleets))
        finally:
            stop.set()
            await asyncio.wait([writing, watching, *asking])
        await writing
        await watching
        for answers in await asyncio.gather(*asking):
            said = Counter(asked.status for asked in answers)
            print("answered while it was killed:", dict(said))
            assert said[200] > 0
            assert [(asked, why) for asked in answers for why in wrong(asked, log.written, STALE_S)] == []
        ends, expected = await log.ends(), holds(log.committed)
        assert sum(map(len, expected.values())) > 100
        for fleet in fleets:
            await until(partial(fleet.is_at, ends))
            assert fleet.held() == expected, fleet.said()[-3:]
            assert not any("unexpected error" in line or "Traceback" in line for line in fleet.said())
            for slot in (0, 1):
                for tenant in WHOM[:30]:
                    async with deadline(f"{tenant!r} is answered; {fleet.said()[-3:]}"):
                        while (answer := await asyncio.to_thread(fleet.ask, slot, tenant))[0] != 200:
                            await asyncio.sleep(0.1)
                    answer = answer[2]
                    assert {hold["id"] for hold in answer["holds"]} == expected.get(tenant, set())
                    assert answer["refundable"] is answer["cancellable"] is (tenant not in expected)


@pytest.mark.services
async def test_no_kill_freezes_twice_or_misses_or_releases(address: str, postgres: Postgres, tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / 'billing.db'}", postgres.database("billing_killed")]
    await killed(40, address, tmp_path, urls)


@pytest.mark.soak
async def test_hundreds_of_kills_change_nothing(address: str, postgres: Postgres, tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / 'billing.db'}", postgres.database("billing_killed_often")]
    await killed(300, address, tmp_path, urls)
