"""`callwarden compare` on the topics of a day of workers, with records of other programs among the decisions."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from crash.audited import ENFORCEMENT, Tampered
from crash.broker import Broker
from crash.log import Record
from crash.memory import MemoryCluster
from crash.scenarios import steady_link
from crash.traffic import NAMES
from crash.virtual import VirtualClock, VirtualLoop, run
from crash.world import World
from streams.cli import cluster_session
from streams.cli.app import build

PREFIX = NAMES.output_prefix
OWN = {"id": "odd", "subject": "acme", "data": {"decided_ms": 1_772_409_600_000}}


def changed(**fields: Any) -> bytes:
    return json.dumps({**OWN, "data": {**OWN["data"], **fields}}).encode()  # type: ignore[dict-item]


STRAYS: dict[str, bytes | None] = {
    "no value": None,
    "no JSON": b"hello",
    "not UTF-8": b'{"id":"\xff"}',
    "nested too deep": b'{"id":' + b"[" * 200 + b"]" * 200 + b"}",
    "no object": b"[]",
    "no data": b'{"id":"x","subject":"acme"}',
    "no subject": b'{"id":"x","data":{"decided_ms":1772409600000}}',
    "a time that no clock shows": changed(decided_ms=-5),
    "half a window": changed(window={"start_ms": 1}),
    "a window that is a list": changed(window=[1, 2]),
}


@pytest.fixture
def compare(day: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """The command, on the topics of the day; changes of them are taken back."""

    def operate(command: str, settings: object, work: Callable[[MemoryCluster], Any]) -> Any:
        loop = VirtualLoop()
        broker = Broker(loop, VirtualClock(loop, 0), random.Random(1), day.broker.topics)
        broker.logs = day.broker.logs
        return run(loop, work(MemoryCluster(steady_link(broker, loop, random.Random(1)))))

    monkeypatch.setattr(cluster_session, "operate", operate)
    with Tampered(day):
        yield lambda *options: CliRunner().invoke(build("compare"), ["compare", PREFIX, PREFIX, *options])


def test_the_same_decisions_are_the_same(compare: Callable[..., Result]) -> None:
    done = compare()
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "the same decisions")


@pytest.mark.parametrize("stray", STRAYS)
def test_a_record_that_is_no_event_is_passed_over_named_and_not_the_same(
    stray: str, compare: Callable[..., Result], day: World
) -> None:
    before = json.loads(compare("--json").stdout)
    assert (before["equal"], before["unreadable_a"]) == (True, [])
    with Tampered(day) as tampered:
        tampered.append(tampered.log, Record(b"acme", STRAYS[stray]))
        tampered.append(tampered.other, Record(b"acme", STRAYS[stray]))
        offset = tampered.log.end - 1
        done, plain = compare(), compare("--json")
    assert (done.exit_code, plain.exit_code) == (1, 1), done.output
    lines = done.stdout.splitlines()
    assert lines.count(f"cannot be read in {PREFIX}: 2") == 2
    named = f"  {ENFORCEMENT}-0 offset {offset}: expected an enforcement event: "
    assert sum(line.startswith(named) for line in lines) == 2
    assert lines[-1] == "the same decisions, but 4 records cannot be read"
    found = json.loads(plain.stdout)
    places = [(one["topic"], one["partition"], one["offset"]) for one in found["unreadable_b"]]
    assert places[0] == (ENFORCEMENT, 0, offset)
    assert (found["equal"], found["same"], len(places)) == (False, before["same"], 2)


def test_of_many_records_that_are_no_events_some_are_named(compare: Callable[..., Result], day: World) -> None:
    with Tampered(day) as tampered:
        for _ in range(5):
            tampered.append(tampered.log, Record(b"acme", b"13912345678"))
        lines = compare("--limit", "2").stdout.splitlines()
    assert lines.count("  ... and 3 more (--limit, --json)") == 2
    assert not any("13912345678" in line for line in lines)
