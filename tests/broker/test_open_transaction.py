"""A transaction that stays open in the enforcement topic of a real Kafka: no tenant is reported
refundable behind it.
"""

import asyncio
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import cluster_at, in_transactions, make_topic
from deadlines import deadline
from sqlalchemy import MetaData

from helpers.patience import PATIENCE_S
from oracle.billing import event
from streams.consumers.billing.main import Billing
from streams.consumers.database import Database
from streams.consumers.follower import Follower
from streams.consumers.offsets import Offsets, position_table
from streams.dev import kafka_jars as kafkajars
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP, TransientError
from streams.settings.load import load

pytestmark = pytest.mark.services


def ask(port: int, page: str = "/v1/refunds/acme") -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, None


async def answered(port: int, status: int, what: str, page: str = "/v1/refunds/acme", text: str = "") -> str:
    """The first answer with this status and text: on a busy machine billing can also be stale for a moment."""
    async with deadline(what):
        while True:
            found, body = await asyncio.to_thread(ask, port, page)
            if found == status and text in str(body):
                return str(body)
            await asyncio.sleep(0.05)


def transactions(jars: Path, address: str, *arguments: str) -> str:
    """The output of Kafka's transactions command, as the runbook uses it."""
    tool = [kafkajars.java(), "-cp", f"{jars}/*", "org.apache.kafka.tools.TransactionsCommand"]
    command = [*tool, "--bootstrap-server", address, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


async def test_no_tenant_is_refundable_behind_an_open_transaction_until_its_abort(
    address: str, jars: Path, tmp_path: Path
) -> None:
    topic = await make_topic(address, suffix=".enforcement")
    tp, [port] = TP(topic, 0), free_ports(1)
    prefix = topic.removesuffix("enforcement")
    settings = load(
        {
            "bootstrap_servers": address,
            "output_prefix": prefix,
            "billing_port": port,
            "billing_stale_after_ms": "5s",
        }
    )
    database = Database(f"sqlite:///{tmp_path / 'billing.db'}", "billing")
    await in_transactions(address, tp, (True, [event("other", "other", "frozen")]), (False, [b"aborted"]))
    hanging = AIOKafkaProducer(
        bootstrap_servers=address, transactional_id=uuid.uuid4().hex, transaction_timeout_ms=600_000
    )
    async with cluster_at(address) as cluster:
        running = asyncio.create_task(Billing(settings, cluster, database).host(None, []))
        try:
            body = json.loads(await answered(port, 200, "the topic is read past its markers"))
            assert body["refundable"] is body["cancellable"] is True
            await hanging.start()
            await hanging.begin_transaction()
            await hanging.send_and_wait(topic, b"hanging", partition=0)
            opened_s = time.monotonic()
            await in_transactions(address, tp, (True, [event("ban", "acme", "frozen")]))
            body = json.loads(await answered(port, 503, "the open transaction is noticed", text="A transaction of"))
            assert f"{topic}-0 has been open at offset 4 " in body["detail"]
            await answered(port, 503, "readiness says so", "/readyz", "open at offset 4")
            asked_until_s = opened_s + settings.billing_stale_after_ms / 1000 + 2
            async with deadline("the time of an answer is over"):
                while time.monotonic() < asked_until_s:
                    status, text = await asyncio.to_thread(ask, port)
                    assert status == 503, text
                    assert not {"refundable", "cancellable"} & json.loads(text).keys()
            async with deadline("the metric says for how long"):
                open_s = 0.0
                while open_s <= 5:
                    metrics = await answered(port, 200, "metrics", "/metrics")
                    open_s = float(
                        re.findall(r"^callwarden_consumer_open_transaction_\S+ (\S+)$", metrics, re.MULTILINE)[0]
                    )
            where = ("--topic", topic, "--partition", "0")
            found = await asyncio.to_thread(transactions, jars, address, "describe-producers", *where)
            assert any(line.split()[-1] == "4" for line in found.splitlines()), found
            await asyncio.to_thread(transactions, jars, address, "abort", *where, "--start-offset", "4")
            body = json.loads(await answered(port, 200, "it is read on after the abort"))
            assert [hold["id"] for hold in body["holds"]] == ["ban"]
            assert body["refundable"] is body["cancellable"] is False
        finally:
            running.cancel()
            await asyncio.wait([running])
            database.close()
            await hanging.stop()


async def test_catching_up_says_that_a_transaction_stays_open(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.watermarks.PATIENCE_S", 0.5)
    topic = await make_topic(address)
    database = Database(f"sqlite:///{tmp_path / 'notes.db'}", "notes")
    table = position_table(MetaData(), "notes")
    await database.run(table.metadata.create_all)
    async with (
        cluster_at(address) as cluster,
        AIOKafkaProducer(bootstrap_servers=address, transactional_id=uuid.uuid4().hex) as hanging,
    ):
        follower = Follower(cluster, database, Offsets(table), [topic], lambda *_: None)
        await hanging.begin_transaction()
        await hanging.send_and_wait(topic, b"hanging", partition=0)
        with pytest.raises(TransientError, match=f"a transaction of {topic}-0 has been open at offset 0"):
            await follower.catch_up()
        monkeypatch.undo()  # a broker on a busy machine needs longer to abort a transaction
        await hanging.abort_transaction()
        async with deadline("it has caught up"):
            while True:  # the abort is acknowledged before its marker is written
                with suppress(TransientError):
                    await follower.catch_up()
                    break
    database.close()
