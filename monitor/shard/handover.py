"""Handover: what a shard has read and not decided yet, for whoever goes on with it at once.

Else open calls and waiting records are not stored: they are read again. That takes as long as they are many, and
whoever gives a partition up in good order can spare its successor that.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.shard.columns import Counted
from monitor.shard.keys import U64
from monitor.shard.packing import FORMAT, Column, Unpacker, array, column, packed
from monitor.shard.records import Waiting
from monitor.shard.strings import Strings
from monitor.shard.unsealed import OpenPane
from schemas import codec

MOST_CALLS: Final = 200_000
"""More open calls would make the transaction in which a partition is given up too large."""

_DTYPES: Final[dict[str, type[np.generic]]] = {
    "tenant": np.int32,
    "word": np.uint64,
    "end_ms": np.int64,
    "talk_ms": np.int64,
    "ring_delay_ms": np.int64,
    "callee_key": np.uint64,
    "callee_numeric": np.bool_,
    "caller_key": np.uint64,
}


class _StoredOpen(Struct, array_like=True):
    number: int
    first: dict[int, tuple[int, int]]
    columns: list[Column]
    ids: bytes
    sizes: Column


class _StoredWaiting(Struct, array_like=True):
    at_ms: int
    log: tuple[int, int, int, int]
    raw: bytes
    record: bytes


class _Stored(Struct, array_like=True):
    format: int
    panes: list[_StoredOpen]
    seen: Column
    seen_ms: Column
    waiting: list[_StoredWaiting]


class Handover(Struct):
    """Open panes, the ids of calls that are remembered (keys and event times ``[k]``, sorted by key), what waits."""

    panes: list[OpenPane]
    seen: tuple[U64, NDArray[np.int64]]
    waiting: list[Waiting]

    def encode(self) -> bytes:
        """As it is stored."""
        keys, times = self.seen
        waiting = [_StoredWaiting(w.at_ms, w.log, w.raw, codec.encode(w.record)) for w in self.waiting]
        return packed(_Stored(FORMAT, list(map(_stored, self.panes)), column(keys), column(times), waiting))

    @classmethod
    def decode(cls, blob: bytes) -> "Handover":
        """What was stored. StateFormatError when its format is not known."""
        stored = Unpacker(_Stored, "the stored handover")(blob)
        return cls(
            [_opened(pane) for pane in stored.panes],
            (array(stored.seen, np.uint64), array(stored.seen_ms, np.int64)),
            list(_waiting(stored.waiting)),
        )


def _stored(pane: OpenPane) -> _StoredOpen:
    ids = pane.calls.call_id.packed()
    columns = [column(getattr(pane.calls, name)) for name in _DTYPES]
    return _StoredOpen(pane.number, pane.first, columns, ids.block, column(ids.size))


def _opened(stored: _StoredOpen) -> OpenPane:
    columns: dict[str, Any] = {
        name: array(one, dtype) for (name, dtype), one in zip(_DTYPES.items(), stored.columns, strict=True)
    }
    ids = Strings.in_row(stored.ids, array(stored.sizes, np.int32))
    return OpenPane(stored.number, Counted(**columns, call_id=ids), stored.first)


def _waiting(stored: Iterable[_StoredWaiting]) -> Iterable[Waiting]:
    for one in stored:
        record = codec.decode(one.record)
        yield Waiting.of(record, one.at_ms, one.log, one.raw)  # a call never waits
