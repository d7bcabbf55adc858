"""Which input topics a stored state was made from, and whether they are those that the settings name."""

from collections.abc import Sequence

from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint_fields import InputTopic
from streams.kafka.api import Cluster, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.topics.state_entries import newest_head


async def current_inputs(cluster: Cluster, names: TopicNames) -> list[InputTopic]:
    """The input topics that the settings name, in the order of the sources. Refused where one is missing."""
    found = await cluster.topics(names.inputs)
    if missing := [topic for topic in names.inputs if topic not in found]:
        raise PermanentError(f"there is no topic {', '.join(missing)}; `callwarden topics create` creates it")
    return [InputTopic(topic, found[topic].id) for topic in names.inputs]


async def check_inputs(cluster: Cluster, names: TopicNames) -> int | None:
    """Refused where the stored state was made from other inputs than the settings name. Unavailable.

    Returns the number of partitions that it was made with; None where there is no state. Only the names are compared:
    a topic that was created again is the matter of each partition's owner, which tells the command that accepts it.
    """
    topic = names.output("state")
    state = (await cluster.topics([topic])).get(topic)
    head = None if state is None else await newest_head(cluster, names, state.partitions)
    if head is not None and (why := other_inputs(head.inputs, names)):
        raise PermanentError(why)
    return None if head is None else head.place.partitions


def other_inputs(stored: Sequence[InputTopic], names: TopicNames) -> str | None:
    """Why a state that was made from these inputs is not for settings with these names; None where it is."""
    if not stored or [one.name for one in stored] == names.inputs:
        return None
    expected = stored[0].name.removesuffix(INPUTS[0])
    return (
        f"the state in {names.output('state')} was made from the inputs {expected}*, and the settings name "
        f"{names.input_prefix}*. Expected the same inputs: CALLWARDEN_INPUT_PREFIX={expected} is right for this output "
        "prefix. To judge other inputs, use another CALLWARDEN_OUTPUT_PREFIX; to bring the state to other inputs, "
        "`callwarden state move`"
    )
