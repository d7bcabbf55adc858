"""Key counts: the keys of one set, such as the callees of attempts, with counts, sampled if there are too many.

Above `EXACT_KEYS` distinct keys per tenant, only keys with a small hash are kept. The *level* k of a tenant keeps a
2^-k share, so counts are multiplied by 2^k. Unlike HyperLogLog, a sample by hash supports subtraction. Groups of 64
neighbouring numbers share a hash, because sequences must be sampled whole. Keys that are counted by block are sampled
by their block.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.keys import U64, mix
from monitor.core.windows.distinct import native_keys

EXACT_KEYS = 32_768
NEIGHBOUR_BITS = np.uint64(6)  # 2^6 neighbours are sampled together
_INDEXED = 4_096  # keys: fewer are searched without an index
_TRUE = np.ones(1, np.bool_)
_SALT = np.uint64(0xD6E8FEB86659FD93)  # keeps the sample independent of what else is derived from a key


class RowsByTenant(NamedTuple):
    """The rows of keys in the order of their tenants, and these tenants. Memory: 8 bytes per key."""

    order: NDArray[np.int32]
    tenant: NDArray[np.int32]

    @classmethod
    def of(cls, tenant: NDArray[np.int32]) -> "RowsByTenant":
        # numpy sorts narrow integers in linear time.
        narrow = tenant.astype(np.uint16) if int(tenant.max()) < 1 << 16 else tenant
        order = np.argsort(narrow, kind="stable").astype(np.int32)
        return cls(order, tenant[order])

    def rows(self, who: NDArray[np.intp]) -> NDArray[np.int32]:
        """The rows of these ascending tenants, ascending."""
        sought = who.astype(np.int32)
        first = self.tenant.searchsorted(sought)
        counts = self.tenant.searchsorted(sought, "right") - first
        ends = counts.cumsum()
        rows: NDArray[np.int32] = self.order[
            np.repeat(first - ends + counts, counts) + np.arange(ends[-1] if len(who) else 0)
        ]
        rows.sort()
        return rows


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """Distinct ``key`` ``[k]``, each with its ``tenant``, its attempts (``count``), and whether it is a number.

    ``levels`` is the sampling level of each tenant whose keys were sampled. ``group`` ``[k]`` is what some sets count
    keys by, otherwise empty. ``unit_bits`` is the number of low bits that do not affect the sampling.
    """

    key: U64
    tenant: NDArray[np.int32]
    count: NDArray[np.int32]
    numeric: NDArray[np.bool_]
    levels: dict[int, int] = field(default_factory=dict)
    group: U64 = field(default_factory=lambda: np.empty(0, np.uint64))
    unit_bits: np.uint64 = NEIGHBOUR_BITS
    _by_tenant: "list[RowsByTenant | None]" = field(default_factory=list, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def empty(cls) -> "KeyCounts":
        """No keys: always the same object, because most panes have some empty sets."""
        return _NONE

    @classmethod
    def of_each(
        cls,
        panes: int,
        pane: NDArray[np.intp],
        keys: U64,
        tenant: NDArray[np.int32],
        numeric: NDArray[np.bool_],
        group: U64 | None = None,
        unit_bits: np.uint64 = NEIGHBOUR_BITS,
    ) -> list["KeyCounts"]:
        """The distinct keys of the attempts of each pane, sampled to `EXACT_KEYS` per tenant, in one pass."""
        if not len(keys):
            return [cls.empty()] * panes
        order = np.argsort(keys)
        if panes > 1:  # a stable sort keeps the order by key within a pane; it is cheap for a narrow dtype
            order = order[np.argsort(pane[order].astype(np.min_scalar_type(panes)), kind="stable")]
        key, pane = keys[order], pane[order]
        starts = np.flatnonzero(np.concatenate([[True], (key[1:] != key[:-1]) | (pane[1:] != pane[:-1])]))
        first = order[starts]
        counts = np.diff(starts, append=len(keys)).astype(np.int32)
        groups = np.empty(0, np.uint64) if group is None else group[first]
        every = cls(key[starts], tenant[first], counts, numeric[first], {}, groups, unit_bits)
        edges = pane[starts].searchsorted(np.arange(panes + 1)).tolist()
        return [every.select(slice(*edge)).bounded() for edge in pairwise(edges)]

    def bounded(self) -> "KeyCounts":
        """These distinct keys, sampled to `EXACT_KEYS` per tenant."""
        if len(self) <= EXACT_KEYS:
            return self
        levels = {}
        for tenant in np.flatnonzero(np.bincount(self.tenant) > EXACT_KEYS).tolist():
            keys = self.key[self.tenant == tenant]
            levels[tenant] = level_for(keys, self.levels.get(tenant, 0), unit_bits=self.unit_bits)
        return self.thinned(levels)

    @classmethod
    def joined(cls, parts: Sequence["KeyCounts"]) -> "KeyCounts":
        """Concatenate the parts, each tenant at its highest level. The keys may repeat."""
        parts = [part for part in parts if len(part) or part.levels] if len(parts) > 1 else parts
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        levels = levels_of(parts)
        every = cls(
            np.concatenate([part.key for part in parts]),
            np.concatenate([part.tenant for part in parts]),
            np.concatenate([part.count for part in parts]),
            np.concatenate([part.numeric for part in parts]),
            group=np.concatenate([part.group for part in parts]),
            unit_bits=max(part.unit_bits for part in parts),  # an empty part has the least
        )
        return every.thinned(levels)

    def distinct(self) -> "KeyCounts":
        """Each key once, ascending, with its counts added up. Fast if the keys form a few ascending runs."""
        if not len(self):
            return self
        if native_keys.enabled:
            return self._with(*native_keys.distinct(self.key, self.count))
        order = np.argsort(self.key, kind="stable")
        key = self.key[order]
        starts = np.concatenate([_TRUE, key[1:] != key[:-1]]).nonzero()[0]
        first = order[starts]
        count = np.add.reduceat(self.count[order], starts, dtype=np.int32)
        return self._with(first, count)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> "KeyCounts":
        """The keys at these rows."""
        return self._with(rows, self.count[rows])

    def _with(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice, count: NDArray[np.int32]) -> "KeyCounts":
        """The keys at these rows with other counts."""
        group = self.group[rows] if len(self.group) else self.group
        key, tenant, numeric = self.key[rows], self.tenant[rows], self.numeric[rows]
        return KeyCounts(key, tenant, count, numeric, self.levels, group, self.unit_bits)

    def of_tenants(self, who: NDArray[np.bool_]) -> "KeyCounts":
        """The keys of the tenants marked in ``who``. Tenants with a number beyond its end are not marked."""
        if not len(self):  # a sample may keep none
            return self._some(np.empty(0, np.intp), who)
        if (index := self.by_tenant()) is not None:
            return self._some(index.rows(np.flatnonzero(who)), who)
        tenant = self.tenant
        if int(tenant.max()) >= len(who):
            tenant, who = np.minimum(tenant, len(who)), np.append(who, False)
        return self._some(np.flatnonzero(who[tenant]), who)

    def by_tenant(self) -> "RowsByTenant | None":
        """The rows in the order of their tenants; None if there are few, or if they are asked for the first time."""
        if len(self) < _INDEXED:
            return None
        if not self._by_tenant:
            self._by_tenant.append(None)
            return None
        # Not the first time: the same keys are asked for again and again.
        index = self._by_tenant[0] = self._by_tenant[0] or RowsByTenant.of(self.tenant)
        return index

    def _some(self, rows: NDArray[np.integer], who: NDArray[np.bool_]) -> "KeyCounts":
        if not self.levels:
            return self.select(rows) if len(rows) else _NONE
        levels = {tenant: level for tenant, level in self.levels.items() if tenant < len(who) and who[tenant]}
        return replace(self.select(rows), levels=levels)

    def negated(self) -> "KeyCounts":
        """The same keys with negated counts, for subtraction."""
        return KeyCounts(self.key, self.tenant, -self.count, self.numeric, self.levels, self.group, self.unit_bits)

    def thinned(self, levels: dict[int, int]) -> "KeyCounts":
        """The keys that remain when the levels of the tenants are raised to ``levels``."""
        if not levels:
            return self
        by_tenant = np.zeros(max(int(self.tenant.max(initial=0)), *levels) + 1, np.uint64)
        by_tenant[list(levels)] = list(levels.values())
        kept = self.select(sampled(self.key, by_tenant[self.tenant], self.unit_bits))
        return replace(kept, levels={**self.levels, **levels})


_NONE = KeyCounts(np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.bool_))


def levels_of(pieces: Iterable[KeyCounts]) -> dict[int, int]:
    """The highest level of each tenant whose keys are sampled in any of these pieces."""
    levels: dict[int, int] = {}
    for piece in pieces:
        levels |= {tenant: max(level, levels.get(tenant, 0)) for tenant, level in piece.levels.items()}
    return levels


def keys_of(pieces: Sequence[KeyCounts], who: NDArray[np.bool_]) -> KeyCounts:
    """The distinct keys of the marked tenants in these pieces, ascending, with their counts added up."""
    return KeyCounts.joined([keys.of_tenants(who) for keys in pieces]).distinct()


def sampled(keys: U64, levels: U64, unit_bits: np.uint64 = NEIGHBOUR_BITS) -> NDArray[np.bool_]:
    """Which keys a sample at these levels keeps: those whose unit has a hash that begins with that many zero bits."""
    hashes = mix((keys >> unit_bits) ^ _SALT)
    kept: NDArray[np.bool_] = (levels == 0) | ((hashes >> (np.uint64(64) - np.maximum(levels, np.uint64(1)))) == 0)
    return kept


def level_for(keys: U64, at_least: int, most: int | None = None, unit_bits: np.uint64 = NEIGHBOUR_BITS) -> int:
    """The lowest level, at least ``at_least``, that keeps at most ``most`` of one tenant's distinct keys."""
    level, most = at_least, EXACT_KEYS if most is None else most
    while np.count_nonzero(sampled(keys, np.full(len(keys), level, np.uint64), unit_bits)) > most:
        level += 1
    return level
