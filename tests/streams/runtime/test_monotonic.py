"""Ticks carry the broker's time. The clock is never ahead of the broker's, and no single tick moves it."""

import random

from streams.runtime.monotonic import BrokerClock, Moment


def ticked(clock: BrokerClock, at_ms: int, broker_ms: int, host_ms: int = 0, trip_ms: int = 10) -> None:
    clock.tick(Moment(host_ms, at_ms), Moment(host_ms + trip_ms, at_ms + trip_ms), broker_ms)


def test_the_time_is_never_ahead_of_the_brokers_clock() -> None:
    seed = random.randrange(1_000_000)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(200):
        clock, ahead_ms, steady_ms = BrokerClock(lambda: 0), rng.randrange(10**12), 0
        for _ in range(5):
            sent_ms, trip_ms = steady_ms, rng.randrange(3_000)
            stamped_ms = sent_ms + rng.randint(0, trip_ms)
            ticked(clock, sent_ms, stamped_ms + ahead_ms, trip_ms=trip_ms)
            steady_ms += trip_ms + rng.randrange(300_000)
            output = clock.at_ms(steady_ms)
            assert output is None or output <= steady_ms + ahead_ms


def test_one_tick_alone_moves_no_clock() -> None:
    clock = BrokerClock(lambda: 10_000)
    assert clock.at_ms(0) is None
    assert clock.rough_ms is None
    ticked(clock, 0, 1_000_000)
    assert clock.at_ms(10_000) is None
    assert clock.rough_ms == 1_000_000 + 9_990 - 9


def test_a_broker_that_is_hours_ahead_once_is_not_believed() -> None:
    clock = BrokerClock(lambda: 0)
    ticked(clock, 0, 1_000_000)
    ticked(clock, 30_000, 1_030_000)
    assert clock.settled
    ticked(clock, 60_000, 9_000_000)
    assert not clock.settled
    assert clock.at_ms(60_010) == 1_030_000 + 30_000 - 30
    ticked(clock, 90_000, 1_090_000)
    assert not clock.settled
    assert clock.at_ms(90_010) == 1_090_000


def test_a_broker_that_stays_ahead_is_believed_with_the_next_tick() -> None:
    clock = BrokerClock(lambda: 0)
    for n in range(3):
        ticked(clock, n * 30_000, 1_000_000 + n * 30_000 + (3_600_000 if n else 0))
    assert clock.settled
    assert clock.at_ms(60_010) == 1_060_000 + 3_600_000 - 30


def test_the_skew_is_what_the_way_of_a_tick_cannot_explain() -> None:
    for host_ms, skew_ms in ((1_000_000, 0), (999_500, 0), (1_007_000, 7_000), (990_000, -9_000)):
        clock = BrokerClock(lambda: 0)
        ticked(clock, 0, 1_000_000, host_ms=host_ms, trip_ms=1_000)
        assert clock.skew_ms == skew_ms
