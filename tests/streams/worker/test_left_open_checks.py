"""The check for transactions that were left open: when it looks, and what it has opened again."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from streams.kafka.api import TP, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.worker.running import left_open
from streams.worker.running.left_open import LeftOpen, outputs_of

NAMES = TopicNames("in.", "out.")


class Logs:
    """A cluster with these first open offsets, and a clock that moves with each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: dict[TP, int] = {}
        self.looks = 0
        self.deleted = False
        self.opened: list[int] = []
        self.now_s = 100.0
        monkeypatch.setattr(left_open.asyncio, "get_running_loop", lambda: SimpleNamespace(time=lambda: self.now_s))
        context: Any = SimpleNamespace(names=NAMES, cluster=self)
        self.check = LeftOpen(context, lambda: [0, 3], self.opened.append).check

    async def high_watermarks(self, tps: Sequence[TP]) -> dict[TP, int]:
        self.looks += 1
        if self.deleted:
            raise PermanentError("there is no such topic")
        return dict.fromkeys(tps, 100)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return {tp: self.open.get(tp, 100) for tp in tps}

    def after(self, seconds: float) -> list[int]:
        self.now_s += seconds
        asyncio.run(self.check())
        return self.opened


def test_a_partition_is_opened_again_once_if_nothing_ends_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs(monkeypatch)
    logs.open = {TP("out.enforcement", 3): 17}
    assert [list(logs.after(6)) for _ in range(5)] == [[], [], [3], [3], [3]]
    logs.open = {TP("out.enforcement", 3): 50}
    assert [list(logs.after(6)) for _ in range(3)] == [[3], [3], [3, 3]]


def test_transactions_that_end_are_none_that_were_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs(monkeypatch)
    for offset in range(10):
        logs.open = {TP("out.state", 0): offset}
        assert logs.after(6) == []


def test_all_partitions_are_opened_again_for_the_topic_that_they_share(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs(monkeypatch)
    logs.open = {NAMES.owners: 2}
    assert [list(logs.after(6)) for _ in range(4)] == [[], [], [0, 3], [0, 3]]


def test_it_looks_rarely_and_leaves_deleted_topics_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs(monkeypatch)
    for _ in range(11):
        logs.after(1)
    assert logs.looks == 3
    logs.deleted = True
    assert logs.after(6) == []


def test_the_topics_are_all_that_a_transaction_of_a_partition_writes() -> None:
    names = {tp.topic.removeprefix("out.") for tp in outputs_of(NAMES, 0)}
    assert names == {"state", "clock", "enforcement", "shadow", "evidence", "measures", "alerts", "late", "dead-letter"}
