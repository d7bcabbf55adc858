"""One partition of `callwarden.raw`, fed as its owner feeds it: records, dead letters, state, ticks, and restarts."""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.call_log import RawRecord, given_by, tccc_record, telnyx_event
from monitor.adapters.assembly.assembler import AssemblyLimits
from monitor.partition.record_batch import UnreadableRecord
from streams.ingest.assemble import raw_partition
from streams.ingest.assemble.feeds import Feeds, UnknownFeed
from streams.ingest.assemble.raw_partition import AssemblyHost, RawPartition
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.ingest.placement import TopicPlacement
from streams.ingest.raw_events import TICK, event_key
from streams.kafka.api import TP, FetchedBatch, PermanentError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames

START = 1_772_415_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
RAW, STATE = TP("callwarden.raw", 1), TP("callwarden.raw-state", 1)


class Topics:
    """The topics of one partition: its log, and its state."""

    def __init__(self, folder: Path, limits: AssemblyLimits | None = None) -> None:
        self.sources = folder / "sources.yaml"
        self.sources.write_text("sources:\n- name: telnyx\n- {name: other, format: telnyx}\n", "utf-8")
        self.limits = limits or AssemblyLimits()
        self.feeds = Feeds(ForeignSources(self.sources), self.limits)
        self.log: list[RawRecord] = []
        self.state: list[tuple[bytes, bytes | None]] = []
        self.written: list[OutputRecord] = []
        self.transactions: list[int] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.now_s = 0.0
        self.placement = TopicPlacement(TopicNames(), "murmur2")
        asyncio.run(self.placement.refresh(self))  # type: ignore[arg-type]

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 2)

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, len(self.state))

    async def read(self, tp: TP, start: int, stop: int) -> Any:
        assert tp == STATE
        keys, values = [key for key, _ in self.state], [value for _, value in self.state]
        yield FetchedBatch(start, stop, np.arange(stop), np.zeros(stop, np.int64), keys, values)

    def write(self, value: bytes, timestamp_ms: int, feed: str = "telnyx") -> None:
        """As the ingest service writes an event."""
        (row,) = self.feeds.adapter("telnyx").events(value)
        assert row.event is not None
        self.append(event_key(feed, row.event), row.value, timestamp_ms)

    def append(self, key: bytes | None, value: bytes | None, timestamp_ms: int) -> None:
        self.log.append(RawRecord(len(self.log), timestamp_ms, key, value))

    def opened(self) -> RawPartition:
        """The partition in a process that has just taken it over."""
        host = AssemblyHost(
            self,  # type: ignore[arg-type]
            self.feeds,
            self.placement,
            STATE.topic,
            "callwarden.late",
            5.0,
            self.counts.update,
            lambda: self.now_s,
        )
        partition = RawPartition(RAW, host)
        asyncio.run(partition.restore())
        return partition

    def batch(self, start: int, stop: int | None = None) -> FetchedBatch:
        some = self.log[start:stop]
        stop = start + len(some)
        times = np.array([each.timestamp_ms for each in some], np.int64)
        return FetchedBatch(start, stop, np.arange(start, stop), times, [e.key for e in some], [e.value for e in some])

    def commit(self, partition: RawPartition) -> None:
        """The transaction of what was fed."""
        outs = partition.take()
        self.state += [(out.key or b"", out.value) for out in outs if out.topic == STATE.topic]
        self.written += [out for out in outs if out.topic != STATE.topic]
        self.transactions.append(sum(len(out.value or b"") for out in outs))
        partition.committed()

    def run(self, partition: RawPartition, start: int, stop: int | None = None) -> int:
        """Feed and commit, as an owner does. Returns the offset after it."""
        batch = self.batch(start, stop)
        while True:
            fed = partition.feed(batch)
            self.commit(partition)
            if fed.position >= batch.stop and not fed.more:
                return batch.stop
            batch = batch.after(fed.position)

    def records(self) -> list[bytes]:
        return [each.value or b"" for each in self.written if each.topic == "callwarden.cdr"]

    def letters(self) -> list[tuple[bytes, str]]:
        letters = [each for each in self.written if each.topic == "callwarden.dead-letter"]
        return [(each.value or b"", dict(each.headers)["reason"].decode()) for each in letters]

    def must_be_the_log(self) -> None:
        adapters = {name: self.feeds.adapter(name) for name in ("telnyx", "other")}
        given = given_by(self.log, adapters, self.limits)
        assert (self.records(), self.letters()) == (given.records, given.letters)


@pytest.fixture
def topics(tmp_path: Path) -> Topics:
    return Topics(tmp_path)


def call(number: int, begin_ms: int = 0, talk_ms: int = 5 * SECOND) -> list[tuple[bytes, int]]:
    """The events of an answered call, each with the time at which it happens."""
    begin_ms += START
    moments = [("initiated", 0), ("answered", 8 * SECOND), ("hangup", 8 * SECOND + talk_ms)]
    return [(telnyx_event(kind, begin_ms + ms, f"c-{number}", "acme"), begin_ms + ms) for kind, ms in moments]


def test_a_call_of_two_hours_is_one_record_while_others_come_and_go(topics: Topics) -> None:
    events = [*call(0, talk_ms=2 * HOUR), *(each for n in range(1, 120) for each in call(n, n * MINUTE))]
    for value, at_ms in sorted(events, key=lambda each: each[1]):
        topics.write(value, at_ms)
    at = 0
    while at < len(topics.log):  # every transaction in another process
        at = topics.run(topics.opened(), at, at + 13)
    topics.append(None, TICK, START + 3 * HOUR)
    topics.run(topics.opened(), at)
    found = [json.loads(each) for each in topics.records()]
    assert len(found) == 120
    (long,) = (each for each in found if each["call_id"] == "c-0")
    assert long["end_ms"] - long["answer_ms"] == 2 * HOUR
    topics.must_be_the_log()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_events_of_a_call_may_come_in_every_order_and_each_in_another_process(
    topics: Topics, order: tuple[int, ...]
) -> None:
    events = call(1)
    for n in order:
        topics.write(events[n][0], START + MINUTE)
    topics.append(None, TICK, START + 2 * MINUTE)
    for n in range(4):
        topics.run(topics.opened(), n, n + 1)
    (record,) = topics.records()
    assert json.loads(record)["answer_ms"] == START + 8 * SECOND
    assert topics.counts == {("event", "accepted"): 3, ("call", "record"): 1}


def test_an_event_of_the_year_2099_is_a_dead_letter_and_moves_nothing(topics: Topics) -> None:
    begin, answer, end = call(1)
    far = telnyx_event("hangup", 4_080_000_000_000, "c-1", "acme")
    topics.write(*begin)
    topics.write(far, begin[1])
    topics.write(*answer)
    topics.write(*end)
    partition = topics.opened()
    topics.run(partition, 0)
    assert partition.clock_ms == end[1]
    ((value, reason),) = topics.letters()
    assert value == far
    assert reason.startswith("future_event: time: expected at most 5m after its timestamp")
    (letter,) = topics.written
    origin = {"topic": b"callwarden.raw", "partition": b"1", "offset": b"1", "assemble": b"telnyx"}
    assert dict(letter.headers) == {"reason": reason.encode(), **origin}
    topics.append(None, TICK, end[1] + MINUTE)
    topics.run(partition, 4)
    assert json.loads(topics.records()[0])["end_ms"] == end[1]
    assert topics.counts["event", "future_event"] == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_calls_that_end_at_once_are_written_in_transactions_of_bounded_size(
    topics: Topics, restarts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a quarter of the size that they have otherwise, so that a quarter of the calls suffices."""
    assert raw_partition._MOST_BYTES <= 4 << 20
    monkeypatch.setattr(raw_partition, "_MOST_BYTES", raw_partition._MOST_BYTES // 4)
    for n in range(3_750):
        topics.write(telnyx_event("initiated", START, f"c-{n}", f"t{n % 9}"), START)
    partition = topics.opened()
    at = topics.run(partition, 0)
    topics.transactions.clear()
    topics.append(None, TICK, START + HOUR)
    batch, more = topics.batch(at), True
    while more:
        partition = topics.opened() if restarts else partition
        fed = partition.feed(batch)
        topics.commit(partition)
        batch, more = batch.after(fed.position), fed.more
    assert len(topics.transactions) > 2
    assert max(topics.transactions) < 2 << 20
    topics.must_be_the_log()


def test_a_call_without_a_record_is_a_dead_letter_of_its_columns(topics: Topics) -> None:
    value, at_ms = call(1)[2]
    topics.write(value, at_ms)
    topics.append(None, TICK, at_ms + HOUR)
    topics.run(topics.opened(), 0)
    ((content, reason),) = topics.letters()
    assert reason.startswith("incomplete: expected an event that opens the call, initiated, got none")
    assert "c-1" in json.loads(content).values()
    assert dict(topics.written[0].headers)["offsets"] == b"0"
    assert topics.counts == {("event", "accepted"): 1, ("call", "incomplete"): 1}


@pytest.mark.parametrize(
    ("key", "value"), [(None, b"{}"), (b"text", b"{}"), (b'["telnyx","c-1"]', None), (b"\xff", b"")]
)
def test_a_record_of_another_program_steps_aside_alone(topics: Topics, key: bytes | None, value: bytes | None) -> None:
    topics.append(key, value, START)
    for event in call(1):
        topics.write(*event)
    topics.append(None, TICK, START + HOUR)
    topics.run(topics.opened(), 0)
    assert len(topics.records()) == 1
    ((_, reason),) = topics.letters()
    assert reason == "malformed_row: expected an event under its source and call, as the ingest service writes it"
    assert topics.counts["event", "malformed_row"] == 1


def test_an_event_that_its_mapping_cannot_read_any_more_steps_aside(topics: Topics) -> None:
    topics.append(b'["telnyx","c-1"]', b'{"data": {"event_type": "call.initiated", "payload": {}}}', START)
    topics.append(b'["telnyx","c-1"]', b'{"data": {"event_type": "call.spoken"}}', START)
    topics.run(topics.opened(), 0)
    assert [reason.partition(":")[0] for _, reason in topics.letters()] == ["missing_field"]
    assert topics.counts == {("event", "missing_field"): 1, ("event", "excluded"): 1}


def test_a_damaged_record_steps_aside_alone(topics: Topics) -> None:
    topics.write(*call(1)[0])
    batch = topics.batch(0)
    unreadable = {0: UnreadableRecord("damaged: its checksum is wrong")}
    batch = FetchedBatch(0, 1, batch.offsets, batch.timestamps_ms, [None], [b"?"], unreadable)
    partition = topics.opened()
    partition.feed(batch)
    topics.commit(partition)
    assert topics.letters() == [(b"?", "damaged: its checksum is wrong")]


def test_events_of_an_unknown_source_wait_for_it_and_hold_nothing_back_that_came_before(topics: Topics) -> None:
    for event in call(1):
        topics.write(*event)
    topics.append(None, TICK, START + HOUR)
    topics.write(*call(2)[0], feed="added")
    topics.write(*call(3)[0])
    partition = topics.opened()
    assert partition.feed(topics.batch(0)).position == 4
    topics.commit(partition)
    assert len(topics.records()) == 1
    with pytest.raises(UnknownFeed, match="the source 'added', and there is no such source; expected its entry"):
        partition.feed(topics.batch(4))
    topics.sources.write_text(topics.sources.read_text("utf-8") + "- {name: added, format: telnyx}\n", "utf-8")
    partition = topics.opened()
    assert topics.run(partition, 4) == 6
    assert partition.open_calls == 2


def test_a_source_that_was_removed_holds_back_nothing_unless_it_has_open_calls(topics: Topics) -> None:
    topics.write(*call(1)[0], feed="other")
    topics.run(topics.opened(), 0)
    topics.sources.write_text("sources:\n- name: telnyx\n", "utf-8")
    topics.feeds = Feeds(ForeignSources(topics.sources), topics.limits)
    with pytest.raises(UnknownFeed, match="'other'"):
        topics.opened()
    topics.sources.write_text("sources:\n- {name: other, format: telnyx}\n", "utf-8")
    topics.append(None, TICK, START + HOUR)
    topics.run(topics.opened(), 1)
    topics.sources.write_text("sources:\n- name: telnyx\n", "utf-8")
    topics.feeds = Feeds(ForeignSources(topics.sources), topics.limits)
    assert topics.opened().open_calls == 0


def test_a_source_whose_rows_are_records_is_no_source_of_events(topics: Topics) -> None:
    topics.write(*call(1)[0], feed="tccc")
    with pytest.raises(UnknownFeed, match="the rows of its format are records"):
        topics.opened().feed(topics.batch(0))


def test_a_state_that_cannot_be_read_stops_the_partition(topics: Topics) -> None:
    topics.state.append((b'["telnyx","c-1"]', b'["another",1]'))
    with pytest.raises(PermanentError, match=r"callwarden\.raw-state-1: the open calls cannot be read"):
        topics.opened()


def test_a_tick_is_written_when_a_call_is_due_and_no_oftener(topics: Topics) -> None:
    partition = topics.opened()
    assert partition.idle_after_s is None  # no call is open
    topics.write(*call(1)[0])
    at = topics.run(partition, 0)
    assert partition.idle_after_s == 5.0
    tick = partition.idle()
    assert tick == OutputRecord("callwarden.raw", 1, None, TICK)
    topics.append(None, TICK, START + 5 * SECOND)  # the broker's time is known from here on
    topics.now_s = 5.0
    at = topics.run(partition, at)
    topics.now_s = 179.0
    assert partition.idle() is None
    topics.now_s = 181.0
    assert partition.idle() == tick
    topics.append(None, TICK, START + 181 * SECOND)
    topics.run(partition, at)
    assert len(topics.records()) == 1
    assert partition.idle_after_s is None


@pytest.mark.parametrize("seed", range(8))
def test_the_batches_and_restarts_change_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    print("seed", seed)
    topics = Topics(tmp_path, AssemblyLimits(open_calls=20, open_calls_per_tenant=15))
    events = [(*each, rng.choice(("telnyx", "other"))) for n in range(60) for each in call(n, rng.randrange(MINUTE))]
    for value, at_ms, feed in sorted(events, key=lambda each: each[1] + rng.randrange(9 * SECOND)):
        topics.write(value, at_ms, feed)
        if rng.random() < 0.1:
            topics.append(None, TICK, at_ms + rng.randrange(SECOND))
    topics.append(None, TICK, START + HOUR)
    at, partition = 0, topics.opened()
    while at < len(topics.log):
        if rng.random() < 0.3:
            partition.feed(topics.batch(at, at + rng.randint(1, 9)))  # dies before its transaction
            partition = topics.opened()
        at = topics.run(partition, at, at + rng.randint(1, 20))
    topics.must_be_the_log()


def test_of_the_versions_of_a_call_one_is_written_and_one_that_comes_later_is_late(topics: Topics) -> None:
    topics.sources.write_text("sources:\n- {name: held, format: tccc, set: {settle: 30s}}\n", "utf-8")
    adapter = topics.feeds.adapter("held")

    def write(value: bytes, timestamp_ms: int) -> None:
        (row,) = adapter.events(value)
        assert row.event is not None
        topics.append(event_key("held", row.event), row.value, timestamp_ms)

    write(tccc_record(START, "s-1", "acme"), START)
    write(tccc_record(START, "s-1", "acme", "recording"), START + SECOND)
    topics.append(None, TICK, START + MINUTE)
    write(tccc_record(START, "s-1", "acme", "another"), START + HOUR)
    for n in range(4):
        partition = topics.opened()
        topics.run(partition, n, n + 1)
    (record, late) = topics.written
    assert (record.topic, late.topic) == ("callwarden.cdr", "callwarden.late")
    assert (late.key, late.partition) == (record.key, record.partition)
    assert dict(late.headers)["offset"] == b"3"
    superseded = {("event", "superseded"): 1, ("event", "superseded_late"): 1}
    assert topics.counts == {("event", "accepted"): 2, ("call", "record"): 1, **superseded}


def test_calls_that_are_held_are_written_once_their_source_holds_none_any_more(topics: Topics) -> None:
    text = "sources:\n- {name: held, format: tccc, set: {settle: 30s}}\n"
    topics.sources.write_text(text, "utf-8")
    for call in ("s-1", "s-2"):
        (row,) = topics.feeds.adapter("held").events(tccc_record(START, call, "acme"))
        assert row.event is not None
        topics.append(event_key("held", row.event), row.value, START)
    topics.run(topics.opened(), 0, 1)
    assert topics.records() == []
    topics.sources.write_text(text.replace("30s", "0s"), "utf-8")
    topics.feeds = Feeds(ForeignSources(topics.sources), topics.limits)
    topics.run(topics.opened(), 1, 2)
    assert sorted(json.loads(record)["call_id"] for record in topics.records()) == ["s-1", "s-2"]


def test_versions_under_the_name_of_a_format_wait_for_an_entry_that_says_how_long_calls_are_held(
    topics: Topics,
) -> None:
    topics.append(b'["tccc","s-1","acme"]', tccc_record(START, "s-1", "acme"), START)
    with pytest.raises(UnknownFeed, match="or whose calls are held by `settle`"):
        topics.run(topics.opened(), 0, 1)
