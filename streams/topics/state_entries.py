"""The entries of a partition's state as they stand in its topic, and the newest head among them."""

import msgspec

from monitor.partition.checkpoint_fields import packed_head
from monitor.partition.chunking import MissingChunkError
from streams.kafka.api import TP, Cluster
from streams.kafka.topic_names import TopicNames
from streams.topics.stored_head import StoredHead

_HEAD_RECORDS = 64  # how far back the parts of a head are looked for, which are written last


async def newest_head(cluster: Cluster, names: TopicNames, partitions: int) -> StoredHead | None:
    """What the newest head of the first partition that has one tells; None where none has. Unavailable, Refused."""
    for number in range(partitions):
        try:
            packed = packed_head(await newest_entries(cluster, TP(names.output("state"), number)))
            if packed is not None:
                return msgspec.msgpack.decode(packed, type=StoredHead)
        except (MissingChunkError, msgspec.DecodeError):
            continue  # who opens that partition tells of it
    return None


async def newest_entries(cluster: Cluster, state: TP) -> dict[str, bytes]:
    """The entries that were written last, the head among them."""
    start, end = (await cluster.starts([state]))[state], (await cluster.ends([state]))[state]
    entries: dict[str, bytes] = {}
    await read_entries(cluster, state, max(start, end - _HEAD_RECORDS), end, entries)
    return entries


async def read_entries(cluster: Cluster, state: TP, start: int, end: int, entries: dict[str, bytes]) -> None:
    """Bring ``entries``, as they were at ``start``, to what they were at ``end``."""
    async for fetched in cluster.read(state, start, end):
        for offset, key, value in zip(fetched.offsets.tolist(), fetched.keys, fetched.values, strict=True):
            try:
                name = (key or b"").decode()
            except UnicodeDecodeError:
                name = ""
            if not name or offset in fetched.unreadable:
                at = f"{state.topic}-{state.partition} offset {offset}"
                import structlog  # here: it is rare, and commands wait for the import

                log = structlog.get_logger("callwarden")
                log.warning("passed over: no entry of the state, somebody else writes there", at=at)
                continue
            if value is None:
                entries.pop(name, None)
            else:
                entries[name] = value
