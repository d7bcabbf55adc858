"""TERM ends every program within its time limit, even when a broker or database is frozen or away."""

import asyncio
import os
import sys
import uuid
from pathlib import Path

import pytest
from broker_clusters import produce
from postgres import Postgres
from worker_processes import MAIN, Worker, fleet_of, wait_for
from worker_traffic import make_topics

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import DevKafka, free_ports
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.runtime.child_process import ChildProcess

pytestmark = pytest.mark.services

BOUND = {"CALLWARDEN_STOP_WITHIN": "4s"}
ENDED = (0, 1)  # orderly or cut off: not killed by the test
WORDS = {"billing": ("billing",), "ledger": ("ledger", "run"), "notify": ("notify",), "console": ("console", "run")}


def test_a_worker_ends_whether_its_broker_is_frozen_or_away(jars: Path, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.", f"{own}.")
    with DevKafka(tmp_path, jars) as node:
        output = {
            "CALLWARDEN_BOOTSTRAP_SERVERS": node.address,
            "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
            "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
            "CALLWARDEN_APPLICATION_ID": own,
            **BOUND,
        }
        make_topics(output)
        with fleet_of(tmp_path, output) as fleet:
            frozen, away = fleet.add(), fleet.add()
            fleet.settle()
            node.pause()
            # These wait for the broker: requests for log ends, heartbeats, a transaction.
            wait_for(lambda: "broker" in said(away), "that the frozen broker is missed")
            assert frozen.terminate() in ENDED
            node.kill()
            assert away.terminate() in ENDED
            for worker in (frozen, away):
                assert worker.said_else() == []


def said(worker: Worker) -> str:
    return worker.get("/readyz")[1]


async def test_consumers_of_the_outputs_end_while_their_database_is_frozen(
    address: str, postgres: Postgres, tmp_path: Path
) -> None:
    prefix = f"{uuid.uuid4().hex[:8]}."
    environment = {
        **os.environ,
        **BOUND,
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": prefix,
        "CALLWARDEN_OUTPUT_PREFIX": prefix,
        "CALLWARDEN_APPLICATION_ID": prefix.rstrip("."),
        "CALLWARDEN_BILLING_AUTH": "none",
        "CALLWARDEN_NOTIFY_WEBHOOK_URL": "http://127.0.0.1:9/",
        "CALLWARDEN_NOTIFY_WEBHOOK_SECRET": "for the test",
    }
    for name in WORDS:
        environment[f"CALLWARDEN_{name.upper()}_DATABASE"] = postgres.database(f"stopping_{name}")
        environment[f"CALLWARDEN_{name.upper()}_PORT"] = str(free_ports(1)[0])
    await asyncio.to_thread(make_topics, environment)
    children: dict[str, ChildProcess] = {}
    try:
        for name, words in WORDS.items():
            with (tmp_path / f"{name}.log").open("wb") as log:
                children[name] = ChildProcess([sys.executable, "-c", MAIN, *words], log, environment)
        for name in WORDS:
            await ready(int(environment[f"CALLWARDEN_{name.upper()}_PORT"]))
        with postgres.frozen():
            await produce(address, TP(f"{prefix}enforcement", 0), [b"no event: it is put aside, in the database"])
            await asyncio.sleep(1)  # each has a record, and waits for its database
            statuses = await asyncio.gather(*(asyncio.to_thread(child.stop, PATIENCE_S) for child in children.values()))
        assert all(status in ENDED for status in statuses), dict(zip(children, statuses, strict=True))
        for name in WORDS:
            assert "Traceback" not in (tmp_path / f"{name}.log").read_text("utf-8")
    finally:
        for child in children.values():
            child.kill()


async def ready(port: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            if b" 200 " in answer.partition(b"\r\n")[0]:
                return
            await asyncio.sleep(0.1)
