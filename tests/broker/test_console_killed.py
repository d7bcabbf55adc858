"""Console and database are killed with -9 while verdicts wait and are sent: each review and action is sent once."""

import asyncio
import os
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from deadlines import deadline
from postgres import Postgres, programs
from sqlalchemy import select
from worker_traffic import make_topics

from oracle.ledger import DAY, event, pending
from schemas import codec
from schemas.inputs import Review
from schemas.outputs import Evidence
from streams.console.cases import verdicts
from streams.console.cases.verdicts import VerdictRules, WantedVerdict
from streams.console.identity.users import Role, User
from streams.console.tables import CASES, VERDICTS
from streams.consumers.database import Database
from streams.consumers.ledger.catch_up import catch_up
from streams.consumers.ledger.tables import ENTRIES
from streams.consumers.ledger.verify.chains import verify
from streams.consumers.ledger.verify.topics import committed_ends, compare
from streams.consumers.record_decoding import action_of
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.runtime.child_process import ChildProcess
from streams.settings.load import Settings

pytestmark = pytest.mark.services

LI = User("local:li", "Li", frozenset({Role.REVIEWER}))
RULES = VerdictRules(300, 60_000, four_eyes=False)
CASES_A_KILL = 4
CONSOLE, DATABASE, BOTH = "console", "database", "both"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Console:
    """A console process."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self._log, self._port = log, free_ports(1)[0]
        self._environment = environment | {"CALLWARDEN_CONSOLE_PORT": str(self._port)}
        self.child: ChildProcess | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.child = ChildProcess([sys.executable, "-m", "streams.cli", "console", "run"], log, self._environment)

    async def ready(self) -> None:
        async with deadline("the console is ready", 120):
            while await asyncio.to_thread(self._status) != 200:
                assert self.child is not None
                assert self.child.running, self._log.read_text("utf-8")[-2000:]
                await asyncio.sleep(0.1)

    async def not_ready(self, words: str) -> None:
        """Wait until `/readyz` says why."""
        async with deadline(f"not ready: {words}"):
            while words not in await asyncio.to_thread(self._text):
                await asyncio.sleep(0.1)

    def _status(self) -> int:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5) as answer:
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def _text(self) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5) as answer:
                return str(answer.status)
        except HTTPError as error:
            with error:
                return error.read().decode()
        except OSError:
            return ""


async def test_each_verdict_is_sent_once_whenever_it_is_killed(address: str, tmp_path: Path) -> None:
    await each_verdict_is_sent_once(address, tmp_path, f"sqlite:///{tmp_path / 'console.db'}", (CONSOLE,) * 3)


async def test_each_verdict_is_sent_once_whenever_the_database_is_killed(address: str, tmp_path: Path) -> None:
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL: on Debian and Ubuntu `apt-get install postgresql`")
    with Postgres(folder) as server:
        url = server.database("console_killed")
        await each_verdict_is_sent_once(address, tmp_path, url, (DATABASE, BOTH, CONSOLE), server)


async def each_verdict_is_sent_once(
    address: str, tmp_path: Path, url: str, kills: Sequence[str], server: Postgres | None = None
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng, prefix = random.Random(seed), f"t-{uuid.uuid4().hex}."
    names = {"CALLWARDEN_INPUT_PREFIX": prefix, "CALLWARDEN_OUTPUT_PREFIX": prefix}
    names["CALLWARDEN_BOOTSTRAP_SERVERS"] = address
    make_topics(names)
    console = Console(tmp_path / "log", {**os.environ, **names, "CALLWARDEN_CONSOLE_DATABASE": url})
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:

        async def write(*events: object) -> None:
            for each in events:
                await producer.send_and_wait(f"{prefix}enforcement", msgspec.json.encode(each), partition=0)

        database = Database(url, "console", package="streams.console")
        try:
            console.start()
            await console.ready()
            wanted: list[str] = []
            for kill, what in enumerate(kills):
                ids = [f"cwe-{kill}-{n}" for n in range(CASES_A_KILL)]
                times = {"decided_ms": now_ms(), "review_by_ms": now_ms() + DAY}
                await write(*(pending(each, f"t-{each}", **times) for each in ids))
                await known(database, ids)
                given = partial(verdicts.give, wanted=WantedVerdict("overturn", "wrong"), by=LI, rules=RULES)
                result = await database.run(partial(given, ids=ids, now_ms=now_ms()))
                assert not result.refused
                wanted += ids
                await asyncio.sleep(rng.uniform(0, 2))
                assert console.child is not None
                if what != DATABASE:
                    console.child.kill()
                if what != CONSOLE:
                    assert server is not None
                    server.kill()
                    if what == DATABASE:
                        await console.not_ready("the database cannot be reached")
                    server.start()
                    database.forget()
                if what != DATABASE:
                    console.start()
            await console.ready()
            async with deadline("every verdict is sent"):
                while len(reviews := await sent(address, prefix)) < len(wanted):
                    await asyncio.sleep(0.3)
            assert Counter(review.enforcement_id for review in reviews) == Counter(wanted)
            await write(*(reversal(review) for review in reviews))
            async with deadline("every verdict has its effect"):
                while set(states(database)) != {"effective"}:
                    await asyncio.sleep(0.3)
            assert console.child is not None
            assert await asyncio.to_thread(console.child.stop, 30) == 0
            assert Counter(review.enforcement_id for review in await sent(address, prefix)) == Counter(wanted)
            await ledger_has_each_action_once(address, prefix, tmp_path, wanted)
        finally:
            database.close()
            if console.child is not None:
                console.child.kill()


def reversal(review: Review) -> object:
    behind = Evidence(review_ids=(review.review_id,))
    changes = {"kind": "reversal", "reverses": review.enforcement_id, "decided_ms": review.updated_ms}
    return event(f"{review.enforcement_id}-r", review.tenant_id, evidence=behind, **changes)


async def known(database: Database, ids: list[str]) -> None:
    """Wait until the console knows these cases."""
    async with deadline("the console has read the cases"):
        while True:
            with database.reading() as connection:
                found = connection.execute(select(CASES.c.id).where(CASES.c.id.in_(ids))).scalars().all()
            if len(found) == len(ids):
                return
            await asyncio.sleep(0.1)


def states(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(VERDICTS.c.state)).scalars())


async def ledger_has_each_action_once(address: str, prefix: str, folder: Path, wanted: list[str]) -> None:
    """The ledger's chain of actions names each verdict once, and equals the topic."""
    cluster, names = KafkaCluster(Settings(CALLWARDEN_BOOTSTRAP_SERVERS=address)), TopicNames(prefix, prefix)
    ledger = Database(f"sqlite:///{folder / 'ledger.db'}", "ledger")
    try:
        await ledger.migrate()
        await catch_up(cluster, ledger, names)
        ends = await committed_ends(cluster, names)
        with ledger.reading() as connection:
            found = verify(connection, {})
            compared = await compare(cluster, connection, names, ends)
            kept = connection.execute(select(ENTRIES.c.value).where(ENTRIES.c.topic == names.output("actions")))
            actions = [action_of(value) for value in kept.scalars()]
        assert (found.faults, found.unreadable, compared.faults) == ([], 0, [])
        given = [each for each in actions if each.action == "verdict_given"]
        assert Counter(each.enforcement_id for each in given) == Counter(wanted)
        assert {each.actor for each in given} == {LI.subject}
        assert len({each.action_id for each in actions}) == len(actions)
    finally:
        ledger.close()
        await cluster.stop()


async def sent(address: str, prefix: str) -> list[Review]:
    """All reviews in the topic."""
    cluster = KafkaCluster(Settings(CALLWARDEN_BOOTSTRAP_SERVERS=address))
    try:
        topic = f"{prefix}reviews"
        tps = [TP(topic, number) for number in range((await cluster.partitions([topic]))[topic])]
        found = []
        for tp, end in (await cluster.ends(tps)).items():
            async for batch in cluster.read(tp, 0, end):
                found += [codec.read(value) for value in batch.values if value is not None]
        return [review for review in found if isinstance(review, Review)]
    finally:
        await cluster.stop()
