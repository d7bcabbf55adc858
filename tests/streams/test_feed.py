"""The traffic generator: nothing is sent twice, left out or before its time, and the past's calls come last."""

import asyncio
from collections import Counter
from typing import Any, NamedTuple

from monitor.simulate.arrivals import CALLS, Arrivals
from monitor.simulate.run import Run
from monitor.simulate.settings import DAY_MS, HOUR_MS
from monitor.topics import INPUTS
from streams.feed import Feed, around

NOW_MS = 1_772_507_000_123


class Sent(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    at_ms: int


class World:
    """Time that passes when one sleeps, and a producer that writes down what it is given and when."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.sent: list[Sent] = []

    def clock_ms(self) -> int:
        return self.now_ms

    async def sleep(self, seconds: float) -> None:
        self.now_ms += max(1, round(seconds * 1000))

    async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[None]":
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
    feed = Feed(world, SETTINGS, "in.", world.clock_ms, world.sleep)
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
    await Feed(world, SETTINGS, "", world.clock_ms, world.sleep).past()
    calls = [sent.topic == INPUTS[CALLS] for sent in world.sent]
    assert calls == sorted(calls)
    assert 0 < sum(calls) < len(calls)


async def test_calls_come_in_the_order_of_their_arrival() -> None:
    world: Any = World()
    feed = Feed(world, SETTINGS, "", world.clock_ms, world.sleep)
    await feed.past()
    await feed.live()
    all_of_it = everything()
    calls = all_of_it.take(all_of_it.topic == CALLS)
    assert [sent.value for sent in world.sent if sent.topic == "cdr"] == [line.strip().encode() for line in calls.line]


async def test_a_record_that_was_not_acknowledged_is_not_counted_as_sent() -> None:
    class Deaf(World):
        async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[None]":
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_exception(ConnectionError("no broker"))
            return done

    world: Any = Deaf()
    feed = Feed(world, SETTINGS, "", world.clock_ms, world.sleep)
    try:
        await feed.past()
    except ConnectionError:
        assert not feed.sent
    else:
        raise AssertionError("the failure was swallowed")
