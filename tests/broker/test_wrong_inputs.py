"""A worker with the wrong input prefix on a real broker is refused before it joins the group or touches the state."""

import asyncio
from pathlib import Path

import pytest
from broker_clusters import cluster_at
from worker_platform import Platform
from worker_platform import platform as platform  # a fixture
from worker_processes import PARTITIONS, callwarden, fleet_of, wait_for
from worker_traffic import Day, Sender, sender_to

from monitor.decoding.input_topics import INPUTS
from streams.dev.kafka_node import free_ports

pytestmark = pytest.mark.services


async def test_a_worker_with_a_wrong_input_prefix_takes_no_partition_from_healthy_ones(
    platform: Platform, tmp_path: Path
) -> None:
    address, names = platform.node.address, platform.names
    [port] = free_ports(1)
    wrong = {**platform.environment, "CALLWARDEN_INPUT_PREFIX": "cw-test.", "CALLWARDEN_WEB_PORT": str(port)}
    # A machine that stands still expels nobody: no partition is opened again.
    with fleet_of(tmp_path, {**platform.environment, "CALLWARDEN_SESSION_TIMEOUT": "5m"}) as fleet:
        healthy = fleet.add()
        await asyncio.to_thread(fleet.settle)
        day = Day(7, pieces=1, tenants=40, calls=500, partitions=PARTITIONS)
        async with sender_to(address) as producer:
            await Sender(producer, names).send(day.pieces[0])
        await asyncio.to_thread(wait_for, lambda: healthy.sum("callwarden_records_total") > 0, "a state is stored")
        opened = healthy.opened()
        for command in (["topics", "create"], ["worker"], ["state", "export", "--out", "x.zst"]):
            printed = await asyncio.to_thread(callwarden, wrong, *command, status=2)
            assert "CALLWARDEN_INPUT_PREFIX=in. is right for this output prefix" in printed, command
        assert healthy.opened() == opened, "no partition was taken over meanwhile"
        async with cluster_at(address) as cluster:
            assert await cluster.topics([f"cw-test.{name}" for name in INPUTS]) == {}
            made = await cluster.topics(names.inputs)
            assert len({topic.id for topic in made.values()}) == len(INPUTS)
            assert {topic.partitions for topic in made.values()} == {PARTITIONS}
