"""Produces record batches as they are: what no client would send."""

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest

from streams.cluster import TP


async def send(address: str, tp: TP, batch: bytes) -> str:
    """Have the broker append the batch; the name of the error with which it refuses, or ``""``."""
    client = AIOKafkaClient(bootstrap_servers=address)
    await client.bootstrap()
    try:
        await client.set_topics([tp.topic])
        leader = client.cluster.leader_for_partition(tp)
        answer = await client.send(leader, ProduceRequest(None, -1, 10_000, [(tp.topic, [(tp.partition, batch)])]))
        ((_, ((_, code, *_),)),) = answer.topics
        return "" if code == 0 else str(for_code(code).__name__)
    finally:
        await client.close()
