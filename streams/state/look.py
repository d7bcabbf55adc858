"""Takes the state of a partition out of its topic, as of one moment, be workers at work or not."""

import msgspec
import structlog

from monitor.head import packed_head
from monitor.stored import MissingPartError
from streams.cluster import TP, Cluster, Unavailable
from streams.names import Names
from streams.state.part import Judged, Part

log = structlog.get_logger("callwarden")

OUTPUTS = ("enforcement", "shadow", "clock")
"""The logs whose ends are kept beside a state."""

_ROUNDS = 100
_HEAD_RECORDS = 64  # how far back the parts of a head are looked for, which are written last


async def part_of(cluster: Cluster, names: Names, number: int) -> Part:
    """The state of partition ``number``. Unavailable, Refused of the cluster.

    The topic is compacted while it is read: an entry may have gone because a newer one stands behind the end that was
    asked for. So what came meanwhile is read, too, until nothing has come.
    """
    state = TP(names.output("state"), number)
    outputs = {name: TP(names.output(name), number) for name in OUTPUTS}
    entries: dict[str, bytes] = {}
    at = (await cluster.starts([state]))[state]
    for _ in range(_ROUNDS):
        before = await cluster.ends(list(outputs.values()))
        end = (await cluster.ends([state]))[state]
        await read_entries(cluster, state, at, end, entries)
        at = end
        after = await cluster.ends([state, *outputs.values()])
        if after[state] == end:
            return Part(number, entries, {name: (before[tp], after[tp]) for name, tp in outputs.items()})
    raise Unavailable(f"{state.topic}-{number} is written faster than it is read")


async def newest_head(cluster: Cluster, names: Names, partitions: int) -> Judged | None:
    """What the newest head of the first partition that has one tells; None where none has. Unavailable, Refused."""
    for number in range(partitions):
        try:
            packed = packed_head(await newest_entries(cluster, TP(names.output("state"), number)))
            if packed is not None:
                return msgspec.msgpack.decode(packed, type=Judged)
        except (MissingPartError, msgspec.DecodeError):
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
                log.warning("passed over: no entry of the state, somebody else writes there", at=at)
                continue
            if value is None:
                entries.pop(name, None)
            else:
                entries[name] = value
