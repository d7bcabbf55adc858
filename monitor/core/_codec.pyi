from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def column(values: NDArray[Any], /) -> tuple[str, bytes]:
    """The dtype and the bytes of a column. Raises ValueError if it does not hold integers."""

def columns(values: NDArray[Any], count: int, /) -> list[tuple[str, bytes]]:
    """The same of each column of ``values``, ``[row, count]``."""
