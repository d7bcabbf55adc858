"""Records to write, one by one."""

from collections.abc import Iterator

from streams.kafka.outputs import OutputColumns, OutputRecord, Outputs


def each_record(outputs: Outputs) -> Iterator[OutputRecord]:
    """The records one by one."""
    for out in outputs:
        if isinstance(out, OutputColumns):
            yield from out
        else:
            yield out
