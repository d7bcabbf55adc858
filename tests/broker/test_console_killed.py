"""Console and database are killed with -9 under load, while verdicts wait and are sent: each review and action is sent
once, and `ledger verify` and `audit` find nothing afterwards.
"""

import asyncio
import json
import os
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from deadlines import deadline
from postgres import Postgres, programs
from sqlalchemy import select
from worker_processes import callwarden, fleet_of, wait_for
from worker_traffic import Sender, call_now, likely_ban, make_topics, policy_file, sender_to

from helpers.patience import PATIENCE_S
from schemas import codec
from schemas.inputs import Review
from streams.console.cases import verdicts
from streams.console.cases.verdicts import VerdictRules, WantedVerdict
from streams.console.identity.users import Role, User
from streams.console.tables import CASES, VERDICTS
from streams.consumers.database import Database
from streams.consumers.ledger.catch_up import catch_up
from streams.consumers.ledger.tables import ENTRIES
from streams.consumers.record_decoding import action_of
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.runtime.child_process import ChildProcess
from streams.settings.load import load

pytestmark = pytest.mark.services

LI = User("local:li", "Li", frozenset({Role.REVIEWER}))
RULES = VerdictRules(300, 60_000, four_eyes=False)
CASES_A_KILL = 4
_LATENESS_S = 3
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

    @property
    def url(self) -> str:
        """The address of its pages."""
        return f"http://127.0.0.1:{self._port}"

    async def ready(self) -> None:
        async with deadline("the console is ready"):
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
            with urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def _text(self) -> str:
        try:
            with urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return str(answer.status)
        except HTTPError as error:
            with error:
                return error.read().decode()
        except OSError:
            return ""


async def test_each_verdict_is_sent_once_whenever_it_is_killed(address: str, tmp_path: Path) -> None:
    await each_verdict_is_sent_once(address, tmp_path, f"sqlite:///{tmp_path / 'console.db'}", (CONSOLE,) * 2)


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
    """A worker decides under load; verdicts are given in the console, which is killed with each of ``kills``."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng, own = random.Random(seed), uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{own}",
        "CALLWARDEN_POLICY": str(policy_file(tmp_path, _LATENESS_S)),
        "CALLWARDEN_IDLE_AFTER": "1s",
        "CALLWARDEN_OUTAGE_GRACE": "1s",
        "CALLWARDEN_CONSOLE_DATABASE": url,
        "CALLWARDEN_LEDGER_DATABASE": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    await asyncio.to_thread(make_topics, environment)
    console = Console(tmp_path / "log", {**os.environ, **environment})
    database = Database(url, "console", package="streams.console")
    with fleet_of(tmp_path, environment) as fleet:
        worker = fleet.add()
        console.start()
        await asyncio.to_thread(fleet.settle)
        await console.ready()
        try:
            async with sender_to(address) as producer, load_on(Sender(producer, names)):
                sender, wanted = Sender(producer, names), list[str]()
                for kill, what in enumerate(kills):
                    tenants = [f"t-{kill}-{n}" for n in range(CASES_A_KILL)]
                    await sender.send(likely_ban(tenant, now_ms()) for tenant in tenants)
                    ids = await known(database, tenants)
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
                async with deadline("every verdict has its effect"):
                    while set(states(database)) != {"effective"}:
                        await asyncio.sleep(0.3)
            assert console.child is not None
            assert await asyncio.to_thread(console.child.stop, PATIENCE_S) == 0
        finally:
            database.close()
            if console.child is not None:
                console.child.kill()
        assert Counter(review.enforcement_id for review in await sent(address, names)) == Counter(wanted)
        await asyncio.to_thread(wait_for, lambda: worker.lag() == 0, "all records read")
        assert await asyncio.to_thread(worker.terminate) == 0
    await ledger_has_each_action_once(address, names, tmp_path, wanted)
    verified = await asyncio.to_thread(report, environment, "ledger", "verify", "--with-topics")
    assert (verified["ok"], verified["unreadable"], verified["behind"]) == (True, 0, 0)
    audited = await asyncio.to_thread(report, environment, "audit")
    assert audited["differences"] == []
    assert sum(one["enforcement"]["same"] for one in audited["partitions"]) >= 2 * len(wanted)


def report(environment: Mapping[str, str], *command: str) -> dict[str, Any]:
    """The JSON that a command prints; with a difference it would end with status 1."""
    [line] = [line for line in callwarden(environment, *command, "--json").splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(line)
    return found


@asynccontextmanager
async def load_on(sender: Sender) -> AsyncIterator[None]:
    """Calls of many tenants, all the time."""

    async def run() -> None:
        for number in count():
            await sender.send(call_now(f"load-{number % 50}-{n}", f"c-{number}-{n}") for n in range(20))
            await asyncio.sleep(0.1)

    running = asyncio.create_task(run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def known(database: Database, tenants: list[str]) -> list[str]:
    """Wait until the console knows the cases of these tenants. Their ids."""
    async with deadline("the console has read the cases"):
        while True:
            with database.reading() as connection:
                found = connection.execute(select(CASES.c.id).where(CASES.c.tenant_id.in_(tenants))).scalars().all()
            if len(found) == len(tenants):
                return list(found)
            await asyncio.sleep(0.1)


def states(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(VERDICTS.c.state)).scalars())


async def ledger_has_each_action_once(address: str, names: TopicNames, folder: Path, wanted: list[str]) -> None:
    """The ledger's chain of actions names each verdict once."""
    cluster = KafkaCluster(load({"bootstrap_servers": address}))
    ledger = Database(f"sqlite:///{folder / 'ledger.db'}", "ledger")
    try:
        await ledger.migrate()
        await catch_up(cluster, ledger, names)
        with ledger.reading() as connection:
            kept = connection.execute(select(ENTRIES.c.value).where(ENTRIES.c.topic == names.output("actions")))
            actions = [action_of(value) for value in kept.scalars()]
        given = [each for each in actions if each.action == "verdict_given"]
        assert Counter(each.enforcement_id for each in given) == Counter(wanted)
        assert {each.actor for each in given} == {LI.subject}
        assert len({each.action_id for each in actions}) == len(actions)
    finally:
        ledger.close()
        await cluster.stop()


async def sent(address: str, names: TopicNames) -> list[Review]:
    """All reviews in the topic."""
    cluster = KafkaCluster(load({"bootstrap_servers": address}))
    try:
        topic = f"{names.input_prefix}reviews"
        tps = [TP(topic, number) for number in range((await cluster.partitions([topic]))[topic])]
        found = []
        for tp, end in (await cluster.ends(tps)).items():
            async for batch in cluster.read(tp, 0, end):
                found += [codec.read(value) for value in batch.values if value is not None]
        return [review for review in found if isinstance(review, Review)]
    finally:
        await cluster.stop()
