"""Takes the state of a partition out of its topic, as of one moment, be workers at work or not."""

from streams.kafka.api import TP, Cluster, Unavailable
from streams.kafka.topic_names import Names
from streams.topics.partition_state import Part
from streams.topics.state_entries import read_entries

OUTPUTS = ("enforcement", "shadow", "clock")
"""The logs whose ends are kept beside a state."""

_ROUNDS = 100


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
