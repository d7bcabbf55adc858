"""Divides many records into transactions."""

from collections.abc import Iterable, Iterator

from streams.kafka.outputs import OutputRecord

_MOST_BYTES = 8 << 20  # a transaction must end before its time-out


def transactions(outs: Iterable[OutputRecord]) -> Iterator[list[OutputRecord]]:
    """The records in order, in parts that can each be committed at once."""
    part: list[OutputRecord] = []
    size = 0
    for out in outs:
        part.append(out)
        size += len(out.value or b"") + len(out.key or b"")
        if size > _MOST_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
