"""The entries of a partition's state in its topic, and the newest head among them."""

import msgspec

from monitor.partition.checkpoint_fields import packed_head
from monitor.partition.chunking import MissingChunkError
from streams.kafka.api import TP, Cluster
from streams.kafka.topic_names import TopicNames
from streams.topics.foreign_records import log_foreign_record
from streams.topics.stored_head import StoredHead

_HEAD_RECORDS = 64  # how many of the last records are searched for the head, which is written last


async def newest_head(cluster: Cluster, names: TopicNames, partitions: int) -> StoredHead | None:
    """The newest head of the first partition that has one, or None. Raises TransientError and PermanentError."""
    for number in range(partitions):
        try:
            packed = packed_head(await newest_entries(cluster, TP(names.output("state"), number)))
            if packed is not None:
                return msgspec.msgpack.decode(packed, type=StoredHead)
        except (MissingChunkError, msgspec.DecodeError):
            continue  # opening that partition reports it
    return None


async def newest_entries(cluster: Cluster, state: TP) -> dict[str, bytes]:
    """The entries written last, among them the head."""
    start, end = (await cluster.starts([state]))[state], (await cluster.ends([state]))[state]
    entries: dict[str, bytes] = {}
    await read_entries(cluster, state, max(start, end - _HEAD_RECORDS), end, entries)
    return entries


async def read_entries(cluster: Cluster, state: TP, start: int, end: int, entries: dict[str, bytes]) -> None:
    """Update ``entries`` from their value at offset ``start`` to that at ``end``."""
    async for fetched in cluster.read(state, start, end):
        for offset, key, value in zip(fetched.offsets.tolist(), fetched.keys, fetched.values, strict=True):
            try:
                name = (key or b"").decode()
            except UnicodeDecodeError:
                name = ""
            if not name or offset in fetched.unreadable:
                at = f"{state.topic}-{state.partition} offset {offset}"
                log_foreign_record(
                    "skipped a record that is not an entry of the state: another program writes to the topic", at=at
                )
                continue
            if value is None:
                entries.pop(name, None)
            else:
                entries[name] = value
