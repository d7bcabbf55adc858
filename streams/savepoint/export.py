"""Writes the state of all partitions to a file."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from monitor.partition.chunking import MissingChunkError
from streams.kafka.api import Cluster, PermanentError
from streams.kafka.topic_names import TopicNames, require_topics
from streams.savepoint.archive import ArchiveHeader, ArchiveWriter
from streams.topics.partition_state import PartitionState
from streams.topics.state_inputs import check_inputs
from streams.topics.state_topic import part_of


async def export(
    cluster: Cluster,
    names: TopicNames,
    path: Path,
    made_ms: int,
    told: Callable[[PartitionState], None] = lambda part: None,
) -> ArchiveHeader:
    """Write all partitions to ``path``; calls ``told`` after each.

    A partition without a state, which never decided anything, has no entries. Raises TransientError, OSError, and
    PermanentError, also if no partition has a state or one is incomplete.
    """
    topic = names.output("state")
    counts = await cluster.partitions([topic])
    require_topics(counts, [topic])
    header = ArchiveHeader(made_ms, names.input_prefix, names.output_prefix, counts[topic])
    await check_inputs(cluster, names)  # else the file would name inputs other than the state's
    writer, empty = ArchiveWriter(path, header), True
    try:
        for number in range(header.partitions):
            part = await part_of(cluster, names, number)
            try:
                empty = part.judged is None and empty
            except (MissingChunkError, msgspec.DecodeError) as error:
                raise PermanentError(
                    f"{topic}-{number} is incomplete: {error}; expected a complete state with a readable head"
                ) from None
            writer.add(part)
            told(part)
        if empty:
            raise PermanentError(f"{topic} is empty; expected a state, which a worker writes with its first decision")
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    return header
