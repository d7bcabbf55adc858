"""The upper bound: our consumer fetches the records of the input topics, and msgspec decodes each, and nothing else.

Every implementation must do at least this. Its settings are a worker's environment variables.
"""

import asyncio
import json

from schemas import codec
from streams.kafka.api import TP, Listener
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.settings.load import load

_ROWS, _WAIT_S = 20_000, 0.2  # as the consumer loop polls


async def main() -> None:
    """Read to the ends of the topics, and report it; then idle until killed."""
    settings = load()
    names = TopicNames.from_settings(settings)
    cluster = KafkaCluster(settings)
    counts = await cluster.partitions(names.inputs)
    left = await cluster.ends([TP(topic, number) for topic, count in counts.items() for number in range(count)])
    consumer, given = cluster.consumer(names.inputs), asyncio.Event()

    async def revoked(tps: frozenset[TP]) -> None:
        pass

    async def assigned(tps: frozenset[TP]) -> None:
        given.set()

    await consumer.start(Listener(revoked, assigned))
    await given.wait()
    for tp in left:
        consumer.seek(tp, 0)
    consumer.resume(list(left))
    print(json.dumps({"event": "ready"}), flush=True)
    records, left = 0, {tp: end for tp, end in left.items() if end}
    while left:
        for tp, fetched in (await consumer.poll(list(left), _WAIT_S, _ROWS)).items():
            for value in fetched.values:
                codec.decode(value or b"")
            records += len(fetched)
            if fetched.stop >= left[tp]:
                del left[tp]
    print(json.dumps({"event": "done", "records": records}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
