from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def enter(
    values: NDArray[Any],
    tenants: int,
    width: int,
    number: NDArray[Any],
    first: NDArray[Any],
    column: NDArray[Any],
    field: NDArray[Any],
    bits: int,
    waits: NDArray[Any],
    marked: NDArray[Any] | None,
    pane: NDArray[Any],
    tenant: NDArray[Any],
    word: NDArray[Any],
    talk_ms: NDArray[Any],
    ring_delay_ms: NDArray[Any],
    count: int,
    /,
) -> int:
    """Add the calls that wait, of the ``marked`` tenants or of all, to ``values`` ``[tenant, column]``.

    Returns -1; or the number of a pane that is not in ``number``, without a change.
    """
