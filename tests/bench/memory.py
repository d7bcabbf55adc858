"""Memory: the bytes that a shard holds, part by part, counted object by object."""

import gc
import sys
import types
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from monitor.core.shard import Shard

_SKIPPED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def parts_of(shard: Shard) -> dict[str, int]:
    """Bytes of each part of a shard; shared objects count for the first part, the policy for none."""
    windows = shard.windows
    sliding = windows.sliding
    distinct_counts = [counts for window in sliding for counts in window.distinct.values()]
    seen: set[int] = set()
    size_of([shard.policy, shard.layout], seen)
    return {
        "tenant ids": size_of([shard.tenant_numbers], seen),
        "keys of stored panes": size_of([windows._store], seen),
        "open panes": size_of([shard.open_panes], seen),
        "deduplication": size_of([shard.dedup], seen),
        "running sums and closed panes": size_of(
            [*(window.running_sums for window in sliding), windows._hour, windows.closed], seen
        ),
        "distinct counts": size_of(distinct_counts, seen),
        "talk times": size_of([window.talk for window in sliding if window.talk], seen),
        "evidence": size_of([windows.evidence], seen),
        "records other than calls": size_of(
            [shard.tenant_records, shard.pending_records, shard.record_handlers, shard.decisions], seen
        ),
        "other": size_of([shard], seen),
    }


def size_of(objects: Iterable[Any], seen: set[int]) -> int:
    """Bytes of these objects and all that they hold, without those in ``seen``, to which they are added."""
    size = 0
    waiting = list(objects)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SKIPPED):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)
        if isinstance(one, np.ndarray):
            if one.base is not None:
                waiting.append(one.base)  # a view has no data of its own, and keeps its whole base alive
            elif one.dtype == object:
                waiting.extend(one.tolist())
        elif isinstance(one, msgspec.Struct):
            waiting.extend(getattr(one, name) for name in one.__struct_fields__)
        else:
            waiting.extend(gc.get_referents(one))
    return size
