"""The traffic generator: no record is sent twice, left out or early, and past calls come last."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pytest

from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from monitor.simulate.arrivals import CALLS, Arrivals
from monitor.simulate.run import Run
from monitor.simulate.settings import DAY_MS, HOUR_MS
from streams.dev.traffic import MARK, TrafficFeed, around, hours_of
from streams.kafka.produce.keyed_producer import placed_by

Headers = list[tuple[str, bytes]]
NOW_MS = 1_772_507_000_123


class Sent(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    at_ms: int


class World:
    """Time that advances with sleeps, and a producer that records what it is sent and when."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.sent: list[Sent] = []

    def clock_ms(self) -> int:
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        self.now_ms += max(1, round(seconds * 1000))

    async def send(self, topic: str, value: bytes, key: bytes, headers: Headers) -> "asyncio.Future[None]":
        assert headers == [MARK]
        self.sent.append(Sent(topic, key, value, self.now_ms))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


SETTINGS = around(NOW_MS, tenants=30, days=2, seed=5, rate=0.05, lateness_ms=10_000)


def everything() -> Arrivals:
    return Arrivals.joined(list(Run(SETTINGS).hours()))


def test_the_first_day_ends_at_the_present() -> None:
    print("seed", SETTINGS.seed)
    assert 0 <= NOW_MS - DAY_MS - SETTINGS.start_ms < HOUR_MS
    assert SETTINGS.calls_per_day == 4_320


async def test_every_record_is_sent_once_under_its_tenant_and_none_before_it_arrives() -> None:
    world: Any = World()
    feed = TrafficFeed(world, SETTINGS, "in.", clock_ms=world.clock_ms, sleep=world.sleep)
    await feed.past()
    past = len(world.sent)
    await feed.live()
    all_of_it = everything()
    expected = Counter(
        (f"in.{INPUTS[topic]}", tenant.encode(), line.strip().encode())
        for topic, tenant, line in zip(all_of_it.topic, all_of_it.tenant, all_of_it.line, strict=True)
    )
    assert Counter((sent.topic, sent.key, sent.value) for sent in world.sent) == expected
    assert feed.sent == Counter(INPUTS[topic] for topic in all_of_it.topic.tolist())
    arrives = {}
    for arrival, line in zip(all_of_it.arrival_ms.tolist(), all_of_it.line, strict=True):
        arrives.setdefault(line.strip().encode(), arrival)
    assert max(arrives[sent.value] for sent in world.sent[:past]) < NOW_MS <= world.sent[past].at_ms
    early = [sent for sent in world.sent[past:] if sent.at_ms < arrives[sent.value]]
    assert early == []


async def test_no_call_of_the_past_is_sent_before_a_record_whose_clock_would_hold_it_back() -> None:
    world: Any = World()
    await TrafficFeed(world, SETTINGS, "", clock_ms=world.clock_ms, sleep=world.sleep).past()
    calls = [sent.topic == INPUTS[CALLS] for sent in world.sent]
    assert calls == sorted(calls)
    assert 0 < sum(calls) < len(calls)


async def test_calls_come_in_the_order_of_their_arrival() -> None:
    world: Any = World()
    feed = TrafficFeed(world, SETTINGS, "", clock_ms=world.clock_ms, sleep=world.sleep)
    await feed.past()
    await feed.live()
    all_of_it = everything()
    calls = all_of_it.take(all_of_it.topic == CALLS)
    assert [sent.value for sent in world.sent if sent.topic == "cdr"] == [line.strip().encode() for line in calls.line]


async def test_a_record_that_was_not_acknowledged_is_not_counted_as_sent() -> None:
    class Deaf(World):
        async def send(self, topic: str, value: bytes, key: bytes, headers: Headers) -> "asyncio.Future[None]":
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_exception(ConnectionError("no broker"))
            return done

    world: Any = Deaf()
    feed = TrafficFeed(world, SETTINGS, "", clock_ms=world.clock_ms, sleep=world.sleep)
    try:
        await feed.past()
    except ConnectionError:
        assert not feed.sent
    else:
        raise AssertionError("the failure was swallowed")


async def test_without_an_end_one_run_follows_the_other_in_the_order_of_arrival() -> None:
    class Enough(Exception):
        pass

    class Mortal(World):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.now_ms > SETTINGS.end_ms + 30 * HOUR_MS:
                raise Enough

    world: Any = Mortal()
    feed = TrafficFeed(world, SETTINGS, "", endless=True, clock_ms=world.clock_ms, sleep=world.sleep)
    await feed.past()
    with pytest.raises(Enough):
        await feed.live()
    sent = [(each.at_ms, json.loads(each.value)) for each in world.sent if each.topic == "cdr"]
    by_day = Counter((call["start_ms"] - SETTINGS.start_ms) // DAY_MS for _, call in sent)
    assert sorted(by_day) == [0, 1, 2, 3]
    assert min(by_day.values()) > 500
    used = Counter((call["tenant_id"], call["call_id"]) for _, call in sent)
    assert sum(count > 1 for count in used.values()) < len(used) / 100, "the second run's ids are those of the first"
    behind_ms = sorted(at_ms - call["end_ms"] for at_ms, call in sent if call["start_ms"] > SETTINGS.end_ms)
    assert behind_ms[len(behind_ms) * 99 // 100] < SETTINGS.lateness_ms + 5_000, "it waited for the first to end"


def test_what_a_run_leaves_over_for_hours_arrives_among_the_records_of_the_next() -> None:
    slow = replace(SETTINGS, days=1, lateness_ms=2 * HOUR_MS, late_share=0.4)
    two_days = list(islice(hours_of(slow, endless=True), 48))
    # Except registrations, which belong to the hour before a run.
    calls = np.concatenate([hour.arrival_ms[hour.topic == CALLS] for hour in two_days])
    assert (np.diff(calls) >= 0).all()
    *_, left_over = Run(slow).hours()
    assert max(left_over.arrival_ms) > slow.end_ms + HOUR_MS, "nothing is put to the test"
    lines = Counter(line for hour in two_days for line in hour.line)
    assert all(lines[line] for line in left_over.line)


def test_keys_go_where_the_workers_expect_them() -> None:
    for partitioner in ("murmur2", "crc32"):
        place = placed_by(partitioner)
        keys = [f"t{number}".encode() for number in range(100)]
        assert [place(key, range(7), range(7)) for key in keys] == [partition_of(key, 7, partitioner) for key in keys]
