"""Writes the state of all partitions to a file."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from monitor.stored import MissingPartError
from streams.cluster import Cluster, Refused
from streams.names import Names
from streams.state.file import Header, Writer
from streams.state.inputs import check_inputs
from streams.state.look import part_of
from streams.state.part import Part


async def export(
    cluster: Cluster, names: Names, path: Path, made_ms: int, told: Callable[[Part], None] = lambda part: None
) -> Header:
    """Write all partitions to ``path``; ``told`` of each. Unavailable, Refused of the cluster; OSError.

    A partition without a state, where nothing was ever decided, has no entries. Refused where none has any.
    """
    topic = names.output("state")
    counts = await cluster.partitions([topic])
    if topic not in counts:
        raise Refused(f"there is no topic {topic}; `callwarden topics create` makes it")
    header = Header(made_ms, names.input_prefix, names.output_prefix, counts[topic])
    await check_inputs(cluster, names)  # or the file would name inputs that are not the state's
    writer, empty = Writer(path, header), True
    try:
        for number in range(header.partitions):
            part = await part_of(cluster, names, number)
            try:
                empty = part.judged is None and empty
            except (MissingPartError, msgspec.DecodeError) as error:
                raise Refused(
                    f"{topic}-{number} is not whole: {error}; expected all of it, under a head that can be read"
                ) from None
            writer.add(part)
            told(part)
        if empty:
            raise Refused(f"there is nothing in {topic}: expected a state, which a worker writes when it first decides")
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    return header
