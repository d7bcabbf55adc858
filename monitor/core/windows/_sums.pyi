from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def group(
    word: NDArray[Any], talk: NDArray[Any], ring: NDArray[Any], starts: NDArray[Any], sums: NDArray[Any], /
) -> None:
    """Write the sums of each group of calls: their bits, talk times and ring delays."""

def enter(
    sums: NDArray[Any], fields: NDArray[Any], tenant: NDArray[Any], pane: NDArray[Any], mine: NDArray[Any], /
) -> tuple[int, int]:
    """Add a pane to sums, and write its fields to ``mine``. Returns its records and the largest number of ``mine``."""

def leave(sums: NDArray[Any], fields: int, tenant: NDArray[Any], mine: NDArray[Any], /) -> int:
    """Subtract what `enter` added. Returns the records."""

def merge(all_tenants: NDArray[Any], sums: NDArray[Any], tenant: NDArray[Any], pane: NDArray[Any], /) -> None:
    """Add the sums of a pane to those of its tenants among ``all_tenants``."""
