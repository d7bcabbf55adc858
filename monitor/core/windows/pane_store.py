"""Storage of closed panes: one entry per pane, written once, and deleted when no window needs it."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from monitor.core.calls.columns import unknown_places
from monitor.core.calls.evidence import EvidenceRows
from monitor.core.calls.keys import BLOCK_BITS
from monitor.core.calls.string_column import StringColumn
from monitor.core.codec import FORMAT, Column, Unpacker, array, ascending, column, columns, packed
from monitor.core.record_places import UNKNOWN_PLACE
from monitor.core.talk.talk_counts import TalkCounts
from monitor.core.windows.distinct.key_counts import NEIGHBOUR_BITS, KeyCounts
from monitor.core.windows.pane import KEY_SETS, Pane
from monitor.core.windows.window import HOUR_MS
from monitor.policy.metrics import KeySet

_PLACES: Final = "places"
_NO_LEVELS: Final[tuple[Column, Column]] = (column(np.empty(0, np.int64)),) * 2
_OTHERS: Final = [which for which in KEY_SETS if which not in ("callees", "callers")]


class WindowCheckpoint(Struct, omit_defaults=True):
    """The state of a window that its panes do not hold: the time before which all has left, and sampling levels."""

    left_ms: int
    callee_levels: dict[int, int]
    caller_levels: dict[int, int]
    other_levels: dict[str, dict[int, int]] = {}

    @classmethod
    def of(cls, left_ms: int, levels: Mapping[KeySet, dict[int, int]]) -> "WindowCheckpoint":
        """The state with these sampling levels by set of keys."""
        others: dict[str, dict[int, int]] = {
            keys: some for keys, some in levels.items() if some and keys not in ("callees", "callers")
        }
        return cls(left_ms, levels.get("callees", {}), levels.get("callers", {}), others)

    def levels(self, keys: KeySet) -> dict[int, int]:
        """The sampling level of each tenant in the window for a set of keys, if above 0."""
        if keys == "callees":
            return self.callee_levels
        return self.caller_levels if keys == "callers" else self.other_levels.get(keys, {})


class _StoredKeys(Struct, array_like=True):
    key: Column
    tenant: Column
    count: Column
    numeric: Column
    levels: dict[int, int]


class _StoredPane(Struct, array_like=True):
    """A pane. Tenants (ascending) are stored as differences, event times relative to the pane start, sums by field."""

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


class _StoredPaneWithMore(_StoredPane, array_like=True):
    """A pane with what only some policies count, by name. Without that, a pane is stored as `_StoredPane`."""

    more: dict[str, list[Column]] = {}  # msgspec copies it


class PaneStore:
    """The closed panes that windows still need. Keys sort by time, with the prefix ``f`` (fine) or ``h`` (hour).

    Fine panes are kept from the start of an hour, so that the evidence of an hour is complete in its hour pane or in
    its fine panes.
    """

    def __init__(self, fine_ms: int, coarse_ms: int) -> None:
        self._fine_ms = fine_ms
        self._coarse_ms = coarse_ms
        self._stored: dict[str, deque[str]] = {"f": deque(), "h": deque()}  # keys, oldest first
        self._fresh: dict[str, bytes] = {}

    def add(self, panes: Iterable[Pane]) -> None:
        """Store closed panes."""
        for pane in panes:
            self._fresh[f"f{pane.start_ms:013d}"] = encode_pane(pane)

    def add_hour(self, hour: Pane) -> None:
        """Store an hour pane."""
        self._fresh[f"h{hour.start_ms:013d}"] = encode_pane(hour)

    def changes(self, at_ms: int) -> dict[str, bytes | None]:
        """The entries to write or delete (None) after windows up to ``at_ms`` were evaluated."""
        # Keep all fine panes of the current hour, however short the fine windows are: its hour pane needs them.
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
        """Load stored panes. Returns the fine panes and the hour panes, each in order of time.

        Panes are decoded lazily, because all at once would take a gigabyte. The iterators raise StateFormatError if a
        format is unknown.
        """
        for kind, stored in self._stored.items():
            stored.extend(sorted(_keys_of(kind, entries)))
        unpack = Unpacker(_StoredPaneWithMore, "a stored pane")
        fine, hours = ((_decode(unpack(entries[key])) for key in stored) for stored in self._stored.values())
        return fine, hours

    @property
    def fine_since_ms(self) -> int | None:
        """The start of the first fine pane; None if there is none."""
        return int(self._stored["f"][0][1:]) if self._stored["f"] else None


def encode_pane(pane: Pane) -> bytes:
    """Encode a pane for storage."""
    rows = pane.evidence
    stored = (
        FORMAT,
        pane.start_ms,
        ascending(pane.tenant),
        columns(pane.sums.T),
        _keys(pane.callees),
        _keys(pane.callers),
        ascending(rows.tenant),
        column(rows.end_ms - pane.start_ms),
        column(rows.mask),
        rows.call_id.in_one_block(),
        column(rows.call_id.size),
    )
    more = _more(pane)
    return packed(_StoredPaneWithMore(*stored, more) if more else _StoredPane(*stored))


def decode_pane(blob: bytes) -> Pane:
    """Decode a stored pane. Raises StateFormatError if its format is unknown."""
    return _decode(Unpacker(_StoredPaneWithMore, "a stored pane")(blob))


def _decode(stored: _StoredPaneWithMore) -> Pane:
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
            StringColumn.in_row(stored.evidence_ids, array(stored.evidence_sizes, np.int32)),
            _places(stored),
        ),
        _talk(stored.more),
        **{which: _other(which, stored.more[which]) for which in _OTHERS if which in stored.more},
    )


def _more(pane: Pane) -> dict[str, list[Column]]:
    more: dict[str, list[Column]] = {which: _other_columns(keys) for which in _OTHERS if len(keys := pane.keys(which))}
    if len(pane.talk):
        talk = [ascending(pane.talk.tenant), column(pane.talk.bucket), column(pane.talk.count)]
        more = {"talk": talk, **more}
    place = pane.evidence.place
    known = place != UNKNOWN_PLACE
    if len(known) and known.all():
        base = place.min()
        more[_PLACES] = [column(np.array([base])), column(place - base + 1)]
    elif known.any():
        base = place[known].min()
        more[_PLACES] = [column(np.array([base])), column(np.where(known, place - base + 1, 0))]
    return more


def _places(stored: _StoredPaneWithMore) -> NDArray[Any]:
    """The places of the evidence: differences to the least, plus 1; 0 is unknown."""
    if _PLACES not in stored.more:
        return unknown_places(len(stored.evidence_tenant[1]) // np.dtype(stored.evidence_tenant[0]).itemsize)
    base, more = (array(one, np.int64) for one in stored.more[_PLACES])
    return np.where(more > 0, base + more - 1, UNKNOWN_PLACE)


def _talk(more: Mapping[str, list[Column]]) -> TalkCounts:
    if "talk" not in more:
        return TalkCounts.empty()
    tenant, bucket, count = more["talk"]
    return TalkCounts(
        np.cumsum(array(tenant, np.int32), dtype=np.int32), array(bucket, np.uint16), array(count, np.int32)
    )


def _keys(keys: KeyCounts) -> _StoredKeys:
    columns = column(keys.key), column(keys.tenant), column(keys.count), column(keys.numeric)
    return _StoredKeys(*columns, dict(keys.levels))


def _counts(stored: _StoredKeys) -> KeyCounts:
    return KeyCounts(
        array(stored.key, np.uint64),
        array(stored.tenant, np.int32),
        array(stored.count, np.int32),
        array(stored.numeric, np.bool_),
        stored.levels,
    )


def _other_columns(keys: KeyCounts) -> list[Column]:
    sampled, level = _NO_LEVELS
    if keys.levels:
        sampled, level = (column(np.array(list(some), np.int64)) for some in (keys.levels, keys.levels.values()))
    found = [column(one) for one in (keys.key, keys.tenant, keys.count, keys.numeric, keys.group)]
    return [*found, sampled, level]


def _other(which: KeySet, stored: list[Column]) -> KeyCounts:
    key, tenant, count, numeric, group, sampled, level = stored
    return KeyCounts(
        array(key, np.uint64),
        array(tenant, np.int32),
        array(count, np.int32),
        array(numeric, np.bool_),
        dict(zip(array(sampled, np.int64).tolist(), array(level, np.int64).tolist(), strict=True)),
        array(group, np.uint64),
        BLOCK_BITS if which == "blocks" else NEIGHBOUR_BITS,
    )


def _keys_of(kind: str, entries: Iterable[str]) -> list[str]:
    return [key for key in entries if key[0] == kind and key[1:].isdigit()]
