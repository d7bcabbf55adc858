"""Checks that a stored state was built from the input topics that the settings name."""

from collections.abc import Sequence

from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint_fields import InputTopic
from streams.kafka.api import Cluster, PermanentError
from streams.kafka.topic_names import TopicNames, require_topics
from streams.topics.state_entries import newest_head
from streams.wording.worker_wording import worker_text


async def current_inputs(cluster: Cluster, names: TopicNames) -> list[InputTopic]:
    """The input topics that the settings name, in the order of the sources.

    Raises TransientError, and PermanentError if one is missing.
    """
    found = await cluster.topics(names.inputs)
    require_topics(found, names.inputs)
    return [InputTopic(topic, found[topic].id) for topic in names.inputs]


async def check_inputs(cluster: Cluster, names: TopicNames) -> int | None:
    """Raise PermanentError if the stored state was built from other inputs than the settings name.

    Returns the number of partitions of the state, None if there is none. Only names are compared: each partition's
    owner detects a topic that was created again, and names the command that accepts it. Raises TransientError.
    """
    topic = names.output("state")
    state = (await cluster.topics([topic])).get(topic)
    head = None if state is None else await newest_head(cluster, names, state.partitions)
    if head is not None and (why := other_inputs(head.inputs, names)):
        raise PermanentError(why)
    return None if head is None else head.place.partitions


def other_inputs(stored: Sequence[InputTopic], names: TopicNames) -> str | None:
    """Why a state built from these inputs does not fit settings with these names; None if it does."""
    if not stored or [one.name for one in stored] == names.inputs:
        return None
    expected = stored[0].name.removesuffix(INPUTS[0])
    state, given = names.output("state"), names.input_prefix
    return worker_text("other_inputs", state=state, expected=expected, given=given, prefix=expected)
