"""Handover: what a shard has read and not decided yet, stored for the next owner of its partition.

Without a handover, open calls and waiting records are not stored, and the next owner reads them again. That takes time
in proportion to their number. An owner that releases a partition in a clean shutdown can spare its successor that.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.core.calls.keys import U64
from monitor.core.codec import FORMAT, Column, Unpacker, array, column, packed
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.record_ref import RecordRef
from monitor.core.windows.open_panes import OpenPane
from monitor.core.windows.pane_store import decode_pane, encode_pane
from schemas import codec

MOST_CALLS: Final = 200_000
"""The most open calls in a handover. More would make the transaction that releases the partition too large."""


class _StoredOpen(Struct, array_like=True):
    first: dict[int, tuple[int, int]]
    pane: bytes


class _StoredWaiting(Struct, array_like=True):
    at_ms: int
    ref: RecordRef
    raw: bytes
    record: bytes
    signature: bytes | None = None


class _Stored(Struct, array_like=True):
    format: int
    newest_ms: int
    panes: list[_StoredOpen]
    seen: Column
    seen_ms: Column
    waiting: list[_StoredWaiting]


class Handover(Struct):
    """The open panes, the newest event time read, the remembered call ids, and the waiting records.

    ``seen`` holds the keys and event times of the call ids, both ``[k]``, sorted by key.
    """

    newest_ms: int
    panes: list[OpenPane]
    seen: tuple[U64, NDArray[np.int64]]
    waiting: list[PendingRecord]

    def encode(self) -> bytes:
        """Encode the handover for storage."""
        keys, times = self.seen
        panes = [_StoredOpen(one.first, encode_pane(one.pane)) for one in self.panes]
        waiting = [_StoredWaiting(w.at_ms, w.ref, w.raw, codec.encode(w.record), w.signature) for w in self.waiting]
        return packed(_Stored(FORMAT, self.newest_ms, panes, column(keys), column(times), waiting))

    @classmethod
    def decode(cls, blob: bytes) -> "Handover":
        """Decode a stored handover. Raises StateFormatError if its format is unknown."""
        stored = Unpacker(_Stored, "the stored handover")(blob)
        return cls(
            stored.newest_ms,
            [OpenPane(decode_pane(one.pane), one.first) for one in stored.panes],
            (array(stored.seen, np.uint64), array(stored.seen_ms, np.int64)),
            list(_waiting(stored.waiting)),
        )


def _waiting(stored: Iterable[_StoredWaiting]) -> Iterable[PendingRecord]:
    for one in stored:
        record = codec.decode(one.record)
        yield PendingRecord.of(record, one.at_ms, one.ref, one.raw, one.signature)  # a call never waits
