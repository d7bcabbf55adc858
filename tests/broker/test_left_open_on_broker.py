"""A transaction that a real Kafka has committed without its marker in one partition is ended there."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import cluster_at, create_topics, end_reaches, values

from streams.dev.kafka_node import DevKafka
from streams.kafka.api import TP
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.worker.running.left_open import open_at, outputs_of

pytestmark = pytest.mark.services

NAMES, NUMBER = TopicNames("in.", "out."), 0
STATE, ENFORCEMENT = (TP(NAMES.output(name), NUMBER) for name in ("state", "enforcement"))


async def commit_without_a_marker(address: str, transactional_id: str, tp: TP) -> None:
    """Commit a record in the state, and one in ``tp``, which is not added to the transaction."""
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=transactional_id) as producer:
        transactions = producer._txn_manager
        add = transactions.maybe_add_partition_to_txn
        transactions.maybe_add_partition_to_txn = lambda one: one[:] == tp[:] or add(one)
        await producer.begin_transaction()
        await producer.send_and_wait(STATE.topic, b"of the state", partition=STATE.partition)
        transactions._txn_partitions.add(next(iter(transactions._txn_partitions))._replace(topic=tp.topic))
        await producer.send_and_wait(tp.topic, b"a decision", partition=tp.partition)
        await producer.commit_transaction()


async def test_a_decision_that_nobody_can_read_is_read_once_it_is_committed_again(jars: Path, tmp_path: Path) -> None:
    # By default the broker rejects records of a partition that was not added to the transaction.
    with DevKafka(tmp_path, jars, properties={"transaction.partition.verification.enable": "false"}) as node:
        tps = outputs_of(NAMES, NUMBER)
        await create_topics(node.address, [tp.topic for tp in tps])
        async with cluster_at(node.address) as cluster:
            await commit_without_a_marker(node.address, "app-0", ENFORCEMENT)
            await end_reaches(cluster, STATE, 2)
            assert await open_at(cluster, tps) == {ENFORCEMENT: 0}
            writer = cluster.writer("app-0")
            await writer.start()
            assert await open_at(cluster, tps) == {ENFORCEMENT: 0}, "a start does not end it"
            await writer.commit_again([ENFORCEMENT])
            await end_reaches(cluster, ENFORCEMENT, 2)
            assert await open_at(cluster, tps) == {}
            found = [batch async for batch in cluster.read(ENFORCEMENT, 0, 2)]
            assert values(found) == [b"a decision"]
            # The writer can still commit.
            await writer.commit([OutputRecord(ENFORCEMENT.topic, NUMBER, None, b"the next")], {})
            await end_reaches(cluster, ENFORCEMENT, 4)
