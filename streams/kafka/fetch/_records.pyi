from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def take_apart(
    block: memoryview,
    start: int,
    end: int,
    base: int,
    last: int,
    base_ms: int,
    most_headers: int,
    offsets: NDArray[Any],
    timestamps_ms: NDArray[Any],
    key_starts: NDArray[Any],
    key_sizes: NDArray[Any],
    value_starts: NDArray[Any],
    value_sizes: NDArray[Any],
    /,
) -> bool:
    """Take the records in ``block[start:end]`` apart, as many as the columns ``[n]`` have entries.

    ``base`` and ``last`` are the offsets of the batch, ``base_ms`` its first timestamp. Sizes are -1 where there are no
    bytes. False if they are to be parsed otherwise; the columns are then undefined. Raises ValueError if arguments do
    not fit each other.
    """
