"""An offset set equals a set, and takes few bytes however many offsets it has."""

import random

import numpy as np
import pytest

from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.offsets.offset_set import OffsetSet
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import load
from schemas import codec
from schemas.examples import EXAMPLES

T0 = 1_790_000_000_000


@pytest.mark.parametrize("seed", range(20))
def test_they_are_those_of_a_set(seed: int) -> None:
    """Added in order or repeatedly, dropped from the front, stored and read."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    known, offsets, at = set[int](), OffsetSet(), 1_000_000
    for _ in range(40):
        some = sorted(rng.sample(range(at, at + 50), rng.randrange(20)))
        offsets.add(np.array(some, np.int64))
        known.update(some)
        at += rng.choice((-60, -10, 50, 50, 50))
        if rng.random() < 0.3:
            before = at - rng.randrange(300)
            offsets.forget(before)
            known = {one for one in known if one >= before}
        if rng.random() < 0.3:
            offsets = OffsetSet.decode(offsets.encode())
        asked = np.array(sorted(rng.sample(range(at - 200, at + 100), 60)), np.int64)
        assert offsets.among(asked).tolist() == [one in known for one in asked.tolist()]
        assert len(offsets) == len(known)


def test_a_call_that_is_sent_again_and_again_does_not_fill_the_stored_head() -> None:
    """The head is written with each transaction."""
    partition = StreamTask(load(None), live=DecidingSettings(max_ahead_ms=0), sources=1)
    value = codec.encode(EXAMPLES["cdr"])
    count = 50_000
    offsets = np.arange(count)
    partition.feed(0, RecordBatch(0, count, offsets, np.full(count, 4 * T0), [value] * count))
    assert len(partition.sources._positions[0].duplicates) == count - 1
    (head,) = [blob for key, blob in partition.snapshot() if key == "head/0"]
    assert head is not None
    assert len(head) < 5_000
