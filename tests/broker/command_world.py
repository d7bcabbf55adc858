"""Topics with unique names on the shared broker, and the command `callwarden` with the settings for them."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from broker_clusters import create_topics
from deadlines import deadline

from helpers.patience import PATIENCE_S
from monitor.decoding.input_topics import INPUTS
from streams.topics.control_topic import (
    Command,
    decode_command,
)

PARTITIONS = 2
OURS = ("enforcement", "shadow", "evidence", "measures", "alerts", "late", "dead-letter", "control", "state", "clock")


class World:
    """Topics with unique names, and the command with the settings for them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.prefix = f"w{uuid.uuid4().hex[:12]}."

    async def make(self) -> None:
        # The records are old, and retention must not delete them.
        kept = {"retention.ms": "-1"}
        await create_topics(self.address, [self.prefix + name for name in (*INPUTS, *OURS)], PARTITIONS, config=kept)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        settings = {"BOOTSTRAP_SERVERS": self.address, "INPUT_PREFIX": self.prefix, "OUTPUT_PREFIX": self.prefix}
        settings["APPLICATION_ID"] = self.prefix.rstrip(".")
        environment = os.environ | {f"CALLWARDEN_{name}": value for name, value in settings.items()}
        command = [str(Path(sys.executable).parent / "callwarden"), *arguments]
        return subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        """The output of the command on both streams."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status, out + err
        return out + err

    def producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=self.address)

    async def records(self, name: str, partition: int, at_least: int = 0) -> list[ConsumerRecord]:
        """All records of a partition, once it has that many."""
        tp, found = TopicPartition(self.prefix + name, partition), list[ConsumerRecord]()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.address, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            end = (await consumer.end_offsets([tp]))[tp]
            async with deadline(f"{at_least} records of {name}-{partition}"):
                while await consumer.position(tp) < end or len(found) < at_least:
                    found += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
        finally:
            await consumer.stop()
        return found

    async def commands(self, partition: int, at_least: int = 1) -> list[Command | str]:
        records = await self.records("control", partition, at_least)
        assert all(record.key == str(partition).encode() for record in records)
        return [decode_command(record.value) for record in records]
