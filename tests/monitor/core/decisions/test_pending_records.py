"""The queue of pending records, compared with a list that is searched."""

import random
from collections import defaultdict

import pytest

from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.decisions.pending_records import PendingRecords
from monitor.core.record_ref import RecordRef
from schemas.inputs import Complaint


def complaint(at_ms: int, source: int, offset: int) -> PendingRecord:
    record = Complaint(f"{source}-{offset}", "t", "fraud", "verified", at_ms, at_ms)
    return PendingRecord.of(record, at_ms, RecordRef(at_ms, source, offset, offset), b"{}")


@pytest.mark.parametrize("seed", range(20))
def test_records_leave_in_decision_order_and_each_source_knows_its_first(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    pending, waiting = PendingRecords(), list[PendingRecord]()
    offsets: defaultdict[int, int] = defaultdict(int)
    least_ms = 0
    for _ in range(400):
        if rng.random() < 0.55:
            source = rng.randrange(3)
            one = complaint(least_ms + rng.randrange(50), source, offsets[source])
            offsets[source] += 1
            pending.add(one)
            waiting.append(one)
        elif waiting:
            first = min(waiting)
            assert pending.pop() == first
            waiting.remove(first)
            least_ms = first.at_ms + 1
        if rng.random() < 0.1:  # as each snapshot asks
            of_source = {source: [one for one in waiting if one.ref.source == source] for source in offsets}
            expected = {
                source: (min(one.ref.offset for one in mine), min(mine, key=lambda one: one.ref.offset).ref.clock_ms)
                for source, mine in of_source.items()
                if mine
            }
            assert pending.waiting_since() == expected


def test_decided_records_are_not_kept() -> None:
    pending = PendingRecords()
    for offset in range(1_000):
        pending.add(complaint(offset, 0, offset))
    for _ in range(990):
        pending.pop()
    pending.add(complaint(1_000, 0, 1_000))
    assert len(pending._arrived[0]) == len(pending) == 11
