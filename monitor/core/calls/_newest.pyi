from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def mark(
    group: NDArray[Any],
    end_ms: NDArray[Any],
    word: NDArray[Any],
    block: bytes,
    start: NDArray[Any],
    size: NDArray[Any],
    fields: NDArray[Any],
    mask: NDArray[Any],
    /,
) -> None:
    """Write to ``mask`` the bits of the ``fields`` whose newest calls include the call."""
