"""The notifier is killed with -9 repeatedly: every message arrives, and the outbox is empty in the end."""

import asyncio
import random
import uuid
import zlib
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from deadlines import deadline
from notify_process import Notifier, Receiver, alert, decision, receiving, warning
from postgres import Postgres
from sqlalchemy import create_engine, select
from sqlalchemy.pool import NullPool
from worker_processes import PARTITIONS
from worker_traffic import make_topics

from schemas.outputs import Kind
from streams.consumers.notify.tables import OUTBOX
from streams.runtime.wall_clock import epoch_ms

pytestmark = pytest.mark.services

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(("kind", "kills"), [("sqlite", 20), ("postgresql", 3)])
async def test_every_message_arrives_whenever_it_is_killed(
    kind: str, kills: int, address: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    url = f"sqlite:///{tmp_path / 'notify.db'}"
    if kind == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.database("notify_killed")
    prefix = f"t-{uuid.uuid4().hex}."
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": prefix,
        "CALLWARDEN_OUTPUT_PREFIX": prefix,
        "CALLWARDEN_NOTIFY_DATABASE": url,
        "CALLWARDEN_NOTIFY_DELAY": "0s",
    }
    make_topics(environment)
    async with receiving() as receiver, AIOKafkaProducer(bootstrap_servers=address) as producer:
        output = {"CALLWARDEN_NOTIFY_WEBHOOK_URL": receiver.url, "CALLWARDEN_NOTIFY_WEBHOOK_SECRET": SECRET}
        notifier = Notifier(tmp_path / "log", environment | output)

        async def write(topic: str, value: object, tenant: str) -> None:
            partition = zlib.crc32(tenant.encode()) % PARTITIONS
            await producer.send_and_wait(prefix + topic, msgspec.json.encode(value), partition=partition)

        try:
            await write("enforcement", warning("history", "t-history", epoch_ms()), "t-history")
            notifier.start()
            await notifier.ready()
            wanted = set()
            for kill in range(kills):
                how = rng.choice(["at once", "later", "unanswered", "refused"])
                receiver.holding, receiver.down = how == "unanswered", how == "refused"
                receiver.reached.clear()
                for n in range(rng.randrange(1, 4)):
                    tenant = f"t{kill}-{n}"
                    await write("enforcement", warning(f"e{kill}-{n}", tenant, epoch_ms()), tenant)
                    wanted.add(f"e{kill}-{n}")
                tenant = f"a{kill}"
                await write("alerts", alert(f"a{kill}", tenant, "firing", epoch_ms()), tenant)
                wanted.add(f"a{kill}")
                await moment_to_kill(how, receiver, rng)
                notifier.kill()
                receiver.holding = receiver.down = False
                notifier.start()
            await notifier.ready()
            await arrived(receiver, wanted, notifier)
            for kill in range(kills):
                await write("alerts", alert(f"a{kill}", f"a{kill}", "resolved", epoch_ms()), f"a{kill}")
            await arrived(receiver, {f"a{kill} over" for kill in range(kills)}, notifier)
            async with deadline("the outbox is empty"):
                while await asyncio.to_thread(waiting, url):
                    await asyncio.sleep(0.1)
            async with deadline("its page says so, too"):
                empty = 'callwarden_notify_waiting_messages{channel="webhook"} 0.0'
                while empty not in (await notifier.get("/metrics"))[1]:
                    await asyncio.sleep(0.1)
            assert notifier.terminate() == 0
        finally:
            notifier.kill()
    assert not [ref for ref in receiver.taken if ref.startswith("history")], "old decisions were sent"
    twice = {ref: n for ref, n in receiver.taken.items() if n > 1}
    assert sum(n - 1 for n in twice.values()) <= kills, twice
    assert SECRET not in notifier.said()


async def test_a_poisoned_message_and_a_robots_limit_are_known_after_each_kill(address: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng, prefix, url = random.Random(seed), f"t-{uuid.uuid4().hex}.", f"sqlite:///{tmp_path / 'notify.db'}"
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": prefix,
        "CALLWARDEN_OUTPUT_PREFIX": prefix,
        "CALLWARDEN_NOTIFY_DATABASE": url,
        "CALLWARDEN_NOTIFY_PER_MINUTE": "3",
    }
    make_topics(environment)
    async with receiving() as receiver, AIOKafkaProducer(bootstrap_servers=address) as producer:
        output = {
            "CALLWARDEN_NOTIFY_WEBHOOK_URL": receiver.url,
            "CALLWARDEN_NOTIFY_WEBHOOK_SECRET": SECRET,
            "CALLWARDEN_NOTIFY_WECOM_URL": f"{receiver.url}robot?key={SECRET}",
        }
        notifier, wanted = Notifier(tmp_path / "log", environment | output), set()

        async def write(id_: str, tenant: str, kind: Kind = "warning") -> None:
            event = msgspec.json.encode(decision(id_, tenant, epoch_ms(), kind))
            await producer.send_and_wait(f"{prefix}enforcement", event, partition=0)

        try:
            notifier.start()
            await notifier.ready()
            receiver.breaks = {"bad"}
            await write("bad", "acme")
            await write("after", "acme", "ban")
            for kill in range(3):
                for n in range(4):
                    await write(f"e{kill}-{n}", f"t{kill}-{n}")
                    wanted.add(f"e{kill}-{n}")
                await asyncio.sleep(rng.uniform(0.2, 2))
                notifier.kill()
                notifier.start()
                await notifier.ready()
            await arrived(receiver, wanted, notifier)
            async with deadline("it is set aside"):
                set_aside = 'callwarden_notify_set_aside_messages{channel="webhook"} 1.0'
                while set_aside not in (await notifier.get("/metrics"))[1]:
                    await asyncio.sleep(0.1)
            failures = len(receiver.broke_s["bad"])
            notifier.kill()
            notifier.start()
            await notifier.ready()
            await write("last", "last")
            await arrived(receiver, {"last"}, notifier)
        finally:
            notifier.kill()
    assert not {"bad", "after"} & receiver.taken.keys(), "the order within a tenant is not kept"
    assert failures > 3, "others were tried before it was blamed"
    # Once set aside, it is retried after a minute at the earliest. The kill may lose the record of one more failure.
    later_s = receiver.broke_s["bad"][failures - 1 :]
    assert sum(later - first < 60 for first, later in pairwise(later_s)) <= 1, "a restart begins again"
    sent_s = receiver.robot_s
    assert len(sent_s) >= 2, "a kill may come after a message is counted and before it is sent"
    assert all(later - first >= 60 for first, later in zip(sent_s, sent_s[3:], strict=False)), "a restart begins again"


async def moment_to_kill(how: str, receiver: Receiver, rng: random.Random) -> None:
    """Wait for a moment to kill it: at random, while a message is unanswered, or after a refusal."""
    if how == "at once":
        return
    async with deadline("a message comes"):
        await receiver.reached.wait()
    await asyncio.sleep(rng.uniform(0, 0.3) if how == "later" else 0)


async def arrived(receiver: Receiver, wanted: set[str], notifier: Notifier) -> None:
    async with deadline(f"all arrive: {notifier.said()[-500:]}"):
        while wanted - receiver.taken.keys():
            await asyncio.sleep(0.1)


def waiting(url: str) -> list[object]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return list(connection.execute(select(OUTBOX.c.message_id).where(OUTBOX.c.state == "waiting")))
    finally:
        engine.dispose()
