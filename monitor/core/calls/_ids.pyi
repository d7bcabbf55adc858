from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def admit(
    slots: NDArray[Any],
    words: NDArray[Any],
    used: int,
    key: NDArray[Any],
    event_ms: NDArray[Any],
    line_ms: NDArray[Any],
    duplicate: NDArray[Any],
    /,
) -> int:
    """Mark the duplicates in ``duplicate`` and remember the other ids. Returns how many of these are new."""

def move(slots: NDArray[Any], words: NDArray[Any], ids: NDArray[Any], since_ms: int, /) -> int:
    """Fill the slots, all free, with those ``ids`` that have a time of ``since_ms`` or later. Returns how many."""
