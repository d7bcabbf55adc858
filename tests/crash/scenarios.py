"""Building blocks of scenarios: a world that starts at noon or lasts a day, calls, commands, and checks
of the results.
"""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch

import structlog
from structlog.testing import capture_logs

from crash import contract_judge, judge
from crash.broker import Broker
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.memory_link import Link
from crash.traffic import NAMES, SCENARIOS, Arrival, arrivals, scenario_of
from crash.virtual import Process, VirtualLoop, run
from crash.world import Worker, World
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.journal import JournalEntry
from monitor.policy.load import loads
from streams.kafka.api import TP
from streams.topics.transaction_records import decode_journal_entry, is_tick
from streams.worker.consumer_loop import _POLL_S
from streams.worker.context import OwnedPhase
from streams.worker.running.owner_ban_feed import _EVERY_S

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
NOON = 1_772_452_800_000  # 2026-03-02T12:00:00Z
WRITTEN: dict[str, Any] = {
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
POLICY = loads(json.dumps(WRITTEN), "policy.json")
CDR, COMPLAINTS = TP("callwarden.cdr", 0), TP("callwarden.complaints", 0)
CONTROL, STATE, LATE, DEAD = (TP(f"callwarden.{name}", 0) for name in ("control", "state", "late", "dead-letter"))


def world_of(seed: int = 1, grace_ms: int = 4 * HOUR, speed: float = 1.0) -> World:
    print("seed", seed)
    # The clock of a faster day moves in larger steps; silence is measured in the loop's time. Six times in that time a
    # worker looks for silent sources: on a day of hours that would be most of what it does, after 30 seconds of it.
    idle_ms = 30 * SECOND if speed == 1.0 else 2 * MINUTE
    live = DecidingSettings(idle_after_ms=int(idle_ms / speed), outage_grace_ms=grace_ms)
    return World(random.Random(seed), POLICY, live, 1, NOON, speed)


DAY_S = 5.0  # loop seconds that a day of `day_of` takes


def day_of(seed: int) -> World:
    """A day of an oracle scenario, which passes in a few seconds of loop time."""
    print("seed", seed)
    rng = random.Random(seed)
    scenario = scenario_of(seed % SCENARIOS)
    live = DecidingSettings(idle_after_ms=SECOND, outage_grace_ms=rng.choice((0, 30 * MINUTE)))
    speed = (scenario.stop_ms - scenario.start_ms) / SECOND / DAY_S
    world = World(rng, scenario.policy, live, rng.choice((1, 2, 3)), scenario.start_ms, speed)
    world.produce(arrivals(rng, scenario, world.partitions))
    return world


def steady_link(broker: Broker, loop: VirtualLoop, rng: random.Random) -> Link:
    """The link of an operator or auditor, without slow calls."""
    link = Link(broker, Process(loop, "operator"), rng)
    link.slow_share = 0.0
    return link


def operator_of(world: World) -> MemoryCluster:
    return MemoryCluster(steady_link(world.broker, world.loop, world.rng))


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


def an_hour_of_calls(world: World) -> None:
    """Three calls every five minutes, from noon on."""
    for n in range(12):
        world.produce(three_calls(NOON + n * 5 * MINUTE + MINUTE, f"c{n}-"))


def command(world: World, **fields: Any) -> None:
    world.broker.append(CONTROL, Record(b"0", json.dumps(fields).encode()))


def lose_state(world: World) -> None:
    """Delete the whole state, and have an operator accept the loss."""
    world.broker.logs[STATE] = Log()
    offset = world.broker.logs[TP(NAMES.output("enforcement"), 0)].last_stable
    command(world, type="accept", what="lost_state", offset=offset, reason="a test")


def play(
    world: World, what: Callable[[], Coroutine[Any, Any, None]], *, as_often: bool = False, left_open_s: float = HOUR
) -> list[Any]:
    """Play the scenario; return what the workers logged.

    In most of an hour nothing arrives, and polls without records would be most of what it costs. So a worker that has
    nothing to do polls every other second, and looks for bans of owners every five; on a faster day it polls twice a
    second. With ``as_often`` it does so as often as a worker does. It looks for transactions that were left open every
    ``left_open_s``.
    """
    structlog.reset_defaults()
    slow = not as_often and world.speed == 1.0
    poll_s, bans_s = (2.0, 5.0) if slow else (_POLL_S if as_often else 0.5, _EVERY_S)
    with (
        capture_logs() as logs,
        patch("streams.worker.consumer_loop._POLL_S", poll_s),
        patch("streams.worker.running.owner_ban_feed._EVERY_S", bans_s),
        patch("streams.worker.running.left_open._EVERY_S", left_open_s),
    ):
        try:
            run(world.loop, what())
        finally:
            world.close()
    return logs


async def until(world: World, at_ms: int) -> None:
    await asyncio.sleep(max(world.clock.loop_time(at_ms) - world.loop.time(), 0.0))


def wrong(world: World) -> list[str]:
    return list(judge.wrong(world.broker, POLICY, world.live, 1))


def against_contract(world: World) -> list[str]:
    """Return the differences from the oracle, which shares no code with live and replay."""
    return list(contract_judge.wrong(world.broker, {POLICY.sha256: WRITTEN}, 1))


def count(world: World, tp: TP) -> int:
    return len(world.broker.logs[tp].committed(0))


def phase(worker: Worker) -> tuple[OwnedPhase, str]:
    assert worker.consumer_loop is not None
    owner = worker.consumer_loop.owners[0]
    return owner.phase, owner.why


async def refused_by_new_worker(world: World) -> tuple[Worker, str]:
    """A new worker, which refuses the partition, and its reason."""
    worker = world.add_worker()
    await asyncio.sleep(30)
    stands, reason = phase(worker)
    assert stands is OwnedPhase.REFUSED
    return worker, reason


def complaint(at_ms: int, name: str) -> Arrival:
    """A verified fraud complaint, which leads to a decision by itself."""
    record = {
        "type": "complaint",
        "complaint_id": name,
        "tenant_id": "t",
        "category": "fraud",
        "status": "verified",
        "reported_ms": at_ms,
        "updated_ms": at_ms,
    }
    return Arrival(at_ms, COMPLAINTS, Record(b"t", json.dumps(record).encode()))


def dead_letters(world: World) -> list[tuple[bytes, bytes]]:
    """The offset and reason of each dead letter."""
    letters = world.broker.logs[TP(NAMES.output("dead-letter"), 0)].committed(0)
    headers = [dict(letter.record.headers) for letter in letters if letter.record is not None]
    return [(one["offset"], one["reason"]) for one in headers]


def journal_entries(world: World) -> list[tuple[int | None, JournalEntry]]:
    """The entries of the clock log, in its order, each with its source."""
    entries = world.broker.logs[TP(NAMES.output("clock"), 0)].committed(0)
    values = [entry.record.value or b"" for entry in entries if entry.record is not None]
    return [decode_journal_entry(value) for value in values if not is_tick(value)]


def alerts(world: World) -> list[dict[str, Any]]:
    entries = world.broker.logs[TP(NAMES.output("alerts"), 0)].committed(0)
    return [json.loads(entry.record.value or b"") for entry in entries if entry.record is not None]


def long_call(at_ms: int, name: str) -> Record:
    record = json.loads(call(at_ms, name).record.value or b"")
    return Record(b"t", json.dumps(record | {"answer_ms": at_ms - 60_000, "start_ms": at_ms - 61_000}).encode())
