"""Our topics are deleted under a live worker on a real broker, and the runbook's procedures recover."""

import asyncio
import json
import re
import time
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from deadlines import deadline
from worker_judge import read_all
from worker_platform import Platform
from worker_platform import platform as platform  # a fixture
from worker_processes import PARTITIONS, Worker, callwarden, fleet_of, wait_for
from worker_traffic import Sender, likely_ban, policy_file, sender_to, tenants_of

pytestmark = pytest.mark.services

_ALL = set(range(PARTITIONS))


async def delete(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()


def noticed(worker: Worker, topic: str) -> None:
    """Page, metric and log name the topic, and the process keeps running."""
    first = f"{topic} does not exist: it was deleted. `callwarden topics create` creates it, empty"
    wait_for(lambda: worker.get("/readyz")[1].startswith(first), f"{topic} is missed")
    wait_for(lambda: worker.owned("misconfigured") == _ALL, "every partition stands still")
    assert worker.metric("callwarden_topic_faults") == 1
    variables = [line["why"] for line in worker.said() if line["event"] == "a topic is misconfigured"]
    assert [why.startswith(first) for why in variables[-1:]] == [True]
    assert (worker.running, worker.get("/healthz")) == (True, (200, "ok\n"))


def works_again(worker: Worker) -> None:
    wait_for(lambda: worker.get("/readyz")[0] == 200, "it is ready")
    assert (worker.owned(), worker.metric("callwarden_topic_faults")) == (_ALL, 0)


async def test_deleted_topics_are_named_and_the_runbook_recovers(platform: Platform, tmp_path: Path) -> None:
    address, names = platform.node.address, platform.names
    variables = {**platform.environment, "CALLWARDEN_POLICY": str(policy_file(tmp_path, 1))}
    variables |= {"CALLWARDEN_IDLE_AFTER": "1s", "CALLWARDEN_OUTAGE_GRACE": "1s", "CALLWARDEN_REPLICATION_FACTOR": "1"}
    variables["CALLWARDEN_SESSION_TIMEOUT"] = "5m"  # nobody is killed, and a machine that stands still expels nobody
    export, sent = str(tmp_path / "state.zst"), 0

    async def run(*words: str) -> str:
        return await asyncio.to_thread(callwarden, variables, *words)

    async def decide() -> None:
        """Cause one more decision in every partition."""
        nonlocal sent
        async with sender_to(address) as producer:
            at_ms = time.time_ns() // 1_000_000
            tenants = [tenants_of(number, sent + 1)[sent] for number in range(PARTITIONS)]
            await Sender(producer, names).send([likely_ban(tenant, at_ms) for tenant in tenants])
        sent += 1
        enforcement = names.output("enforcement")
        ids: list[str] = []
        async with deadline(f"{sent * PARTITIONS} decisions"):
            while len(ids) < sent * PARTITIONS:
                decided = (await read_all(address, [enforcement], PARTITIONS)).of(enforcement)
                ids = [json.loads(record.value or b"")["id"] for record in decided]
                assert len(ids) == len(set(ids))
                await asyncio.sleep(0.5)
        assert len(ids) == sent * PARTITIONS

    with fleet_of(tmp_path, variables) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        await decide()
        await delete(address, names.output("control"))
        await asyncio.to_thread(noticed, worker, names.output("control"))
        await run("topics", "create")
        await asyncio.to_thread(works_again, worker)
        assert worker.times_said("all topics are configured correctly") == 1
        await decide()

        await run("state", "export", "--out", export)
        await delete(address, names.output("state"))
        await asyncio.to_thread(noticed, worker, names.output("state"))
        assert "`callwarden state import FILE` with the workers stopped" in worker.get("/readyz")[1]
        assert await asyncio.to_thread(worker.terminate) == 0
        assert worker.said_else() == []
        await run("topics", "create")
        await run("state", "import", export)
        worker = fleet.add()
        await asyncio.to_thread(works_again, worker)
        await decide()

        await delete(address, names.output("state"))
        await asyncio.to_thread(noticed, worker, names.output("state"))
        assert await asyncio.to_thread(worker.terminate) == 0
        await run("topics", "create")
        worker = fleet.add()
        await asyncio.to_thread(wait_for, lambda: worker.owned("refused") == _ALL, "it asks what to do")
        ways = re.findall(r"callwarden (accept lost-state \S+ \d+ \S+ \d+) --reason WHY", worker.get("/readyz")[1])
        assert len(ways) == PARTITIONS
        await run(*ways[0].split(), "--reason", "deleted")
        await asyncio.to_thread(wait_for, lambda: len(worker.owned()) == 1, "the partition is recreated")
