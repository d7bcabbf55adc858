from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def needed(
    plan: tuple[NDArray[Any], ...],
    values: NDArray[Any],
    width: int,
    who: NDArray[Any],
    before: NDArray[Any],
    largest: NDArray[Any],
    complaints: list[NDArray[Any]],
    room: NDArray[Any],
    calls: NDArray[Any],
    uses_at: NDArray[Any],
    now: NDArray[Any],
    /,
) -> int:
    """Write what the tenants ``who`` need: ``calls``, ``uses_at`` ``[set, who]``, and the pairs ``now``.

    Returns the number of pairs, of ``[who * evaluation]``. They are in the order of the tenants.
    """
