"""A shard's part of a decoded piece, as bytes to send between processes."""

import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.columns import Calls, unknown_places
from monitor.core.calls.string_column import StringColumn
from monitor.decoding.decode import DecodedRows
from monitor.replay.sharding import split


class _Part(NamedTuple):
    """One shard's calls in a piece: ``rows`` are their rows in the piece, ``ids`` the concatenated call ids."""

    names: list[str]
    rows: NDArray[np.intp]
    columns: list[NDArray[Any]]
    ids: bytes
    id_sizes: NDArray[np.integer]


_PACKED = (
    "tenant",
    "word",
    "end_ms",
    "talk_ms",
    "ring_delay_ms",
    "id_key",
    "callee_key",
    "callee_numeric",
    "caller_key",
    "block_key",
    "consent_key",
)


def pack(decoded: DecodedRows, shards: int) -> list[bytes]:
    """Encode each shard's part of a decoded piece."""
    if decoded.calls is None:
        return [b""] * shards
    decoded.calls.offset = decoded.call_rows.astype(np.int64)
    parts = []
    for names, calls in split(decoded.names, decoded.calls, shards):
        ids = calls.call_id.packed()
        columns = [getattr(calls, name) for name in _PACKED]
        part = _Part(names, calls.offset, columns, ids.block, ids.size)
        parts.append(pickle.dumps(part, protocol=5) if len(calls) else b"")
    return parts


def unpack(packed: bytes, before_ms: NDArray[np.int64]) -> DecodedRows:
    """Decode a shard's part as a piece without the rows of other shards."""
    empty = DecodedRows(before_ms, [], None, np.empty(0, np.intp), [], [], _NoBytes(), before_ms)
    if not packed:
        return empty
    part: _Part = pickle.loads(packed)
    ids = StringColumn.in_row(part.ids, part.id_sizes)
    zeros = np.zeros(len(ids), np.int64)
    columns = dict(zip(_PACKED, part.columns, strict=True))
    sources = zeros.astype(np.int16)
    places = unknown_places(len(ids))
    empty.calls = Calls(
        **columns, call_id=ids, place=places, source=sources, offset=zeros, clock_ms=zeros, line_ms=zeros
    )
    empty.names, empty.call_rows = part.names, part.rows
    return empty


class _NoBytes(Sequence[bytes]):
    """Placeholder for the bytes of rows, which a shard does not need: the pool's process writes late calls."""

    def __getitem__(self, row: Any) -> Any:
        return b""

    def __len__(self) -> int:
        return 0
