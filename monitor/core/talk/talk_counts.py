"""Talk counts: how many answered calls of each tenant have a talk time in each bucket."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.core.talk.buckets import BUCKETS, buckets_of

_TRUE = np.ones(1, np.bool_)
_BUCKET_BITS = BUCKETS.bit_length()


@dataclass(frozen=True, slots=True)
class TalkCounts:
    """Pairs of ``tenant`` and ``bucket``, with their ``count`` of calls; every column is ``[k]``.

    The pairs ascend and are distinct, except in the result of `joined`. A tenant has at most `BUCKETS` pairs, however
    many calls it makes.
    """

    tenant: NDArray[np.int32]
    bucket: NDArray[np.uint16]
    count: NDArray[np.signedinteger]

    def __len__(self) -> int:
        return len(self.tenant)

    @classmethod
    def empty(cls) -> "TalkCounts":
        """No calls."""
        return cls(np.empty(0, np.int32), np.empty(0, np.uint16), np.empty(0, np.int32))

    @classmethod
    def of_groups(
        cls, group: NDArray[np.integer], talk_ms: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.int32]]:
        """The distinct pairs of group and bucket of these calls, ascending, and the number of calls of each."""
        key = group.astype(np.int64) << _BUCKET_BITS | buckets_of(talk_ms)
        key.sort()
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.intp)
        count = np.diff(starts, append=len(key)).astype(np.int32)
        key = key[starts]
        return key >> _BUCKET_BITS, (key & (1 << _BUCKET_BITS) - 1).astype(np.uint16), count

    @classmethod
    def joined(cls, parts: Sequence["TalkCounts"]) -> "TalkCounts":
        """Concatenate the parts. Pairs may repeat."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.tenant for part in parts]),
            np.concatenate([part.bucket for part in parts]),
            np.concatenate([part.count for part in parts], dtype=np.int32),
        )

    def distinct(self) -> "TalkCounts":
        """Each pair once, ascending, with its counts added up. Pairs that occur 0 times are left out."""
        if not len(self):
            return self
        key = self.tenant.astype(np.int64) << _BUCKET_BITS | self.bucket
        order = np.argsort(key, kind="stable")  # fast: the parts are ascending runs
        key = key[order]
        starts = np.concatenate([_TRUE, key[1:] != key[:-1]]).nonzero()[0]
        count = np.add.reduceat(self.count[order], starts, dtype=np.int32)
        first = order[starts]
        if not count.all():
            first, count = first[count != 0], count[count != 0]
        return TalkCounts(self.tenant[first], self.bucket[first], count)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "TalkCounts":
        """The pairs at these rows."""
        return TalkCounts(self.tenant[rows], self.bucket[rows], self.count[rows])

    def of_tenants(self, who: NDArray[np.intp]) -> "TalkCounts":
        """The pairs of the tenants ``who``, ascending. The cost depends on these tenants, not on all pairs."""
        sought = who.astype(np.int32)
        first = self.tenant.searchsorted(sought)
        counts = self.tenant.searchsorted(sought, "right") - first
        ends = counts.cumsum()
        return self.select(np.repeat(first - ends + counts, counts) + np.arange(ends[-1] if len(who) else 0))

    def negated(self) -> "TalkCounts":
        """The same pairs with negated counts, for subtraction."""
        return TalkCounts(self.tenant, self.bucket, -self.count.astype(np.int32))

    def compact(self) -> "TalkCounts":
        """The same pairs at the narrowest dtype of the counts."""
        if not len(self):
            return self
        return TalkCounts(self.tenant, self.bucket, self.count.astype(np.min_scalar_type(-1 - int(self.count.max()))))
