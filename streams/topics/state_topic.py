"""Reads a consistent state of a partition from its topic, even while workers run."""

import asyncio
from typing import Final

from streams.kafka.api import TP, Cluster, TransientError
from streams.kafka.topic_names import TopicNames
from streams.topics.partition_state import PartitionState
from streams.topics.state_entries import read_entries

OUTPUTS = ("enforcement", "shadow", "clock")
"""The logs whose ends are stored with a state."""

MARKERS_S: Final = 1.0
"""Longer than a broker takes to write the markers of a transaction that was committed: some milliseconds, if idle."""

_ROUNDS: Final = 200
_REST_S: Final = 0.05


async def part_of(cluster: Cluster, names: TopicNames, number: int) -> PartitionState:
    """The state of partition ``number``. Raises the cluster's TransientError and PermanentError.

    The topic may be compacted while it is read: an entry may be gone because a newer one follows the requested end.
    So records that arrive meanwhile are read, too, until none arrives. Markers are written one by one: while a
    transaction is open in the state, its records may be visible in the other topics already. One that stays open is not
    committed: its worker is dead or stopped.
    """
    state = TP(names.output("state"), number)
    outputs = {name: TP(names.output(name), number) for name in OUTPUTS}
    entries: dict[str, bytes] = {}
    at = (await cluster.starts([state]))[state]
    at_rest = 0
    for _ in range(_ROUNDS):
        before = await cluster.ends(list(outputs.values()))
        end = (await cluster.ends([state]))[state]
        await read_entries(cluster, state, at, end, entries)
        at_rest, at = at_rest + 1 if at == end else 0, end
        written = await cluster.high_watermarks([state, *outputs.values()])
        if written[state] == end or at_rest * _REST_S > MARKERS_S:
            return PartitionState(number, entries, {name: (before[tp], written[tp]) for name, tp in outputs.items()})
        await asyncio.sleep(_REST_S)
    raise TransientError(f"{state.topic}-{number} is written faster than it is read")
