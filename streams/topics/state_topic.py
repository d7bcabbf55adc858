"""Reads a consistent state of a partition from its topic, even while workers run."""

from streams.kafka.api import TP, Cluster, TransientError
from streams.kafka.topic_names import TopicNames
from streams.topics.partition_state import PartitionState
from streams.topics.state_entries import read_entries

OUTPUTS = ("enforcement", "shadow", "clock")
"""The logs whose ends are stored with a state."""

_ROUNDS = 100


async def part_of(cluster: Cluster, names: TopicNames, number: int) -> PartitionState:
    """The state of partition ``number``. Raises the cluster's TransientError and PermanentError.

    The topic may be compacted while it is read: an entry may be gone because a newer one follows the requested end.
    So records that arrive meanwhile are read, too, until none arrives.
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
            return PartitionState(number, entries, {name: (before[tp], after[tp]) for name, tp in outputs.items()})
    raise TransientError(f"{state.topic}-{number} is written faster than it is read")
