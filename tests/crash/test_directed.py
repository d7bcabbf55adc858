"""Single courses of events, to which random schedules are blind or which have an end of their own."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from crash import judge
from crash.broken import MOVES_NOT_IN_THE_HEAD, OLD_MEMORY_KEPT, broken
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.traffic import NAMES, Arrival
from crash.virtual import run
from crash.world import Worker, World
from monitor.intake import Decoder
from monitor.partition import Live, Partition
from monitor.policy.load import loads
from monitor.rows import Rows
from streams.app import make_app
from streams.cluster import TP, Refused
from streams.owner import Phase

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
NOON = 1_772_452_800_000  # 2026-03-02T12:00:00Z
POLICY = loads(
    json.dumps(
        {
            "id": "directed",
            "version": "1",
            "extends": "access-rules",
            "defaults": {"lateness": "1m"},
            "rules": [
                {
                    "id": "short",
                    "behaviour": "blind_calling",
                    "metric": "short_call_ratio",
                    "above": 0.5,
                    "window": "5m",
                    "step": "5m",
                    "min_denominator": 3,
                }
            ],
            "escalations": [],
        }
    ),
    "policy.json",
)
CDR, CONTROL, STATE, LATE = (
    TP(name, 0) for name in ("callwarden.cdr", "callwarden.control", "callwarden.state", "callwarden.late")
)


def world_of(seed: int = 1, grace_ms: int = 4 * HOUR, speed: float = 1.0) -> World:
    print("seed", seed)
    # The clocks of a faster day move in larger steps; what is silent is silent in the loop's time.
    live = Live(idle_after_ms=int(30 * SECOND / speed), outage_grace_ms=grace_ms)
    return World(random.Random(seed), POLICY, live, 1, NOON, speed)


def call(at_ms: int, name: str, arrives_ms: int | None = None) -> Arrival:
    """A call of three seconds that ended at ``at_ms``."""
    record = {
        "type": "cdr",
        "call_id": name,
        "tenant_id": "t",
        "direction": "outbound",
        "caller": "+8619000000001",
        "callee": "+8613800000001",
        "start_ms": at_ms - 4_000,
        "answer_ms": at_ms - 3_000,
        "end_ms": at_ms,
        "outcome": "answered",
    }
    return Arrival(at_ms if arrives_ms is None else arrives_ms, CDR, Record(b"t", json.dumps(record).encode()))


def three_calls(at_ms: int, name: str, arrives_ms: int | None = None) -> list[Arrival]:
    return [call(at_ms + n, f"{name}{n}", arrives_ms) for n in range(3)]


def command(world: World, **fields: Any) -> None:
    world.broker.append(CONTROL, Record(b"0", json.dumps(fields).encode()))


def play(world: World, what: Callable[[], Coroutine[Any, Any, None]]) -> list[Any]:
    """Play it; what the workers logged."""
    structlog.reset_defaults()
    with capture_logs() as logs:
        try:
            run(world.loop, what())
        finally:
            world.close()
    return logs


async def until(world: World, at_ms: int) -> None:
    await asyncio.sleep(max(world.clock.loop_time(at_ms) - world.loop.time(), 0.0))


def wrong(world: World) -> list[str]:
    return list(judge.wrong(world.broker, POLICY, world.live, 1))


def count(world: World, tp: TP) -> int:
    return len(world.broker.logs[tp].committed(0))


def phase(worker: Worker) -> tuple[Phase, str]:
    assert worker.engine is not None
    owner = worker.engine.owners[0]
    return owner.phase, owner.why


def test_the_last_windows_of_a_quiet_night_are_judged_after_the_grace() -> None:
    world = world_of(speed=60.0, grace_ms=HOUR)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 55 * MINUTE)
        assert judge.ids(world.broker, 0) == [], "the feed of calls may be away"
        await until(world, NOON + 80 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        assert not wrong(world)

    play(world, go)


@pytest.mark.parametrize(("grace_ms", "late"), [(4 * HOUR, 0), (HOUR, 3)])
def test_a_feed_that_was_away_for_three_hours_finds_no_call_late(grace_ms: int, late: int) -> None:
    """And an alarm says so meanwhile. A grace that is too short shows that the test can fail."""
    world = world_of(speed=60.0, grace_ms=grace_ms)
    back_ms = NOON + 3 * HOUR
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + 11 * MINUTE, "b", back_ms)])
    world.produce(three_calls(back_ms + 20 * MINUTE, "c"))

    async def go() -> None:
        world.add_worker()
        await until(world, back_ms + 6 * HOUR)
        assert count(world, LATE) == late
        assert not wrong(world)

    logs = play(world, go)
    assert any("no call comes in any partition" in line["event"] for line in logs)


def test_a_broker_that_was_away_for_three_hours_makes_no_call_late() -> None:
    world = world_of(speed=60.0, grace_ms=HOUR)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce([one for n in range(1, 18) for one in three_calls(NOON + n * 10 * MINUTE, f"b{n}-")])

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        world.broker.up = False
        await until(world, NOON + 185 * MINUTE)
        world.broker.up = True
        await until(world, NOON + 6 * HOUR)
        assert count(world, LATE) == 0
        assert judge.ids(world.broker, 0)
        assert not wrong(world)

    told = [line["event"] for line in play(world, go)]
    assert any("the broker is away" in line for line in told)
    assert any("the broker is back" in line for line in told)


def a_late_call_after_a_move() -> list[str]:
    """The clock of a silent source has moved on, a late call comes, and the worker dies: the call must stay late."""
    world = world_of(grace_ms=0)
    at_ms = NOON + 3 * MINUTE
    world.produce([call(at_ms, "a1"), call(at_ms, "a2"), call(at_ms + 10, "b", NOON + 4 * MINUTE + 35 * SECOND)])
    seen: list[str] = []

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 4 * MINUTE + 45 * SECOND)
        assert count(world, LATE) == 1, "the state is written with it, while its window is open"
        worker.kill()
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        seen.extend(wrong(world))
        seen.extend(judge.ids(world.broker, 0))

    play(world, go)
    return seen


def test_a_clock_that_has_moved_is_where_it_was_after_a_crash() -> None:
    assert a_late_call_after_a_move() == []
    with broken(MOVES_NOT_IN_THE_HEAD):
        assert a_late_call_after_a_move() != []


def a_quick_return() -> list[str]:
    """A partition goes to another worker, which decides something, and comes back to where it is still in memory."""
    world = world_of(grace_ms=0)
    for n in range(10):
        world.produce(three_calls(NOON + n * MINUTE + 10 * SECOND, f"{n}-"))
    seen: list[str] = []

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 5 * MINUTE + 20 * SECOND)
        other = world.add_worker()
        other.link.rank = "!"
        first.link.slow_share = other.link.slow_share = 0.0
        await asyncio.sleep(10)
        assert (first.owned(), other.owned()) == ([], [0])
        before = count(world, STATE)
        await until(world, NOON + 6 * MINUTE + 25 * SECOND)
        assert count(world, STATE) > before, "the other one has decided"
        other.terminate()
        await until(world, NOON + 20 * MINUTE)
        assert first.owned() == [0]
        seen.extend(wrong(world))

    play(world, go)
    return seen


def test_what_is_in_memory_is_not_trusted_when_another_has_written() -> None:
    assert a_quick_return() == []
    with broken(OLD_MEMORY_KEPT):
        assert a_quick_return() != []


def test_a_lost_state_is_refused_until_it_is_accepted_and_decides_nothing_twice() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce(three_calls(NOON + 15 * MINUTE, "b"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        worker.kill()
        world.broker.logs[STATE] = Log()
        worker = world.add_worker()
        await asyncio.sleep(30)
        stands, why = phase(worker)
        assert stands is Phase.REFUSED
        assert "its state is lost" in why
        assert "callwarden accept lost-state --partition 0" in why
        offset = world.broker.logs[TP(NAMES.output("enforcement"), 0)].last_stable
        command(world, type="accept", what="lost_state", offset=offset, reason="a test")
        await until(world, NOON + 30 * MINUTE)
        assert phase(worker)[0] is Phase.RUNNING
        ids = judge.ids(world.broker, 0)
        assert len(ids) == len(set(ids)) == 2

    play(world, go)


def test_records_that_retention_has_deleted_before_they_were_read_again_are_missed() -> None:
    world = world_of(grace_ms=4 * HOUR)
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + 2 * MINUTE, "b")])
    world.produce([Arrival(NOON + 90 * SECOND, CDR, Record(b"t", b"{"))])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        worker.kill()
        world.broker.logs[CDR].trim(5)
        worker = world.add_worker()
        await asyncio.sleep(30)
        stands, why = phase(worker)
        assert stands is Phase.REFUSED
        assert "begins at offset 5, but its records from 0 on are needed" in why
        command(world, type="accept", what="lost_input", topic=CDR.topic, offset=4, reason="of another loss")
        await asyncio.sleep(30)
        assert phase(worker)[0] is Phase.REFUSED
        command(world, type="accept", what="lost_input", topic=CDR.topic, offset=5, reason="a test")
        await asyncio.sleep(30)
        assert phase(worker)[0] is Phase.RUNNING

    play(world, go)


def test_a_skipped_record_goes_to_the_dead_letters_and_stays_there_after_a_crash() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await asyncio.sleep(10)
        command(world, type="skip", topic=CDR.topic, offset=1, reason="a test")
        await until(world, NOON + 2 * MINUTE)
        worker.kill()
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        letters = world.broker.logs[TP(NAMES.output("dead-letter"), 0)].committed(0)
        headers = [dict(letter.record.headers) for letter in letters if letter.record is not None]
        assert [(one["offset"], one["reason"]) for one in headers] == [(b"1", b"skipped: a test")]
        assert judge.ids(world.broker, 0) == [], "two calls are too few"
        assert not wrong(world)

    play(world, go)


def alerts(world: World) -> list[dict[str, Any]]:
    entries = world.broker.logs[TP(NAMES.output("alerts"), 0)].committed(0)
    return [json.loads(entry.record.value or b"") for entry in entries if entry.record is not None]


def test_an_alert_fires_within_a_second_of_the_call_that_crosses_the_threshold_and_a_crash_keeps_it() -> None:
    """Minutes before the window can close, and long before the watermark lets it be judged."""
    world = world_of(grace_ms=0)
    at_ms = NOON + MINUTE
    world.produce(three_calls(at_ms, "a"))
    world.produce(
        [Arrival(at_ms + n * SECOND, CDR, long_call(at_ms + n * SECOND, f"b{n}")) for n in (60, 61, 62, 63, 241)]
    )

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, at_ms)
        assert alerts(world) == []
        await until(world, at_ms + SECOND)
        (firing,) = alerts(world)
        assert (firing["state"], firing["tenant_id"], firing["measure"]["numerator"]) == ("firing", "t", 3)
        assert firing["since_ms"] > world.clock.now_ms(), "the window is open"
        worker.kill()
        world.add_worker()
        await until(world, at_ms + 59 * SECOND)
        assert {one["alert_id"] for one in alerts(world)} == {firing["alert_id"]}
        await until(world, NOON + 5 * MINUTE)
        assert alerts(world)[-1]["state"] == "firing", "within its window an alert does not come and go"
        await until(world, NOON + 5 * MINUTE + 2 * SECOND)
        assert alerts(world)[-1]["state"] == "resolved", "the next window has begun well"
        assert alerts(world)[-1]["alert_id"] == firing["alert_id"]
        assert judge.ids(world.broker, 0) == [], "only the watermark decides"
        await until(world, NOON + 12 * MINUTE)
        assert not wrong(world)

    play(world, go)


def long_call(at_ms: int, name: str) -> Record:
    record = json.loads(call(at_ms, name).record.value or b"")
    return Record(b"t", json.dumps(record | {"answer_ms": at_ms - 60_000, "start_ms": at_ms - 61_000}).encode())


def test_the_operators_word_that_no_calls_are_away_outlives_a_crash_and_ends_with_the_next_call() -> None:
    world = world_of(grace_ms=4 * HOUR)
    world.produce(three_calls(NOON + MINUTE, "a"))
    back_ms = NOON + 40 * MINUTE
    world.produce(three_calls(back_ms, "b"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + MINUTE + 5 * SECOND)
        command(world, type="end_outage", reason="it is a holiday")
        await until(world, NOON + MINUTE + 20 * SECOND)
        worker.kill()  # before the source could be seen to be silent
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1
        await until(world, back_ms + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) == 1, "calls have come again, and may be away again"
        assert not wrong(world)

    play(world, go)


def test_a_large_pane_is_sealed_in_a_thread_while_the_partition_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread's work is a step of the virtual loop: what else runs between its begin and its end must keep off."""
    monkeypatch.setattr("streams.owner._LARGE", 0)
    handed: list[int] = []
    to_thread = asyncio.to_thread

    async def slowly(decide: Callable[..., Any], *arguments: Any) -> Any:
        before = arguments[0].offsets
        await asyncio.sleep(0.7)
        assert arguments[0].offsets == before, "the partition was fed while the thread had it"
        handed.append(1)
        return await to_thread(decide, *arguments)

    monkeypatch.setattr("asyncio.to_thread", slowly)
    world = world_of(grace_ms=0)
    for n in range(800):
        world.produce(three_calls(NOON + n * SECOND // 2, f"{n}-"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert len(judge.ids(world.broker, 0)) > 0
        assert not wrong(world)

    play(world, go)
    assert handed


def test_a_worker_that_is_stopped_before_it_could_join_ends_and_was_never_ready() -> None:
    world = world_of()
    world.broker.up = False

    async def go() -> None:
        worker = world.add_worker()
        _, engine = make_app(world.setup(MemoryCluster(worker.link)))
        assert not engine.ready, "nothing is wrong that it knows of, but it does not belong to the group"
        await asyncio.sleep(20)
        assert worker.engine is not None
        assert not worker.engine.ready
        worker.terminate()
        await asyncio.sleep(20)
        assert worker.over

    logs = play(world, go)
    assert [line["event"] for line in logs].count("the broker is away; waiting for it") == 1


def test_gauges_of_a_partition_that_went_elsewhere_are_gone() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 6 * MINUTE)
        assert named(first) == {"callwarden_lag_records", "callwarden_partition", "callwarden_watermark_seconds"}
        other = world.add_worker()
        other.link.rank = "!"
        await asyncio.sleep(20)
        assert (first.owned(), other.owned()) == ([], [0])
        assert named(first) == set()

    def named(worker: Worker) -> set[str]:
        assert worker.engine is not None
        metrics = worker.telemetry.registry.collect()
        return {metric.name for metric in metrics for sample in metric.samples if sample.labels.get("partition") == "0"}

    play(world, go)


def test_a_transaction_that_the_broker_will_never_take_stops_the_partition_with_a_sentence() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await asyncio.sleep(10)

        def never(*_: object) -> None:
            raise Refused("writing as callwarden-0: not authorised")

        world.broker.produce = never  # type: ignore[method-assign]
        await until(world, NOON + 8 * MINUTE)
        assert phase(worker) == (Phase.REFUSED, "writing as callwarden-0: not authorised")
        assert worker.engine is not None
        assert not worker.engine.ready

    logs = play(world, go)
    assert not any("exc_info" in line for line in logs)


def test_an_error_that_nobody_foresaw_stops_its_partition_at_its_record_until_that_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_of(grace_ms=0)
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + MINUTE, "poison", NOON + MINUTE)])
    world.produce(three_calls(NOON + MINUTE, "c"))
    messages = Decoder.messages

    def fragile(self: Decoder, values: Any, offsets: Any, skipped: Any) -> Any:
        for value, offset in zip(values, offsets.tolist(), strict=True):
            if b"poison1" in value and offset not in skipped:
                raise ZeroDivisionError
        return messages(self, values, offsets, skipped)

    monkeypatch.setattr(Decoder, "messages", fragile)
    # All that there is comes at once: the record must be found, not met by itself by chance.
    monkeypatch.setattr("crash.memory._some", lambda rng, entries, most, stop: (entries, stop))

    async def go() -> None:
        await until(world, NOON + 2 * MINUTE)
        worker = world.add_worker()
        await until(world, NOON + 4 * MINUTE)
        assert phase(worker) == (Phase.STOPPED, "callwarden.cdr offset 4: ZeroDivisionError")
        command(world, type="skip", topic=CDR.topic, offset=4, reason="it is poison")
        await until(world, NOON + 12 * MINUTE)
        assert phase(worker)[0] is Phase.RUNNING
        assert len(judge.ids(world.broker, 0)) == 1
        assert count(world, TP(NAMES.output("dead-letter"), 0)) == 1
        assert not wrong(world)

    logs = play(world, go)
    (stop,) = [line for line in logs if line["event"] == "partition stopped by an unforeseen error"]
    assert stop["at"] == "callwarden.cdr offset 4"


@pytest.mark.parametrize("orderly", [True, False])
def test_a_worker_that_ends_in_order_spares_the_next_one_reading_again(
    orderly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(grace_ms=0)
    world.produce([*three_calls(NOON + 10 * SECOND, "a"), *three_calls(NOON + MINUTE, "b")])
    world.produce(three_calls(NOON + 3 * MINUTE, "c"))
    fed: list[int] = []
    feed = Partition.feed

    def noted(self: Partition, source: int, rows: Rows) -> None:
        if source == 0:
            fed.extend(rows.offsets.tolist())
        feed(self, source, rows)

    monkeypatch.setattr(Partition, "feed", noted)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        assert fed == [0, 1, 2, 3, 4, 5]
        fed.clear()
        worker.terminate() if orderly else worker.kill()
        await asyncio.sleep(5)
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        again = [offset for offset in fed if offset < 6]
        assert again == ([] if orderly else [0, 1, 2, 3, 4, 5])
        (event,) = judge.ids(world.broker, 0)
        assert event
        assert not wrong(world)

    play(world, go)
