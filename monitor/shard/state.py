"""State: what a shard writes so that it can go on after a restart: sealed panes, once each, and a head, every time."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec
import numpy as np
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

from monitor.shard.evidence import EvidenceRows
from monitor.shard.firing import Firing
from monitor.shard.pane import Pane
from monitor.shard.parties import KeyCounts
from monitor.shard.span import HOUR_MS
from monitor.shard.standing import Standing

FORMAT = 1
T = TypeVar("T", bound=np.generic)


class WaitingHead(Struct):
    """A record that waits: ``record`` is it as JSON, ``raw`` its bytes as they came; the rest as in `Waiting`."""

    at_ms: int
    log: tuple[int, int, int, int]
    raw: bytes
    record: bytes


class SpanHead(Struct):
    """What a window length's panes do not tell: what has left it, and the sampling levels of its tallies."""

    left_ms: int
    callee_levels: dict[int, int]
    caller_levels: dict[int, int]


class ShardHead(Struct):
    """All that a shard is, besides its panes. Tenants are numbered as in ``names``."""

    at_ms: int
    sealed_ms: int
    names: list[str]
    standings: list[Standing]
    waiting: list[WaitingHead]
    firing: dict[str, dict[int, Firing]]
    spans: dict[int, SpanHead]
    format: int = FORMAT


class _StoredKeys(Struct, array_like=True):
    key: bytes
    owner: bytes
    count: bytes
    numeric: bytes
    levels: dict[int, int]


class _StoredPane(Struct, array_like=True):
    format: int
    start_ms: int
    tenant: bytes
    width: int
    sums: bytes
    callees: _StoredKeys
    callers: _StoredKeys
    evidence_tenant: bytes
    evidence_end_ms: bytes
    evidence_mask: bytes
    evidence_ids: list[str]


class _Versioned(Struct):
    format: int


class _VersionedPane(Struct, array_like=True):
    format: int


class StateFormatError(ValueError):
    """The stored state is of a format that this release does not know."""


def decode_head(data: bytes) -> ShardHead:
    """A stored head. StateFormatError when its format is not known."""
    check_format(data)
    return msgspec.msgpack.decode(data, type=ShardHead)


def check_format(data: bytes) -> None:
    """StateFormatError when a stored head, of a shard or a partition, is of a format that is not known."""
    known = msgspec.msgpack.decode(data, type=_Versioned)
    if known.format != FORMAT:
        raise StateFormatError(f"the stored head has format {known.format}; this release knows {FORMAT}")


class PaneStore:
    """The sealed panes that windows still need, encoded, by a key that sorts by time: ``f`` fine, ``h`` hours.

    ``fresh`` are those added and ``gone`` those dropped since `flush`: what a host has to write and delete. Fine
    panes are kept from the beginning of an hour, so that an hour's evidence lies in its hour pane or in all of
    its fine panes.
    """

    def __init__(self, fine_ms: int, coarse_ms: int) -> None:
        self._fine_ms = fine_ms
        self._coarse_ms = coarse_ms
        self.panes: dict[str, bytes] = {}
        self.fresh: set[str] = set()
        self.gone: set[str] = set()

    def add(self, panes: Iterable[Pane]) -> None:
        """Panes were sealed."""
        for pane in panes:
            self._put(f"f{pane.start_ms:013d}", pane)

    def add_hour(self, hour: Pane) -> None:
        """An hour pane was made."""
        self._put(f"h{hour.start_ms:013d}", hour)

    def flush(self, at_ms: int) -> tuple[dict[str, bytes], set[str]]:
        """What is to be written and what deleted, now that windows up to ``at_ms`` have been judged."""
        # The running hour's fine panes will make up its hour pane, however short the fine windows are.
        fine_from = min(at_ms - self._fine_ms, at_ms) // HOUR_MS * HOUR_MS
        oldest = {"f": f"f{max(fine_from, 0):013d}", "h": f"h{max(at_ms - self._coarse_ms, 0):013d}"}
        for key in [key for key in self.panes if key < oldest[key[0]]]:
            del self.panes[key]
            self.gone.add(key)
        fresh = {key: self.panes[key] for key in self.fresh if key in self.panes}
        gone = self.gone
        self.fresh, self.gone = set(), set()
        return fresh, gone

    def load(self, panes: Mapping[str, bytes]) -> tuple[list[Pane], list[Pane]]:
        """Take over stored panes; the fine ones and the hours, each in order of time."""
        self.panes = dict(sorted(panes.items()))
        fine = [_decode(blob) for key, blob in self.panes.items() if key[0] == "f"]
        return fine, [_decode(blob) for key, blob in self.panes.items() if key[0] == "h"]

    def _put(self, key: str, pane: Pane) -> None:
        self.panes[key] = _encode(pane)
        self.fresh.add(key)


def _encode(pane: Pane) -> bytes:
    stored = _StoredPane(
        FORMAT,
        pane.start_ms,
        _bytes(pane.tenant),
        pane.sums.shape[1],
        _bytes(pane.sums.T),  # field by field: like beside like compresses
        _keys(pane.callees),
        _keys(pane.callers),
        _bytes(pane.evidence.tenant),
        _bytes(pane.evidence.end_ms),
        _bytes(pane.evidence.mask),
        pane.evidence.call_id.tolist(),
    )
    return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(stored))


def _decode(blob: bytes) -> Pane:
    packed = zstandard.ZstdDecompressor().decompress(blob)
    known = msgspec.msgpack.decode(packed, type=_VersionedPane)
    if known.format != FORMAT:
        raise StateFormatError(f"a stored pane has format {known.format}; this release knows {FORMAT}")
    stored = msgspec.msgpack.decode(packed, type=_StoredPane)
    tenant = _array(stored.tenant, np.int32)
    ids = np.empty(len(stored.evidence_ids), np.object_)
    ids[:] = stored.evidence_ids
    return Pane(
        stored.start_ms,
        tenant,
        np.ascontiguousarray(_array(stored.sums, np.int64).reshape(stored.width, len(tenant)).T),
        _counts(stored.callees),
        _counts(stored.callers),
        EvidenceRows(
            _array(stored.evidence_tenant, np.int32),
            _array(stored.evidence_end_ms, np.int64),
            _array(stored.evidence_mask, np.uint64),
            ids,
        ),
    )


def _keys(keys: KeyCounts) -> _StoredKeys:
    return _StoredKeys(
        _bytes(keys.key), _bytes(keys.owner), _bytes(keys.count), _bytes(keys.numeric), dict(keys.levels)
    )


def _counts(stored: _StoredKeys) -> KeyCounts:
    return KeyCounts(
        _array(stored.key, np.uint64),
        _array(stored.owner, np.int32),
        _array(stored.count, np.int32),
        _array(stored.numeric, np.bool_),
        stored.levels,
    )


def _bytes(array: NDArray[np.generic]) -> bytes:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()


def _array(data: bytes, dtype: type[T]) -> NDArray[T]:
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype)
