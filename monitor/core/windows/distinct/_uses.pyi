from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def count(
    words: NDArray[Any],
    word: NDArray[Any],
    tenant: NDArray[Any],
    callee: NDArray[Any],
    caller: NDArray[Any],
    consent: NDArray[Any],
    attempt: int,
    answered: int,
    few: NDArray[Any],
    many: NDArray[Any],
    rows: int,
    row: NDArray[Any],
    largest: NDArray[Any],
    /,
) -> bool:
    """Count the callees and callers of calls whose word has the bit ``attempt``, and the consents of those with
    ``answered``. Returns whether a counter overflowed.
    """
