"""`callwarden topics` on a real broker: creates missing topics, leaves existing ones, and reports mismatches."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from broker_clusters import create_topics

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import DevKafka, free_ports

pytestmark = pytest.mark.services


class Callwarden:
    """The command, with uniquely named topics."""

    def __init__(self, address: str) -> None:
        self.prefix = f"{uuid.uuid4().hex}."
        self._environment = os.environ | {
            "CALLWARDEN_BOOTSTRAP_SERVERS": address,
            "CALLWARDEN_INPUT_PREFIX": self.prefix,
            "CALLWARDEN_OUTPUT_PREFIX": self.prefix,
        }

    def __call__(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        command = [str(Path(sys.executable).parent / "callwarden"), *arguments]
        done = subprocess.run(
            command, env=self._environment | settings, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr


async def configure(address: str, topic: str, **configs: str) -> None:
    """Replaces the settings of a topic, and waits until the broker reports them."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, named)])
        # The controller answers before the broker has applied the change.
        async with asyncio.timeout(PATIENCE_S):
            while not named.items() <= (await _settings(admin, topic)).items():
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def _settings(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str | None]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {name: value for answer in answers for resource in answer.resources for name, value, *_ in resource[4]}


def test_topics_are_created_once_and_meet_the_requirements(address: str, tmp_path: Path) -> None:
    callwarden = Callwarden(address)
    status, _, said = callwarden("topics", "check")
    assert (status, said.count("there is no such topic")) == (1, 1)
    status, said, wrong = callwarden("topics", "create", "--replication-factor", "1", "--partitions", "3")
    assert (status, wrong) == (0, "")
    assert said.count("created ") == 21
    assert "all 21 topics are configured correctly, with 3 partitions" in said
    assert callwarden("topics", "check") == (0, "all 21 topics are configured correctly, with 3 partitions\n", "")
    sources = tmp_path / "sources.yaml"
    sources.write_text("sources: [{name: connect, format: amazon-connect, set: {settle: 15m}}]", "utf-8")
    status, _, warned = callwarden("topics", "check", CALLWARDEN_INGEST_SOURCES_FILE=str(sources))
    least = "expected less than the policy's lateness of 10m"
    assert (status, warned) == (0, f"warning: source connect: its calls will be late: {least}, got settle 15m\n")
    # A second run with another number leaves the existing topics unchanged.
    status, said, _ = callwarden("topics", "create", "--replication-factor", "1", "--partitions", "5")
    assert (status, said) == (0, "all 21 topics are configured correctly, with 3 partitions\n")


async def test_a_mismatch_is_status_1_and_a_worker_does_not_start(address: str) -> None:
    callwarden = Callwarden(address)
    assert callwarden("topics", "create", "--replication-factor", "1", "--partitions", "2")[0] == 0
    # This also resets every other setting to the broker's defaults, including retention.
    await configure(
        address, f"{callwarden.prefix}enforcement", cleanup_policy="compact", unclean_leader_election_enable="true"
    )
    status, _, said = callwarden("topics", "check")
    assert status == 1
    for line in (
        "cleanup.policy is compact; expected delete",
        "retention.ms is 604800000 (7d); expected -1",
        "unclean.leader.election.enable is true; expected false",
    ):
        assert f"{callwarden.prefix}enforcement: {line}" in said
    status, _, refused = callwarden("worker", "--port", str(free_ports(1)[0]))
    assert status == 2
    error = json.loads(refused.splitlines()[-1])["error"]
    assert "topics are misconfigured" in error
    assert said.strip() in error


async def test_an_input_that_accepts_no_megabyte_is_reported(address: str) -> None:
    callwarden = Callwarden(address)
    assert callwarden("topics", "create", "--replication-factor", "1", "--partitions", "1")[0] == 0
    cdr, rest = f"{callwarden.prefix}cdr", {"message_timestamp_type": "LogAppendTime", "retention_ms": "-1"}
    await configure(address, cdr, max_message_bytes="1000", **rest)
    status, _, said = callwarden("topics", "check")
    assert (status, said.startswith(f"{cdr}: max.message.bytes is 1000; expected at least 1048588: ")) == (1, True)
    assert said.endswith(f"--entity-name {cdr} --add-config max.message.bytes=1048588\n")


async def test_the_platforms_own_topics_say_how_many_partitions(address: str) -> None:
    callwarden = Callwarden(address)
    await create_topics(address, [f"{callwarden.prefix}cdr"], 4)
    status, said, wrong = callwarden("topics", "create", "--replication-factor", "1")
    assert status == 1
    assert f"created {callwarden.prefix}state: 4 partitions" in said
    assert f"{callwarden.prefix}cdr: message.timestamp.type is CreateTime" in wrong
    assert "partitions; expected" not in wrong
    await configure(address, f"{callwarden.prefix}cdr", message_timestamp_type="LogAppendTime", retention_ms="-1")
    assert callwarden("topics", "check")[0] == 0


async def test_a_partition_count_that_is_not_the_states_is_refused(address: str) -> None:
    callwarden = Callwarden(address)
    await create_topics(address, [f"{callwarden.prefix}state"], 2)
    await create_topics(address, [f"{callwarden.prefix}cdr"], 3)
    status, said, wrong = callwarden("topics", "create", "--replication-factor", "1")
    assert status == 1
    assert f"created {callwarden.prefix}alerts: 2 partitions" in said
    assert f"{callwarden.prefix}cdr: it has 3 partitions; expected 2, as in all others" in wrong
    assert "If it has records, it cannot be fixed" in wrong


async def test_nothing_is_created_beside_inputs_with_different_counts(address: str) -> None:
    callwarden = Callwarden(address)
    await create_topics(address, [f"{callwarden.prefix}cdr"], 3)
    await create_topics(address, [f"{callwarden.prefix}reviews"], 2)
    status, said, wrong = callwarden("topics", "create", "--replication-factor", "1")
    assert (status, said) == (1, "")
    assert "no topic was created: expected the same number of partitions in all input topics" in wrong
    assert f"{callwarden.prefix}cdr 3, {callwarden.prefix}reviews 2" in wrong
    assert f"{callwarden.prefix}state" in callwarden("topics", "check")[2], "it was made"


def test_topics_with_colliding_names_are_not_created(address: str) -> None:
    callwarden = Callwarden(address)
    status, said, wrong = callwarden("topics", "create", "--replication-factor", "1", "--output-prefix", "canary")
    assert (status, said) == (1, "")
    assert "no topic was created: with the prefix `canary` topics would be named canarycontrol" in wrong
    assert "all 16" not in callwarden("topics", "check")[1], "it made those of the inputs"


def test_too_few_brokers_for_the_replicas_are_reported_once_with_a_valid_value(jars: Path, tmp_path: Path) -> None:
    with DevKafka(tmp_path, jars) as node:
        status, _, said = Callwarden(node.address)("topics", "create")
    assert status == 2
    assert len(said.splitlines()) == 1
    assert "--replication-factor, CALLWARDEN_REPLICATION_FACTOR" in said


def test_no_broker_is_status_3_and_one_line() -> None:
    for command in ("create", "check"):
        status, _, said = Callwarden("127.0.0.1:1")("topics", command)
        assert (status, len(said.splitlines())) == (3, 1)
        assert "127.0.0.1:1: connection refused" in said
