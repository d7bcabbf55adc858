"""The position of a record in the logs. It also breaks ties in the decision order."""

from typing import NamedTuple


class RecordRef(NamedTuple):
    """Where a record was read. References compare in reading order.

    `monitor.decoding.merge.merge` reads next from the source with the lowest clock, so rows are ordered by
    ``clock_ms``, then by ``source``, then by position in the source. ``clock_ms`` is the clock of the source before
    the record, ``source`` the number of the source, and ``offset`` the offset of the record there. ``line`` is the
    line in a file; for a topic it repeats the offset.
    """

    clock_ms: int
    source: int
    offset: int
    line: int
