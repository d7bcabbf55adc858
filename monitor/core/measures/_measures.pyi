from typing import Any

from numpy.typing import NDArray

INTERFACE: int

def encode(
    rules: tuple[NDArray[Any] | bytes, ...],
    width: int,
    blocks: list[tuple[int, NDArray[Any]]],
    tenants: int,
    due: NDArray[Any],
    skipped: NDArray[Any] | None,
    memo: NDArray[Any],
    names: list[str],
    middle: bytes,
    first: int,
    block: NDArray[Any],
    who: NDArray[Any],
    start: NDArray[Any],
    size: NDArray[Any],
    name_size: NDArray[Any],
    /,
) -> tuple[int, int]:
    """Write the records of the tenants ``who``, from the one with the index ``first`` on, as far as they fit.

    Returns the index of the next one and the bytes written. ``start`` and ``size``, ``[who]``, tell where each record
    lies in ``block``; a size of -1 means that `measure_encoding` must encode it. ``name_size`` is that of the id in it,
    which is not escaped. ``rules`` are the columns of `native_measures.NativeRules`; ``blocks`` are those of
    `native_pairs.CountBlocks`; ``skipped``, ``[due, who]``, marks rules that do not apply; ``names`` are the ids by
    tenant; ``middle`` stands between name and worst rule. ``memo`` keeps texts between calls with the same ``rules``:
    64 bytes each, as many for each rule, a power of two; all are 0 at first. Raises ValueError if arguments do not fit.
    """
