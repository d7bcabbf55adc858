from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def pack(block: bytes, start: NDArray[Any], size: NDArray[Any], /) -> bytes:
    """The bytes of these strings, one after the other. Raises ValueError if arguments do not fit."""
