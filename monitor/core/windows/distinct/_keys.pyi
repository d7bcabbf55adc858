from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def find(slots: NDArray[Any], words: NDArray[Any], key: NDArray[Any], at: NDArray[Any], /) -> None:
    """Write the slot of each key, a negative number if it has none, to ``at``."""

def claim(
    slots: NDArray[Any],
    words: NDArray[Any],
    key: NDArray[Any],
    tenant: NDArray[Any],
    numeric: NDArray[Any],
    room: int,
    at: NDArray[Any],
    /,
) -> int:
    """Write the slot of each key to ``at``. Returns how many are new; they get slots if they are at most ``room``."""

def distinct(
    key: NDArray[Any], count: NDArray[Any], order: NDArray[Any], merged: NDArray[Any], total: NDArray[Any], /
) -> int:
    """Write the first row of each key, ascending by key, to ``order``, and its counts added up to ``total``.

    Returns the number of distinct keys. ``merged`` is scratch.
    """

def change(
    slots: NDArray[Any],
    words: NDArray[Any],
    key: NDArray[Any],
    tenant: NDArray[Any],
    count: NDArray[Any],
    numeric: NDArray[Any],
    at: NDArray[Any],
    limits: NDArray[Any],
    sequences: bool,
    counts: NDArray[Any],
    before: NDArray[Any],
    after: NDArray[Any],
    /,
) -> None:
    """Add ``count`` to the attempts of keys, ascending, whose slots are ``at``, and change the ``counts`` of tenants.

    Writes the attempts of each key ``before`` and ``after``.
    """
