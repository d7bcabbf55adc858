from typing import Any

from numpy.typing import NDArray

Buffer = bytes | memoryview

INTERFACE: int
FIELDS: tuple[str, ...]
"""The fields that it reads, in the order of the contract."""

def make_plan(
    salt: int,
    modulus: int,
    secret: tuple[int, int],
    words: list[list[int]],
    bits: dict[str, int],
    long_ms: int,
    hangup_ms: int,
    layouts: list[tuple[int, list[tuple[int, int]], list[tuple[int, int]]]],
    /,
) -> object:
    """How calls become columns. ``secret`` is random and decides nothing: see `sip` in the source.

    ``words`` are those of inbound and of outbound calls by outcome, ``bits`` those of `monitor.core.calls.fields`.
    A layout has the end time from which it applies, and the limits of short calls and short rings with their bits.
    """

def parse_calls(
    plan: object,
    block: Buffer,
    starts: NDArray[Any],
    sizes: NDArray[Any],
    row: int,
    base: int,
    columns: tuple[NDArray[Any], ...],
    /,
) -> int:
    """Append the calls in the rows of a block from ``row`` on to ``columns`` (`native.COLUMNS`). ``base`` is row 0.

    Returns the first row that is not taken, or the number of rows. Raises ValueError if arguments do not fit.
    """

def first_difference(
    block: Buffer,
    starts: NDArray[Any],
    sizes: NDArray[Any],
    rows: NDArray[Any],
    name_block: Buffer,
    name_starts: NDArray[Any],
    name_sizes: NDArray[Any],
    names: NDArray[Any],
    /,
) -> int:
    """The first place at which one of these ``rows`` differs from its name in ``names``; their number if none does."""
