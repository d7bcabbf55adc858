"""Decisions of two workers are compared up to the time that both have reached, tenant by tenant."""

import random
from typing import Any

from monitor.partition.partitioner import partition_of
from streams.topics.progress import DecidedEvents, until_both

FIRST, SECOND = (next(name for name in "abcdefgh" if partition_of(name.encode(), 2, "murmur2") == n) for n in (0, 1))


def event(at_ms: int, tenant: str = FIRST) -> dict[str, Any]:
    return {"id": f"e{at_ms}", "subject": tenant, "data": {"decided_ms": at_ms}}


def test_a_partition_is_compared_up_to_where_the_slower_of_both_has_judged_it() -> None:
    a = DecidedEvents([*map(event, (5, 10, 20)), event(25, SECOND)], [30, 40])
    b = DecidedEvents([], [20, 40])
    until_ms = until_both(a, b)
    assert until_ms == [20, 40]
    # At the very instant of a watermark windows are decided, and records are not yet.
    assert [e["id"] for e in a.between(0, until_ms)] == ["e5", "e10", "e25"]
    assert [e["id"] for e in a.between(10, until_ms)] == ["e10", "e25"]


def test_a_partition_that_one_has_not_begun_is_not_compared() -> None:
    a, b = DecidedEvents([event(5)], [30]), DecidedEvents([], [0])
    assert a.between(0, until_both(a, b)) == []


def test_of_other_counts_of_partitions_each_tenant_is_compared_by_its_own_in_either() -> None:
    for seed in range(200):
        print("seed", seed)
        rng = random.Random(seed)
        counts = rng.randint(1, 16), rng.randint(1, 16)
        partitioner = rng.choice(("murmur2", "crc32"))
        tenants = [f"t{n}" for n in range(20)]
        events = [event(rng.randrange(1_000), tenant) for tenant in tenants for _ in range(5)]
        a, b = (DecidedEvents(events, [rng.randrange(1_000) for _ in range(count)], partitioner) for count in counts)
        wanted = [
            one
            for one in events
            if all(
                one["data"]["decided_ms"] < side.judged_ms[partition_of(one["subject"].encode(), count, partitioner)]
                for side, count in zip((a, b), counts, strict=True)
            )
        ]
        assert a.between(0, until_both(a, b)) == b.between(0, until_both(a, b)) == wanted
