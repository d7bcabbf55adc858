"""The development node keeps acknowledged records over kill -9, and does not outlive the process that started it."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from broker_clusters import create_topics
from deadlines import deadline, killed_when_late
from worker_processes import wait_for

from helpers.patience import PATIENCE_S
from streams.dev.kafka_cluster import DevCluster
from streams.dev.kafka_node import DevKafka, NodeFailed
from streams.kafka.cluster import KafkaCluster
from streams.settings.load import load

pytestmark = pytest.mark.services


async def produce(address: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, request_timeout_ms=round(PATIENCE_S * 1000)) as producer:
        for value in values:
            await producer.send_and_wait("t", value, partition=0)


async def consume(address: str) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition("t", 0)])
        end = (await consumer.end_offsets([TopicPartition("t", 0)]))[TopicPartition("t", 0)]
        async with deadline(f"{end} records"):
            return [(await consumer.getone()).value for _ in range(end)]


async def cluster_id(address: str) -> str | None:
    cluster = KafkaCluster(load({"bootstrap_servers": address}))
    try:
        return await cluster.cluster_id()
    finally:
        await cluster.stop()


async def in_sync(address: str, replicas: int) -> None:
    """Wait until that many replicas of the topic are in sync."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        async with deadline(f"{replicas} replicas in sync"):
            while len((await admin.describe_topics(["t"]))[0]["partitions"][0]["isr"]) < replicas:
                await asyncio.sleep(0.2)
    finally:
        await admin.close()


async def test_kill_9_and_a_restart_lose_nothing_that_was_acknowledged(jars: Path, tmp_path: Path) -> None:
    with DevKafka(tmp_path, jars) as node:
        await create_topics(node.address, ["t"])
        await produce(node.address, b"1", b"2")
        address, own = node.address, await cluster_id(node.address)
        node.kill()
        assert not node.running
        node.start()
        assert node.address == address
        await produce(node.address, b"3")
        assert await consume(node.address) == [b"1", b"2", b"3"]
        node.pause()
        assert node.running
        node.resume()
        node.stop()
        assert not node.running
        node.start()
        assert await consume(node.address) == [b"1", b"2", b"3"]
    # Another node on the same storage, on other ports.
    with DevKafka(tmp_path, jars) as other:
        assert other.address != address
        assert await cluster_id(other.address) == own
        assert await consume(other.address) == [b"1", b"2", b"3"]


async def test_a_cluster_of_three_serves_while_one_node_is_away(jars: Path, tmp_path: Path) -> None:
    with DevCluster(tmp_path, jars, 3) as cluster:
        await create_topics(cluster.address, ["t"], replicas=3)
        written = []
        for number, node in cluster.nodes.items():
            node.kill()
            written.append(str(number).encode())
            async with deadline(f"a write without node {number}"):
                await produce(cluster.address, written[-1])
            node.start()
            await in_sync(cluster.address, 3)
        assert await consume(cluster.address) == written


async def test_nodes_in_different_folders_are_different_clusters(address: str, jars: Path, tmp_path: Path) -> None:
    with DevKafka(tmp_path, jars) as node:
        assert await cluster_id(node.address) != await cluster_id(address)


def test_a_node_that_cannot_start_says_why(jars: Path, tmp_path: Path) -> None:
    node = DevKafka(tmp_path, jars, properties={"log.retention.hours": "soon"})
    with pytest.raises(NodeFailed, match=r"log\.retention\.hours"):
        node.start()
    assert not node.running


def test_another_kafka_at_its_port_is_not_taken_for_it(address: str, jars: Path, tmp_path: Path) -> None:
    node = DevKafka(tmp_path, jars, port=int(address.rpartition(":")[2]))
    with pytest.raises(NodeFailed, match=rf"cannot serve at {address}: Address already in use; expected a free port"):
        node.start()
    assert not node.running


def command(jars: Path, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "callwarden"), "dev-kafka", "--tools", str(jars.parent), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return killed_when_late(process)


def of_java(data: Path) -> list[int]:
    """The processes whose command line contains that storage."""
    found = subprocess.run(["pgrep", "-f", str(data / "server.properties")], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


async def test_ctrl_c_ends_the_command_and_its_node_without_a_traceback(jars: Path, tmp_path: Path) -> None:
    with command(jars, "--port", "0", "--data", str(tmp_path)) as callwarden:
        assert callwarden.stdout is not None
        assert callwarden.stderr is not None
        address = callwarden.stdout.readline().strip()
        await create_topics(address, ["t"])
        callwarden.send_signal(signal.SIGINT)
        assert callwarden.wait(PATIENCE_S) == 0
        assert "Traceback" not in callwarden.stderr.read()
    assert of_java(tmp_path) == []


def test_no_node_outlives_a_command_that_was_killed(jars: Path, tmp_path: Path) -> None:
    with command(jars, "--port", "0", "--data", str(tmp_path)) as callwarden:
        assert callwarden.stdout is not None
        assert callwarden.stdout.readline()
        assert len(of_java(tmp_path)) == 1
        os.kill(callwarden.pid, signal.SIGKILL)
        callwarden.wait(PATIENCE_S)
    wait_for(lambda: not of_java(tmp_path), "the node ends with its parent")
