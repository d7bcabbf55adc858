"""Takes the state of a partition out of its topic, as of one moment, be workers at work or not."""

from streams.kafka.api import TP, Cluster, TransientError
from streams.kafka.topic_names import TopicNames
from streams.topics.partition_state import PartitionState
from streams.topics.state_entries import read_entries

OUTPUTS = ("enforcement", "shadow", "clock")
"""The logs whose ends are kept beside a state."""

_ROUNDS = 100


async def part_of(cluster: Cluster, names: TopicNames, number: int) -> PartitionState:
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
            return PartitionState(number, entries, {name: (before[tp], after[tp]) for name, tp in outputs.items()})
    raise TransientError(f"{state.topic}-{number} is written faster than it is read")
