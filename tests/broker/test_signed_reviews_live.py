"""A worker with review keys on a real Kafka: signed verdicts take effect, all others are rejected and shown."""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from deadlines import deadline
from worker_processes import PARTITIONS, fleet_of, run_command
from worker_traffic import Sender, likely_ban, make_topics, policy_file, sender_to

from helpers.patience import WAIT
from monitor.partition.partitioner import partition_of
from streams.kafka.topic_names import TopicNames
from streams.reviews.signatures import make_key

pytestmark = pytest.mark.services


async def callwarden(variables: Mapping[str, str], *words: str) -> tuple[int, str]:
    """The exit status and output of a command."""
    return await asyncio.to_thread(run_command, variables, *words)


async def forge(address: str, topic: str, about: str, header: bytes) -> None:
    """Overturn a decision as anybody may who can write to the topic."""
    record = {"type": "review", "review_id": "forged", "enforcement_id": about, "tenant_id": "upheld"}
    record |= {"verdict": "overturn", "reviewer": "wang", "reason": "because"}
    now_ms = time.time_ns() // 1_000_000
    home = partition_of(b"upheld", PARTITIONS, "murmur2")
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        value, headers = json.dumps(record | {"updated_ms": now_ms}).encode(), [("callwarden-signature", header)]
        await producer.send_and_wait(topic, value, key=b"upheld", partition=home, headers=headers)


async def test_only_signed_verdicts_take_effect(address: str, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    key, file = make_key("wang", tmp_path)
    keys = tmp_path / "review-keys.yaml"
    keys.write_text(f"keys:\n  wang: {key.public_text}\n")
    variables = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{own}",
        "CALLWARDEN_POLICY": str(policy_file(tmp_path, 3)),
        "CALLWARDEN_IDLE_AFTER": "1s",
        "CALLWARDEN_OUTAGE_GRACE": "1s",
        "CALLWARDEN_LEDGER_DATABASE": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    await asyncio.to_thread(make_topics, variables)
    with fleet_of(tmp_path, {**variables, "CALLWARDEN_REVIEW_KEYS_FILE": str(keys)}) as fleet:
        fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(address) as producer:
            await Sender(producer, names).send([likely_ban("upheld", time.time_ns() // 1_000_000)])
        async with deadline("the decision waits"):
            pending: list[dict[str, str]] = []
            while not pending:
                # An unknown id brings the ledger up to the topics' ends.
                await callwarden(variables, "reviews", "uphold", "cwe-0", "--reason", "none")
                status, said = await callwarden(variables, "reviews", "list", "--json")
                pending = [
                    one
                    for line in said.splitlines()
                    if status == 0 and line.startswith("{")
                    for one in json.loads(line)["decisions"]
                ]
        about = pending[0]["enforcement_id"]
        uphold = ("reviews", "uphold", about, "--reason", "heard", "--by", "wang", "--wait", WAIT)

        await forge(address, names.input_prefix + "reviews", about, b"wang:" + b"A" * 86 + b"==")
        status, said = await callwarden(variables, *uphold)
        assert (status, "the worker has rejected it: unsigned_review" in said) == (1, True), said
        knowing = {**variables, "CALLWARDEN_REVIEW_KEYS_FILE": str(keys)}
        status, said = await callwarden(knowing, *uphold)
        assert (status, "the workers accept signed verdicts only" in said) == (2, True), said
        status, said = await callwarden(knowing, *uphold, "--key", str(file))
        assert (status, "signed by wang" in said) == (0, True), said

        status, said = await callwarden(variables, "dead-letter", "list")
        assert ("unsigned_review" in said, "bad_signature: it is not a signature" in said) == (True, True), said
        status, said = await callwarden(variables, "ledger", "verify", "--with-topics")
        assert status == 0, said
        status, said = await callwarden(variables, "audit")
        assert (status, "signed reviews by the name of the key: wang 1" in said) == (0, True), said
        assert "reviews rejected as bad_signature: 1" in said
