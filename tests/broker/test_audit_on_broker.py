"""Audit, export and import on a real broker: while a worker decides, afterwards, and on manually changed topics."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from broker_clusters import cluster_at
from deadlines import deadline
from worker_judge import read_all
from worker_platform import Platform, drain
from worker_processes import PARTITIONS, callwarden, fleet_of
from worker_traffic import Day, Sender, make_topics, sender_to

from streams.kafka.api import TP

pytestmark = pytest.mark.services
OURS = ("enforcement", "shadow", "evidence", "clock", "control", "state")


async def copied(platform: Platform, prefix: str) -> list[str]:
    """Copy the workers' outputs to topics of another prefix: one decision missing, one changed, one invented, and one
    without headers. Returns their ids, in this order.
    """
    await asyncio.to_thread(make_topics, {**platform.environment, "CALLWARDEN_OUTPUT_PREFIX": prefix})
    logs = await read_all(platform.node.address, map(platform.names.output, OURS), PARTITIONS)
    decisions = logs.records[platform.names.output("enforcement"), 0]
    left_out, bare, other = decisions[0], decisions[1], decisions[-1]
    changed = json.loads(other.value)
    changed["data"]["refunds"] = "released"
    invented = json.loads(other.value) | {"id": "cwe-invented"}
    async with AIOKafkaProducer(bootstrap_servers=platform.node.address) as producer:
        for name in OURS:
            topic = prefix + name
            for (_, number), records in [one for one in logs.records.items() if one[0][0].endswith("." + name)]:
                for record in records:
                    value = record.value
                    if record is left_out:
                        continue
                    if record is other:
                        await producer.send(topic, json.dumps(invented).encode(), record.key, number)
                        value = json.dumps(changed, ensure_ascii=False, separators=(",", ":")).encode()
                    headers = [] if record is bare else list(record.headers)
                    await producer.send(topic, value, record.key, number, headers=headers)
    return [
        json.loads(left_out.value)["id"],
        json.loads(other.value)["id"],
        "cwe-invented",
        json.loads(bare.value)["id"],
    ]


async def places_lead_to_the_records(platform: Platform) -> None:
    """Every call that a decision names is at its place in the evidence."""
    wanted = ("enforcement", "evidence")
    ours = await read_all(platform.node.address, map(platform.names.output, wanted), PARTITIONS)
    calls = await read_all(platform.node.address, [platform.names.inputs[0]], PARTITIONS)
    at = {(tp[0], tp[1], record.offset): record.value for tp, some in calls.records.items() for record in some}
    places = {
        evidence["enforcement_id"]: evidence["places"]
        for tp, some in ours.records.items()
        if tp[0] == platform.names.output("evidence")
        for evidence in (json.loads(record.value) for record in some)
    }
    named = 0
    for tp, some in ours.records.items():
        for event in (json.loads(record.value) for record in some if tp[0] == platform.names.output("enforcement")):
            ids = event["data"]["evidence"]["call_ids"]
            found = [at.get((one["topic"], one["partition"], one["offset"])) for one in places.get(event["id"], [])]
            assert [json.loads(value or b"{}").get("call_id") for value in found[: len(ids)]] == ids
            named += len(ids)
    assert named > 0


async def lose_state(platform: Platform) -> None:
    topic = platform.names.output("state")
    admin = AIOKafkaAdminClient(bootstrap_servers=platform.node.address)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with deadline(f"{topic} is deleted"):
            while topic in await admin.list_topics():
                await asyncio.sleep(0.2)
    finally:
        await admin.close()
    await asyncio.to_thread(make_topics, platform.environment)


async def test_an_audit_confirms_the_decisions_and_finds_manual_changes(platform: Platform, tmp_path: Path) -> None:
    day = Day(seed=11, pieces=4, tenants=60, calls=12_000, partitions=PARTITIONS)
    export = tmp_path / "state.zst"

    async def run(*arguments: str, status: int = 0) -> str:
        return await asyncio.to_thread(callwarden, platform.environment, *arguments, status=status)

    async def judged(*arguments: str, status: int = 0) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(await run("audit", "--json", *arguments, status=status))
        return report

    with fleet_of(tmp_path, platform.environment) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(platform.node.address) as producer:
            sender = Sender(producer, platform.names)
            for piece in day.pieces[:3]:
                await sender.send(piece)
            async with deadline("something is decided"):
                while not any(one["enforcement"]["same"] for one in (await judged())["partitions"]):
                    await asyncio.sleep(1)
            # A partition without a state in the export could not be opened after its later decisions.
            states = [TP(platform.names.output("state"), number) for number in range(PARTITIONS)]
            async with cluster_at(platform.node.address) as cluster, deadline("each partition has a state"):
                while not all((await cluster.ends(states)).values()):
                    await asyncio.sleep(0.2)
            assert "written: " in await run("state", "export", "--out", str(export))
            await sender.send(day.pieces[3])
            await drain(fleet, sender, day.calls_now)
            topic = platform.names.output("enforcement")
            async with deadline("the last finding is decided"):
                for number in itertools.count(8):
                    logs = await read_all(platform.node.address, [topic], PARTITIONS)
                    if any(record.key == b"found-3" for record in logs.of(topic)):
                        break
                    await sender.send(day.calls_now(number))
                    await asyncio.sleep(1)
        assert await asyncio.to_thread(worker.terminate) == 0
        whole, rest = await judged(), await judged("--state", str(export))
        decided = [sum(one["enforcement"]["same"] for one in report["partitions"]) for report in (whole, rest)]
        assert decided[0] > decided[1] > 0
        assert whole["records"] > rest["records"] > 0
        places = [sum(one["evidence"]["same"] for one in report["partitions"]) for report in (whole, rest)]
        assert places[0] > places[1] > 0
        assert [one["notes"] for one in whole["partitions"]] == [[]] * PARTITIONS
        await places_lead_to_the_records(platform)

        left_out, changed, invented, bare = await copied(platform, "copy.")
        report = await judged("--output-prefix", "copy.", status=1)
        found = {(one["what"], one["id"]): [field["path"] for field in one["fields"]] for one in report["differences"]}
        assert found == {
            ("missing", left_out): [],
            ("changed", changed): ["data.refunds"],
            ("invented", invented): [],
            ("headers", bare): ["header content-type"],
        }
        assert "NOT as expected: 4 differences, 3 of them of decisions" in await run(
            "audit", "--output-prefix", "copy.", status=1
        )

        await lose_state(platform)
        assert "of the topics in.* and out.*" in await run(
            "state", "import", str(export), "--output-prefix", "copy.", "--replace", status=2
        )
        assert "restored" in await run("state", "import", str(export))
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(platform.node.address) as producer:
            await drain(fleet, Sender(producer, platform.names), day.calls_now)
        assert "expected no running workers, got 1 in the group" in await run(
            "state", "import", str(export), "--replace", status=2
        )
        assert await asyncio.to_thread(worker.terminate) == 0
    after = await judged()
    assert sum(one["enforcement"]["same"] for one in after["partitions"]) >= decided[0]
