from typing import Any

from numpy.typing import NDArray

INTERFACE: int

_Blocks = list[tuple[int, NDArray[Any]]]

def enough(
    rules: tuple[NDArray[Any], ...],
    width: int,
    blocks: _Blocks,
    tenants: int,
    due: NDArray[Any],
    who: NDArray[Any],
    pairs: NDArray[Any],
    /,
) -> tuple[int, list[int]]:
    """Write the pairs of a due rule and a tenant of ``who`` that pass the gate to ``pairs``, of ``[due * who]``.

    Returns their number, and the rules that have any.
    """

def check(
    rules: tuple[NDArray[Any], ...],
    width: int,
    blocks: _Blocks,
    tenants: int,
    pairs: NDArray[Any],
    limit: NDArray[Any],
    all: bool,
    met: NDArray[Any],
    /,
) -> None:
    """Write to ``met`` which pairs are beyond the ``limit`` of their rule and, with ``all``, meet all conditions."""
