"""Markers are written one by one: what is read of a partition meanwhile is of one transaction, whole or not at all."""

import random

import pytest

from crash.broker import Broker
from crash.log import Record
from crash.memory import MemoryCluster
from crash.scenarios import NOON, steady_link
from crash.traffic import NAMES
from crash.virtual import VirtualClock, VirtualLoop, run
from streams.audit.partition import _ends_from
from streams.kafka.api import TP
from streams.topics.partition_state import PartitionState
from streams.topics.state_topic import OUTPUTS, part_of

STATE, ENFORCEMENT = (TP(NAMES.output(name), 0) for name in ("state", "enforcement"))


class Half:
    """A broker with a committed transaction that wrote to the state and to `enforcement`; ``later`` gets its marker
    after that time, the other at once.
    """

    def __init__(self, later: TP, after_s: float) -> None:
        self.loop = VirtualLoop()
        topics = dict.fromkeys([NAMES.output(name) for name in (*OUTPUTS, "state")], 1)
        broker = Broker(self.loop, VirtualClock(self.loop, NOON), random.Random(1), topics)
        txn = broker.begin("worker", broker.fence("worker"))
        for tp in (STATE, ENFORCEMENT):
            broker.produce("worker", txn, tp, [Record(b"key", b"value")])
            if tp != later:
                broker.logs[tp].mark(txn, True, NOON)
        self.loop.outside(after_s, lambda: broker.logs[later].mark(txn, True, NOON))
        self.cluster = MemoryCluster(steady_link(broker, self.loop, random.Random(2)))

    def part(self) -> PartitionState:
        found: PartitionState = run(self.loop, part_of(self.cluster, NAMES, 0))
        return found


def test_a_decision_whose_marker_is_not_written_yet_is_of_the_state_that_was_read() -> None:
    part = Half(ENFORCEMENT, 0.4).part()
    assert part.entries
    first, later = part.ends["enforcement"]
    assert (first, later) == (0, 1), "it is below the second offset"


@pytest.mark.parametrize(("after_s", "known"), [(0.4, True), (60.0, False)])
def test_a_state_whose_marker_is_not_written_yet_is_waited_for_unless_it_stays_open(
    after_s: float, known: bool
) -> None:
    half = Half(STATE, after_s)
    part = half.part()
    assert bool(part.entries) is known
    assert half.loop.time() < 5


def test_an_audit_reads_what_was_written_once_it_is_committed() -> None:
    half = Half(ENFORCEMENT, 0.4)
    ends = run(half.loop, _ends_from(half.cluster, {ENFORCEMENT: 1}))
    assert ends == {ENFORCEMENT: 2}
    half = Half(ENFORCEMENT, 60.0)
    assert run(half.loop, _ends_from(half.cluster, {ENFORCEMENT: 1})) == {ENFORCEMENT: 0}, "a dead worker's"
