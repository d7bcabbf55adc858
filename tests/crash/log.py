"""One partition's log as a broker stores it: offsets, append times, transactions, markers, trimming, compaction."""

import random
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.kafka.api import TP


class Record(NamedTuple):
    """A record that a producer sends.

    With ``fault`` a client cannot read it, for that reason. With ``whole_batch`` it stands for a batch of ``offsets``
    records that cannot be decoded, which clients report at its last offset.
    """

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    fault: str = ""
    whole_batch: bool = False
    offsets: int = 1


@dataclass(eq=False, slots=True)
class Txn:
    """A transaction: the logs that it has written to, and the group offsets that it commits, with their metadata."""

    producer: str
    epoch: int
    tps: list[TP] = field(default_factory=list)
    offsets: dict[TP, int] = field(default_factory=dict)
    notes: dict[TP, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An offset of the log. An entry without a record is the marker that ends a transaction in this log."""

    offset: int
    timestamp_ms: int
    record: Record | None
    txn: Txn | None


class Log:
    """Entries by ascending offset, possibly with gaps; ``start`` is the first existing offset, ``end`` the next one."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._entries: list[Entry] = []
        self._open: dict[Txn, int] = {}
        self._aborted: set[Txn] = set()

    def append(self, records: Iterable[Record], now_ms: int, txn: Txn | None = None) -> int:
        """Add records with the broker's time (`LogAppendTime`); return the offset of the last."""
        for record in records:
            if txn is not None:
                self._open.setdefault(txn, self.end)
            self._add(record, now_ms, txn)
        return self.end - 1

    def mark(self, txn: Txn, committed: bool, now_ms: int) -> None:
        """End a transaction in this log: its marker takes an offset, and its records are committed or aborted.

        So are those of earlier transactions of its producer whose marker was left out.
        """
        for one in [txn, *(one for one in self._open if one.producer == txn.producer)]:
            self._open.pop(one, None)
            if not committed:
                self._aborted.add(one)
        self._add(None, now_ms, txn)

    def _add(self, record: Record | None, now_ms: int, txn: Txn | None) -> None:
        self.end += 1 if record is None else record.offsets
        self._entries.append(Entry(self.end - 1, now_ms, record, txn))

    @property
    def last_stable(self) -> int:
        """The last stable offset: every transaction below it is decided. A `read_committed` reader stops here."""
        return min(self._open.values()) if self._open else self.end

    def committed(self, start: int, stop: int | None = None) -> list[Entry]:
        """Return what a `read_committed` reader sees in ``[start, stop)``: no markers, no aborted or
        undecided records.
        """
        stop = self.last_stable if stop is None else min(stop, self.last_stable)
        return [entry for entry in self._entries[self._at(start) : self._at(stop)] if self._counts(entry)]

    def _counts(self, entry: Entry) -> bool:
        return entry.record is not None and entry.txn not in self._aborted

    def _at(self, offset: int) -> int:
        return bisect_left(self._entries, offset, key=lambda entry: entry.offset)

    def trim(self, start: int) -> None:
        """Delete the entries before ``start``, as retention does."""
        self.start = max(self.start, min(start, self.last_stable))
        self._entries = self._entries[self._at(self.start) :]

    def compact(self, rng: random.Random, keep_tombstones_since_ms: int) -> int:
        """Compact the stable part up to a random offset: the last record of each key stays.

        Aborted records are removed; older tombstones and markers may be. Return the number of entries removed.
        """
        clean_to = rng.randint(self.start, self.last_stable)
        cleaned = self._entries[: self._at(clean_to)]
        last = {entry.record.key: entry.offset for entry in cleaned if entry.record is not None and self._counts(entry)}

        def stays(entry: Entry) -> bool:
            if entry.record is None:
                return rng.random() < 0.5
            if not self._counts(entry) or last[entry.record.key] != entry.offset:
                return False
            old = entry.timestamp_ms < keep_tombstones_since_ms
            return entry.record.value is not None or not old or rng.random() < 0.5

        kept = [entry for entry in cleaned if stays(entry)]
        self._entries[: len(cleaned)] = kept
        return len(cleaned) - len(kept)
