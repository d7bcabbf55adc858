from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def encode(
    rules: tuple[NDArray[Any] | bytes, ...],
    counts: NDArray[Any],
    tenants: int,
    due: NDArray[Any],
    skipped: NDArray[Any] | None,
    rows: NDArray[Any],
    names: list[bytes],
    middle: bytes,
    /,
) -> list[bytes | None]:
    """The records of the tenants with these ``rows`` and encoded ``names``; None where `measure_encoding` must encode.

    ``rules`` are the columns of `native_measures.columns_of`; ``counts`` are ``[tenant, count]``, and ``skipped``,
    ``[due, tenant]``, marks rules that do not apply. ``middle`` stands between name and worst rule. Raises ValueError
    if arguments do not fit.
    """
