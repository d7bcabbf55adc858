from typing import Any

from numpy.typing import NDArray

INTERFACE: int

_Table = tuple[NDArray[Any], NDArray[Any], int, NDArray[Any], NDArray[Any]]

def add(
    set: int,
    calls: tuple[NDArray[Any], ...],
    bits: tuple[int, int],
    running: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    kind: tuple[NDArray[Any], bool, bool, int, int, int],
    span: tuple[int, int, int],
    keys: _Table,
    groups: _Table,
    /,
) -> tuple[int, int]:
    """Change the counts of tenants by their calls. Returns how many keys and groups are new in their tables."""
