from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def ahead(
    pieces: list[tuple[Any, ...]],
    group_bits: int,
    block_least: int,
    sequences: bool,
    who: NDArray[Any],
    level: NDArray[Any],
    unit_bits: int,
    place: NDArray[Any],
    slots: NDArray[Any],
    words: NDArray[Any],
    group_slots: NDArray[Any] | None,
    limits: NDArray[Any],
    counts: NDArray[Any],
    largest_now: NDArray[Any],
    largest: NDArray[Any],
    in_blocks: NDArray[Any],
    /,
) -> bool:
    """Change the counts of the tenants ``who`` by the keys of the pieces.

    Returns False if a largest count that becomes less is not known; the counts are then undefined.
    """
