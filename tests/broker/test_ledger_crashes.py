"""`callwarden ledger run` killed repeatedly under load, on a real Kafka, SQLite and PostgreSQL: each entry is kept
once.
"""

import asyncio
import random
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import cluster_at, make_topic, transactions_end, until
from deadlines import deadline
from postgres import Postgres
from process_group import ProcessGroup
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from worker_judge import read_all
from worker_processes import run_command

from oracle.ledger import chained, event, oracle, pending, review, rows
from schemas import codec
from streams.consumers.database import Database
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger.catch_up import follower_of
from streams.consumers.ledger.tables import ENTRIES, POSITIONS
from streams.consumers.ledger.verify.chains import verify
from streams.consumers.ledger.writer import LedgerWriter
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP, TransientError
from streams.kafka.topic_names import TopicNames

PARTITIONS = 2
STRANGE = (None, b"", b"\x00", b"\xff\xfe", "标识".encode(), b"{")


class Load:
    """Both topics of this test, written in transactions."""

    def __init__(self, address: str, topics: Sequence[str], rng: random.Random) -> None:
        self._address, self._topics, self._rng = address, topics, rng

    async def write(self, stop: asyncio.Event) -> None:
        """Write until stopped. Every fourth transaction is aborted."""
        turn = 0
        async with AIOKafkaProducer(bootstrap_servers=self._address, transactional_id=uuid.uuid4().hex) as producer:
            while not stop.is_set():
                turn += 1
                await producer.begin_transaction()
                for number in range(self._rng.choice((1, 20, 100))):
                    topic = self._rng.choice(self._topics)
                    key = self._rng.choice((None, b"", b"acme", b"\x00\xff"))
                    value = self._value(topic, f"{turn}-{number}", key)
                    await producer.send(topic, value, key=key, partition=self._rng.randrange(PARTITIONS))
                if self._rng.random() < 0.25:
                    await producer.abort_transaction()
                else:
                    await producer.commit_transaction()
                await asyncio.sleep(0.02)

    def _value(self, topic: str, name: str, key: bytes | None) -> bytes | None:
        if self._rng.random() < 0.02:
            return self._rng.choice(STRANGE if key is not None else STRANGE[1:])  # the client rejects neither
        if topic.endswith("reviews"):
            return codec.encode(review(f"r{name}", f"e{name}"))
        # PostgreSQL cannot store the last one unchanged.
        tenant = self._rng.choice(("acme", "租户", "a\x00b"))
        return codec.encode(self._rng.choice((event, pending))(f"e{name}", tenant))


class Fleet:
    """Two processes with one database."""

    def __init__(self, folder: Path, processes: ProcessGroup, url: str, rng: random.Random) -> None:
        self._log, self._processes, self._rng = folder / f"{uuid.uuid4().hex}.log", processes, rng
        self.heads = folder / f"{uuid.uuid4().hex}.jsonl"
        self._ports = free_ports(2)
        self.database = Database(url, "ledger")
        self._pids = [self._start(port) for port in self._ports]

    async def die(self, times: int) -> None:
        """Kill one of them at random and restart it, each time some more entries have been stored."""
        for _ in range(times):
            wanted = self.kept() + self._rng.randint(1, 300)
            async with deadline(f"{wanted} entries; {self.said()[-3:]}"):
                while self.kept() < wanted:
                    await asyncio.sleep(0.005)
            slot = self._rng.randrange(2)
            self._processes.kill(self._pids[slot])
            self._pids[slot] = self._start(self._ports[slot])

    def kept(self) -> int:
        try:
            with self.database.reading() as connection:
                return connection.execute(select(func.count()).select_from(ENTRIES)).scalar() or 0
        except (OperationalError, ProgrammingError, TransientError):  # the tables do not exist yet
            return 0

    def positions(self) -> dict[TP, int]:
        with self.database.reading() as connection:
            return POSITIONS.known(connection)

    def is_at(self, ends: dict[TP, int]) -> bool:
        """Whether it has followed up to there."""
        return self.positions() == ends

    def said(self) -> list[str]:
        return self._log.read_text("utf-8").splitlines()

    def has_published(self) -> bool:
        """Whether the heads of a day are in the file."""
        return self.heads.exists() and any(heads.first_published(heads.read_heads_file(self.heads)).values())

    def _start(self, port: int) -> int:
        words = ("--port", str(port), "--json-logs", "--heads", str(self.heads))
        return self._processes.start(self._log, "ledger", "run", *words)


async def killed(times: int, address: str, folder: Path, urls: Sequence[str]) -> None:
    """Kill processes of each database that many times; compare with the oracle and a rebuilt ledger, and verify."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    topics = [await make_topic(address, PARTITIONS, suffix=f".{name}") for name in ("reviews", "enforcement")]
    names = TopicNames(topics[0].removesuffix("reviews"), topics[1].removesuffix("enforcement"))
    actions = TP(await make_topic(address, prefix=names.output_prefix, suffix="actions"), 0)
    variables = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
    }
    stop = asyncio.Event()
    writing = asyncio.create_task(Load(address, topics, rng).write(stop))
    with ExitStack() as stack:
        fleets = []
        for url in urls:
            processes = stack.enter_context(ProcessGroup({**variables, "CALLWARDEN_LEDGER_DATABASE": url}))
            fleets.append(Fleet(folder, processes, url, random.Random(rng.randrange(2**32))))
            stack.callback(fleets[-1].database.close)
        try:
            await asyncio.gather(*(fleet.die(times) for fleet in fleets))
        finally:
            stop.set()
            await writing
        await transactions_end(address, [TP(topic, n) for topic in topics for n in range(PARTITIONS)])
        logs = await read_all(address, topics, PARTITIONS)
        held = {TP(*tp): [(r.offset, r.timestamp, r.key, r.value) for r in some] for tp, some in logs.records.items()}
        expected = oracle(held)
        assert len(expected) > 5 * times
        async with cluster_at(address) as cluster:
            ends = await cluster.ends([TP(topic, n) for topic in topics for n in range(PARTITIONS)] + [actions])
            second = Database(f"sqlite:///{folder / 'second.db'}", "ledger")
            stack.callback(second.close)
            await second.migrate()
            await follower_of(cluster, second, names, LedgerWriter()).catch_up()
        for fleet in fleets:
            await until(partial(fleet.is_at, ends))
            found = rows(fleet.database)
            assert list(map(chained, found)) == expected, fleet.said()[-3:]
            assert found == rows(second)
            assert not any("unexpected error" in line or "Traceback" in line for line in fleet.said())
            await until(fleet.has_published)  # a process that was killed may have made the file, and no more
            published = heads.first_published(heads.read_heads_file(fleet.heads))
            with fleet.database.reading() as connection:
                assert verify(connection, published).faults == []
    for url in urls:
        status, said = await asyncio.to_thread(
            run_command, {**variables, "CALLWARDEN_LEDGER_DATABASE": url}, "ledger", "verify", "--with-topics"
        )
        assert status == 0, said
        assert f"verified: {len(expected):,} entries." in said


@pytest.mark.services
async def test_no_kill_loses_or_doubles_an_entry(address: str, postgres: Postgres, tmp_path: Path) -> None:
    await killed(40, address, tmp_path, [f"sqlite:///{tmp_path / 'ledger.db'}", postgres.database("ledger_killed")])


@pytest.mark.soak
async def test_hundreds_of_kills_change_no_hash(address: str, postgres: Postgres, tmp_path: Path) -> None:
    await killed(300, address, tmp_path, [f"sqlite:///{tmp_path / 'ledger.db'}", postgres.database("ledger_often")])
