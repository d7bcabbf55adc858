"""What is looked at for transactions that were left open, and when they are ended."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from streams.kafka.api import TP
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.worker.running.left_open import LeftOpen, open_at, outputs_of

NAMES = TopicNames("in.", "out.")
ENFORCEMENT, STATE = TP("out.enforcement", 3), TP("out.state", 3)


class Partition:
    """One that runs, and what it was asked to end."""

    def __init__(self) -> None:
        self.ended: list[list[TP]] = []

    def end_left_open(self, tps: Sequence[TP]) -> None:
        self.ended.append([*tps])


def looks(running: dict[int, Any]) -> LeftOpen:
    context: Any = SimpleNamespace(names=NAMES, cluster=None)
    return LeftOpen(context, lambda: running)


def test_what_stays_open_is_ended_once_and_then_ever_more_rarely() -> None:
    mine, other = Partition(), Partition()
    left = looks({4: other, 3: mine})
    at_s = []
    for now_s in range(0, 400, 5):
        before = len(mine.ended)
        left.end({ENFORCEMENT: 17, STATE: 5}, now_s)
        at_s += [now_s] * (len(mine.ended) - before)
    assert at_s == [10, 30, 70, 150, 310]
    assert mine.ended[0] == [ENFORCEMENT, STATE]
    assert other.ended == []


def test_transactions_that_end_are_none_that_were_left_open() -> None:
    mine = Partition()
    left = looks({3: mine})
    for now_s in range(0, 100, 5):
        left.end({STATE: now_s}, now_s)
        left.end({}, now_s + 1)
        left.end({ENFORCEMENT: 17} if now_s % 10 else {}, now_s + 2)
    assert mine.ended == []


def test_a_partition_is_asked_once_it_runs() -> None:
    mine, running = Partition(), dict[int, Partition]()
    left = looks(running)
    left.end({ENFORCEMENT: 17}, 0)
    left.end({ENFORCEMENT: 17}, 20)
    running[3] = mine
    left.end({ENFORCEMENT: 17}, 25)
    assert mine.ended == [[ENFORCEMENT]]


async def test_what_is_committed_during_a_look_is_not_taken_for_open() -> None:
    class Growing:
        end = 0

        async def high_watermarks(self, tps: Sequence[TP]) -> dict[TP, int]:
            self.end += 2
            return dict.fromkeys(tps, self.end)

        ends = high_watermarks

    cluster: Any = Growing()
    assert await open_at(cluster, [STATE]) == {}


def test_the_topics_are_all_that_a_partition_alone_writes() -> None:
    assert {tp.topic for tp in outputs_of(NAMES, 3)} == {NAMES.output(name) for name in OUTPUTS} - {"out.control"}
    assert {tp.partition for tp in outputs_of(NAMES, 3)} == {3}
