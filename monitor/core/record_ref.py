"""The place of a record in the logs, which also settles the order of records that nothing else orders."""

from typing import NamedTuple


class RecordRef(NamedTuple):
    """Where a record was read. References compare in reading order: `monitor.decoding.decode.merge` reads on in the
    source whose clock is least, so rows are ordered by ``clock_ms``, then by ``source``, then by their place in it.

    ``clock_ms`` is the clock of the record's source before it, ``source`` the number of the source, ``offset`` the
    record's offset there, ``line`` its line in a file, or its offset once more where it comes from a topic.
    """

    clock_ms: int
    source: int
    offset: int
    line: int
