"""Batches of 500 records at 20,000 a second while ingest instances and broker are killed: each record is written once.

The clients determine the rate; a busy machine takes longer, and every assertion still holds.
"""

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from ingest_instances import instances_on, ready, written

from bench.ingest_client import Sender
from streams.dev.kafka_node import DevKafka

RECORDS = 500
A_SECOND = 20_000 // RECORDS
KILLED_AFTER = 12 * A_SECOND  # requests


@pytest.mark.parametrize(
    "seconds", [pytest.param(60, marks=pytest.mark.services), pytest.param(600, marks=pytest.mark.soak)]
)
async def test_every_acknowledged_record_is_written_once(seconds: int, jars: Path, tmp_path: Path) -> None:
    rng = random.Random(seconds)
    requests = A_SECOND * seconds
    with DevKafka(tmp_path / "node", jars) as node:
        async with instances_on(node, tmp_path) as (instances, settings):
            sender = Sender(instances.ports, RECORDS, keyed=True)
            sending = asyncio.create_task(sender.send(A_SECOND, requests))

            async def accepted(count: int) -> None:
                while len(sender.accepted) < count and not sending.done():
                    await asyncio.sleep(0.01)

            kills = range(KILLED_AFTER, requests - KILLED_AFTER, KILLED_AFTER)
            for number, count in enumerate(kills):
                await accepted(count)
                if number % 4 == 1:
                    await asyncio.to_thread(node.kill)
                    await asyncio.sleep(1)
                    await asyncio.to_thread(node.start)
                    for port in instances.ports:
                        await ready(port)
                else:
                    port = rng.choice(instances.ports)
                    await asyncio.to_thread(instances.kill, port)
                    instances.start(port)
            await sending
            for port in instances.ports:
                await ready(port)  # before that, TERM ends a process at once
            await asyncio.to_thread(instances.stop)
            values = await written(settings, f"{settings['input_prefix']}cdr")
    assert len(sender.accepted) == requests
    assert all(json.loads(answer)["accepted"] == RECORDS for answer in sender.accepted.values())
    found = Counter(value.split(b'"', 8)[7] for value in values)  # the call ids
    assert (len(found), set(found.values())) == (requests * RECORDS, {1})
    assert {int(each.partition(b"-")[0]) for each in found} == set(range(requests))
    assert set(instances.statuses) <= {0, -signal.SIGKILL}
    assert "Traceback" not in instances.log()
