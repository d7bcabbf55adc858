"""State: what a shard writes so that it can go on after a restart: entries that changed, and a small head every time.

Entries: ``f<start>`` and ``h<start>`` sealed panes, written once; ``n<number>`` the tenants' ids, `NAMES_TOGETHER` in
each in the order of their numbers; the standings as `monitor.shard.standingstore` says.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from monitor.shard.evidence import EvidenceRows
from monitor.shard.firing import Firing
from monitor.shard.packing import FORMAT, Column, StateFormatError, Unpacker, array, column, columns, packed
from monitor.shard.pane import Pane
from monitor.shard.parties import KeyCounts
from monitor.shard.span import HOUR_MS
from monitor.shard.standingstore import page_of
from monitor.shard.strings import Strings

NAMES_TOGETHER: Final = 1_000


class SpanHead(Struct):
    """What a window length's panes do not tell: what has left it, and the sampling levels of its tallies."""

    left_ms: int
    callee_levels: dict[int, int]
    caller_levels: dict[int, int]


class ShardHead(Struct):
    """What a shard is besides its entries: how far it has judged and sealed, how many tenants it knows, what fires.

    ``newest_ms`` is the largest event time of the sealed calls: how far looks ahead reach. ``decided`` is the place in
    the decision order of the last record that was decided: with many of one instant, not all of it may have been.
    """

    at_ms: int
    sealed_ms: int
    newest_ms: int
    tenants: int
    firing: dict[str, dict[int, Firing]]
    spans: dict[int, SpanHead]
    taken_back: dict[str, dict[int, int]] = {}
    decided: tuple[int, int, str, int, tuple[int, int, int, int]] | None = None
    format: int = FORMAT


class _StoredKeys(Struct, array_like=True):
    key: Column
    owner: Column
    count: Column
    numeric: Column
    levels: dict[int, int]


class _StoredPane(Struct, array_like=True):
    """A pane. Tenants, which ascend, are stored as differences, event times from the pane's start, sums by field."""

    format: int
    start_ms: int
    tenant: Column
    sums: list[Column]
    callees: _StoredKeys
    callers: _StoredKeys
    evidence_tenant: Column
    evidence_time: Column
    evidence_mask: Column
    evidence_ids: bytes
    evidence_sizes: Column


class _StoredNames(Struct, array_like=True):
    format: int
    names: list[str]


def entries_of(keys: Iterable[str]) -> set[str]:
    """Those of these keys under which a shard's entries are stored."""
    return {key for key in keys if (key[:1] in "fhnt" and key[1:].isdigit()) or page_of(key) is not None}


def encode_names(names: Sequence[str], stored: int) -> dict[str, bytes]:
    """The entries that store ``names``, of which the first ``stored`` are stored already."""
    if stored == len(names):
        return {}
    entries = {}
    for number in range(stored // NAMES_TOGETHER, -(-len(names) // NAMES_TOGETHER)):
        some = names[number * NAMES_TOGETHER : (number + 1) * NAMES_TOGETHER]
        entries[f"n{number}"] = packed(_StoredNames(FORMAT, list(some)))
    return entries


def decode_names(entries: Mapping[str, bytes], count: int) -> list[str]:
    """The ids of ``count`` tenants by number. StateFormatError when some are missing."""
    names: list[str] = []
    unpack = Unpacker(_StoredNames, "an entry of names")
    for number in range(-(-count // NAMES_TOGETHER)):
        blob = entries.get(f"n{number}")
        if blob is None:
            raise StateFormatError(f"the stored state lacks n{number}, with names of its {count} tenants")
        names += unpack(blob).names
    if len(names) != count:
        raise StateFormatError(f"the stored state has the names of {len(names)} tenants; its head counts {count}")
    return names


class PaneStore:
    """The sealed panes that windows still need, stored by a key that sorts by time: ``f`` fine, ``h`` hours.

    Fine panes are kept from the beginning of an hour, so that an hour's evidence lies in its hour pane or in all of
    its fine panes.
    """

    def __init__(self, fine_ms: int, coarse_ms: int) -> None:
        self._fine_ms = fine_ms
        self._coarse_ms = coarse_ms
        self._stored: dict[str, deque[str]] = {"f": deque(), "h": deque()}  # keys, oldest first
        self._fresh: dict[str, bytes] = {}

    def add(self, panes: Iterable[Pane]) -> None:
        """Panes were sealed."""
        for pane in panes:
            self._fresh[f"f{pane.start_ms:013d}"] = encode_pane(pane)

    def add_hour(self, hour: Pane) -> None:
        """An hour pane was made."""
        self._fresh[f"h{hour.start_ms:013d}"] = encode_pane(hour)

    def changes(self, at_ms: int) -> dict[str, bytes | None]:
        """What is to be written or deleted (None), now that windows up to ``at_ms`` have been judged."""
        # The running hour's fine panes will make up its hour pane, however short the fine windows are.
        fine_from = min(at_ms - self._fine_ms, at_ms) // HOUR_MS * HOUR_MS
        oldest = {"f": f"f{max(fine_from, 0):013d}", "h": f"h{max(at_ms - self._coarse_ms, 0):013d}"}
        changes: dict[str, bytes | None] = {}
        for kind, stored in self._stored.items():
            while stored and stored[0] < oldest[kind]:
                changes[stored.popleft()] = None
        for key, blob in self._fresh.items():
            if key >= oldest[key[0]]:
                changes[key] = blob
                self._stored[key[0]].append(key)
        self._fresh = {}
        return changes

    def load(self, entries: Mapping[str, bytes]) -> tuple[Iterator[Pane], Iterator[Pane]]:
        """Take over stored panes; the fine ones and the hours, each in order of time. StateFormatError.

        They are unpacked as they are asked for: all at once would be a gigabyte.
        """
        for kind, stored in self._stored.items():
            stored.extend(sorted(_keys_of(kind, entries)))
        unpack = Unpacker(_StoredPane, "a stored pane")
        fine, hours = ((_decode(unpack(entries[key])) for key in stored) for stored in self._stored.values())
        return fine, hours

    @property
    def fine_since_ms(self) -> int | None:
        """When the first fine pane begins; None when there is none."""
        return int(self._stored["f"][0][1:]) if self._stored["f"] else None


def encode_pane(pane: Pane) -> bytes:
    """A pane as it is stored."""
    rows = pane.evidence
    ids = rows.call_id.packed()
    stored = _StoredPane(
        FORMAT,
        pane.start_ms,
        column(np.diff(pane.tenant, prepend=0)),
        columns(pane.sums.T),
        _keys(pane.callees),
        _keys(pane.callers),
        column(np.diff(rows.tenant, prepend=0)),
        column(rows.end_ms - pane.start_ms),
        column(rows.mask),
        ids.block,
        column(ids.size),
    )
    return packed(stored)


def decode_pane(blob: bytes) -> Pane:
    """A stored pane. StateFormatError."""
    return _decode(Unpacker(_StoredPane, "a stored pane")(blob))


def _decode(stored: _StoredPane) -> Pane:
    tenant = np.cumsum(array(stored.tenant, np.int32), dtype=np.int32)
    return Pane(
        stored.start_ms,
        tenant,
        np.array([array(column, np.int64) for column in stored.sums]).T,
        _counts(stored.callees),
        _counts(stored.callers),
        EvidenceRows(
            np.cumsum(array(stored.evidence_tenant, np.int32), dtype=np.int32),
            array(stored.evidence_time, np.int64) + stored.start_ms,
            array(stored.evidence_mask, np.uint64),
            Strings.in_row(stored.evidence_ids, array(stored.evidence_sizes, np.int32)),
        ),
    )


def _keys(keys: KeyCounts) -> _StoredKeys:
    columns = column(keys.key), column(keys.owner), column(keys.count), column(keys.numeric)
    return _StoredKeys(*columns, dict(keys.levels))


def _counts(stored: _StoredKeys) -> KeyCounts:
    return KeyCounts(
        array(stored.key, np.uint64),
        array(stored.owner, np.int32),
        array(stored.count, np.int32),
        array(stored.numeric, np.bool_),
        stored.levels,
    )


def _keys_of(kind: str, entries: Iterable[str]) -> list[str]:
    return [key for key in entries if key[0] == kind and key[1:].isdigit()]
