"""States of one partition count become those of another, and the decisions equal a replay of all records."""

import json
import random
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.shard_state import ShardState
from monitor.decoding.input_topics import CARRIES, INPUTS
from monitor.partition.checkpoint import HEAD, DecidingSettings, PartitionIdentity
from monitor.partition.chunking import Chunker
from monitor.partition.partitioner import partition_of
from monitor.partition.record_batch import RecordBatch
from monitor.partition.rescaling.compatibility import RescaleError
from monitor.partition.rescaling.rescale import rescaled
from monitor.partition.rescaling.rescaled_partition import RescaledPartition
from monitor.partition.rescaling.source_reading import SourceReading
from monitor.partition.task import StreamTask
from monitor.policy.load import loads, to_plain
from monitor.policy.model import Policy
from monitor.policy.serialize import sha256
from monitor.policy.timeline import PolicyVersion, next_change_ms
from monitor.replay.run import ReplayOptions, replay
from oracle.scenario_generator import lines_of, scenario
from schemas import codec
from schemas.inputs import Cdr

LIVE = DecidingSettings()
FLAVOURS = ("disputes", "identities", "measured", "ratios", "long", "boundary")

Line = tuple[int, bytes, bytes, int]  # source, key, value, timestamp


def delivered(seed: int, rng: random.Random) -> tuple[Policy, list[Line], int]:
    """A scenario's valid records in an order in which none is late, in any partition. Some arrive before their time."""
    made = scenario(seed, FLAVOURS[seed % len(FLAVOURS)], 250)
    policy = loads(json.dumps(made.policy), "policy.json")
    due: list[tuple[float, Line]] = []
    for line in (line for lines in lines_of(made) for line in lines):
        try:
            record = codec.decode(line)
        except codec.DECODE_ERRORS:
            continue
        event_ms = record.end_ms if isinstance(record, Cdr) else record.updated_ms
        if codec.check(record) is None and event_ms <= made.not_after_ms:
            (source,) = (INPUTS.index(name) for name in INPUTS if type(record) in CARRIES[name])
            delay_ms = rng.uniform(-0.05, 0.9) * policy.lateness_ms
            due.append((event_ms + delay_ms, (source, record.tenant_id.encode(), line, int(event_ms + delay_ms))))
    return policy, [line for _, line in sorted(due, key=lambda one: one[0])], made.not_after_ms


class Logs:
    """The partitions of one count, and the content of their logs."""

    def __init__(self, policy: Policy, count: int) -> None:
        self.policy, self.count, self.now_ms = policy, count, 0
        self.logs: list[list[list[tuple[bytes, bytes, int]]]] = [[[] for _ in INPUTS] for _ in range(count)]
        self.partitions = [self.new(number) for number in range(count)]
        self.stored: list[dict[str, bytes]] = [{} for _ in range(count)]
        self.said: list[bytes] = []

    def new(self, number: int) -> StreamTask:
        return StreamTask(self.policy, b"secret", LIVE, PartitionIdentity(number, self.count))

    def write(self, source: int, key: bytes, value: bytes, at_ms: int) -> int:
        self.now_ms = max(self.now_ms, at_ms)
        self.logs[number := partition_of(key, self.count, "murmur2")][source].append((key, value, self.now_ms))
        return number

    def rows(self, number: int, source: int, start: int) -> RecordBatch:
        some = self.logs[number][source][start:]
        stop = start + len(some)
        stamps = np.array([at_ms for _, _, at_ms in some], np.int64)
        return RecordBatch(start, stop, np.arange(start, stop), stamps, [v for _, v, _ in some], [k for k, *_ in some])

    def read(self, number: int) -> None:
        one = self.partitions[number]
        for source, offset in enumerate(one.sources.offsets):
            rows = self.rows(number, source, offset)
            if len(rows):
                one.feed(source, rows)

    def store(self, number: int) -> None:
        one = self.partitions[number]
        one.advance()
        while one.switching:  # the next policy applies from here on
            self.keep(number)
            self.restart(number)
            self.read(number)
            one = self.partitions[number]
            one.advance()
        self.keep(number)

    def keep(self, number: int) -> None:
        one, stored = self.partitions[number], self.stored[number]
        output = one.take().output
        self.said += [msgspec.json.encode(event) for event in (*output.enforcement, *output.shadow)]
        for key, value in one.snapshot():
            stored.pop(key, None)
            if value is not None:
                stored[key] = value

    def restart(self, number: int) -> None:
        self.partitions[number] = self.new(number)
        if self.stored[number]:
            self.partitions[number].restore(self.stored[number])


def moved(old: Logs, count: int) -> Logs:
    """The procedure: read everything, align the clocks, and transfer the state to the new partitions."""
    for number in range(old.count):
        old.read(number)
    calls_ms = max(one.sources.clocks_ms[0] for one in old.partitions)
    clocks_ms = [
        calls_ms,
        *[max(calls_ms, *(max(one.sources.clocks_ms[1:]) for one in old.partitions))] * (len(INPUTS) - 1),
    ]
    formers = []
    for number, one in enumerate(old.partitions):
        for source, clock_ms in enumerate(clocks_ms):
            one.sources.move(source, clock_ms)
        old.store(number)
        reading = SourceReading(old.new(number), old.stored[number])
        for source in reading.order:
            reading.feed(source, old.rows(number, source, reading.offsets[source]))
        formers.append(reading.result())
        assert len(formers[-1].kept[0]) == len(old.partitions[number].shard.open_panes)
    new = Logs(old.policy, count)
    new.now_ms = old.now_ms + 3_600_000  # the records are written again later
    for regrouped in rescaled(formers, count):
        place(new, regrouped, clocks_ms)
    assert sum(len(one.shard.open_panes) for one in new.partitions) == sum(
        len(one.shard.open_panes) for one in old.partitions
    )
    return new


def place(new: Logs, made: RescaledPartition, clocks_ms: list[int]) -> None:
    offsets = []
    for source, some in enumerate(made.kept):
        for one in some:
            assert new.write(source, one.key, one.value, 0) == made.number
        offsets.append(list(range(len(some))))
    head = made.head_at(offsets, [0] * len(INPUTS), clocks_ms)
    blobs = [*made.entries.items(), (HEAD, msgspec.msgpack.encode(head))]
    new.stored[made.number] = {key: value for key, value in Chunker().cut(blobs) if value is not None}
    new.restart(made.number)
    one = new.partitions[made.number]
    new.read(made.number)
    assert one.take().output.enforcement == []
    assert one.sources.clocks_ms == clocks_ms
    assert not one.due
    handover = ShardState(one.shard).handover(one.watermark.ms)
    assert handover is not None
    assert sorted(waiting.at_ms for waiting in handover.waiting) == sorted(o.at_ms for k in made.kept[1:] for o in k)


@pytest.mark.parametrize("seed", thorough(range(12), 1, soak=range(12, 48)))
def test_a_move_changes_nothing_that_is_decided(seed: int, tmp_path: Path) -> None:
    """To more partitions and to fewer, and back, with restarts in between, and a policy change before or after."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    policy, lines, not_after_ms = delivered(seed, rng)
    counts = rng.sample((1, 2, 3, 5), 3)
    second = replace(policy, version="2", lateness_ms=policy.lateness_ms + 60_000, sha256="")
    second = replace(second, sha256=sha256(second))
    switched_at, from_ms = len(lines) // 5, 0
    cuts = sorted(rng.sample(range(len(lines) // 4, len(lines)), 2))
    logs = Logs(policy, counts[0])
    said: list[bytes] = []
    for place_in_log, (source, key, value, at_ms) in enumerate(lines):
        if place_in_log in cuts:
            former, logs = logs, moved(logs, counts[1 + cuts.index(place_in_log)])
            said += former.said
        if place_in_log == switched_at:
            for number in range(logs.count):
                logs.read(number)
            from_ms = next_change_ms(
                max(max(one.sources.clocks_ms) for one in logs.partitions) + rng.choice((300_000, 3_600_000))
            )
            for one in logs.partitions:
                assert one.policy_changes.apply(to_plain(second), second.sha256, from_ms, "a trial", "me", 0) is None
                logs.store(one.place.number)
        number = logs.write(source, key, value, at_ms)
        if rng.random() < 0.3:
            logs.read(number)
            logs.store(number)
        if rng.random() < 0.05:
            logs.restart(number)
    for number in range(logs.count):
        logs.read(number)
    until_ms = max(one.intake.last_ms for one in logs.partitions) + 2 * 86_400_000
    for number, one in enumerate(logs.partitions):
        for source in range(len(INPUTS)):
            one.sources.move(source, until_ms + second.lateness_ms)
        logs.store(number)
        assert logs.partitions[number].watermark.ms == until_ms
    said += logs.said
    path = tmp_path / "all.jsonl"
    path.write_bytes(b"".join(value + b"\n" for _, _, value, _ in lines))
    whole = replay(
        [path],
        policy,
        ReplayOptions(not_after_ms=not_after_ms, until_ms=until_ms, switches=[PolicyVersion(from_ms, second)]),
    )
    assert whole.late == []
    wanted = sorted(msgspec.json.encode(event) for event in (*whole.enforcement, *whole.shadow))
    assert sorted(said) == wanted


def altered(policy: Policy, version: str, rng: random.Random) -> Policy:
    """Another policy: some of the rules, with other thresholds, and another lateness."""
    rules = []
    for rule in policy.rules:
        threshold = rule.threshold * rng.choice((0.5, 1.0))
        if rng.random() < 0.7:
            rules.append(replace(rule, threshold=threshold, recover=threshold))
    lateness_ms = policy.lateness_ms + rng.choice((0, 60_000))
    found = replace(
        policy, version=version, rules=tuple(rules), overrides=(), exemptions=(), profiles=(), lateness_ms=lateness_ms
    )
    return replace(found, sha256=sha256(found))


REFUSALS = (
    "expected the same policy in all",
    "other scheduled policies",
    "has not passed the time",
    "not counted before",
)


def moved_or_why(old: Logs, count: int) -> Logs | str:
    try:
        return moved(old, count)
    except RescaleError as error:
        return str(error)


@pytest.mark.parametrize("seed", thorough(range(8), 1, soak=range(8, 32)))
def test_a_move_is_made_where_policies_took_hold_at_different_times(seed: int, tmp_path: Path) -> None:
    """Each tenant is evaluated as if its partition had continued alone."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    policy, lines, not_after_ms = delivered(seed, rng)
    count = rng.choice((2, 3))
    logs, said = Logs(policy, count), list[bytes]()
    switches: list[list[PolicyVersion]] = [[] for _ in range(count)]
    cuts = sorted(rng.sample(range(len(lines) // 4, len(lines) * 2 // 3), rng.choice((1, 2))))
    at, went = rng.randint(cuts[-1], len(lines)), False
    for place_in_log, (source, key, value, at_ms) in enumerate(lines):
        if place_in_log in cuts:
            other = altered(policy, f"{place_in_log}", rng)
            for number in range(count):
                logs.read(number)
                logs.store(number)
                one = logs.partitions[number]
                from_ms = max(each.watermark.ms for each in logs.partitions) + number * rng.choice((1, 3)) * 3_600_000
                assert one.policy_changes.apply(to_plain(other), other.sha256, from_ms, "", "", 0) is None
                switches[number].append(one.policies.newest)
        if place_in_log >= at and not went and (place_in_log - at) % 8 == 0:  # a refusal lasts for many records
            made = moved_or_why(logs, rng.choice((1, 4)))
            if isinstance(made, Logs):
                said, logs, went = logs.said, made, True
            else:
                assert any(reported in made for reported in REFUSALS), made
        number = logs.write(source, key, value, at_ms)
        if rng.random() < 0.3:
            logs.read(number)
            logs.store(number)
    until_ms = max(one.intake.last_ms for one in logs.partitions) + 50 * 86_400_000  # by then all windows are whole
    for source in range(len(INPUTS)) if not went else ():
        logs.read(0)
        logs.partitions[0].sources.move(source, until_ms)
    if not went:
        logs, former = moved(logs, 4), logs
        said = former.said
    assert len({tuple(version.from_ms for version in some) for some in switches}) > 1, "they are to differ"
    for number in range(logs.count):
        logs.read(number)
        for source in range(len(INPUTS)):
            logs.partitions[number].sources.move(
                source, until_ms + logs.partitions[number].policies.newest.policy.lateness_ms
            )
        logs.store(number)
        assert logs.partitions[number].watermark.ms == until_ms
    wanted = []
    for number, some in enumerate(switches):
        path = tmp_path / f"{number}.jsonl"
        own = (value for _, key, value, _ in lines if partition_of(key, count, "murmur2") == number)
        path.write_bytes(b"".join(value + b"\n" for value in own))
        whole = replay([path], policy, ReplayOptions(not_after_ms=not_after_ms, until_ms=until_ms, switches=some))
        assert whole.late == []
        wanted += [msgspec.json.encode(event) for event in (*whole.enforcement, *whole.shadow)]
    assert sorted(said + logs.said) == sorted(wanted)


def test_a_rule_that_sees_no_whole_window_yet_is_waited_for() -> None:
    """The rule looks at calls of a length that was not counted before, and began an hour later in one partition."""
    hour = 3_600_000
    start = 1_772_409_600_000
    common = {"behaviour": "blind_calling", "window": "2h", "cooldown": "240h"}
    many = common | {"id": "many", "metric": "attempts", "above": 9_000, "step": "5m"}
    short = common | {
        "id": "short",
        "metric": "short_call_ratio",
        "above": 0.5,
        "step": "5m",
        "with": {"short_call_s": 3.5},
    }
    ruled = {"id": "test", "version": "1", "extends": "access-rules", "escalations": []}
    first, second = (loads(json.dumps(ruled | {"rules": rules}), "p.json") for rules in ([many], [many, short]))
    tenants = b"t0", b"t1"
    begins = [start + 3 * hour, start + 4 * hour]
    calls = [(tenant, start + n * hour // 6) for n in range(60) for tenant in tenants]
    reasons: list[str] = []

    def decided(move_at_ms: int | None) -> list[bytes]:
        logs, said, went = Logs(first, 2), list[bytes](), move_at_ms is None
        for number, one in enumerate(logs.partitions):
            assert one.policy_changes.apply(to_plain(second), second.sha256, begins[number], "", "", 0) is None
        for place, (tenant, at_ms) in enumerate(calls):
            if not went and move_at_ms is not None and at_ms >= move_at_ms and tenant == tenants[0]:
                made = moved_or_why(logs, 1)
                if isinstance(made, Logs):
                    said, logs, went = said + logs.said, made, True
                else:
                    reasons.append(made)
            call = Cdr(f"c{place:03}", tenant.decode(), "outbound", "1", "2", at_ms - 3_000, at_ms, "answered")
            logs.write(0, tenant, codec.encode(msgspec.structs.replace(call, answer_ms=at_ms - 3_000)), at_ms)
            for number in range(logs.count):
                logs.read(number)
                for source in range(len(INPUTS)):
                    logs.partitions[number].sources.move(source, at_ms)
                logs.store(number)
        assert went
        return sorted(said + logs.said)

    expected = decided(None)
    when = [json.loads(event)["data"]["decided_ms"] - start for event in expected]
    assert sorted(when) == [5 * hour, 6 * hour], "two hours after each began"
    assert decided(start + 5 * hour) == expected
    assert len(reasons) == 8
    assert all("from 2026-03-02T06:00:00.000Z on" in reason for reason in reasons), reasons
    assert decided(start + 8 * hour) == expected
    assert len(reasons) == 8


def test_evidence_is_kept_where_another_partition_has_been_silent() -> None:
    """Its fine panes were not deleted, because no window was evaluated there; the others' panes of that time were."""
    hour = 3_600_000
    start = 1_772_409_600_000
    common = {"behaviour": "blind_calling", "metric": "attempts", "cooldown": "240h"}
    ruled = {
        "id": "test",
        "version": "1",
        "extends": "access-rules",
        "escalations": [],
        "rules": [
            common | {"id": "fine", "above": 9_000, "window": "1h", "step": "5m"},
            common | {"id": "long", "above": 99, "window": "72h", "step": "24h"},
        ],
    }
    policy = loads(json.dumps(ruled), "policy.json")
    silent, busy = b"t0", b"t1"
    assert {partition_of(one, 2, "murmur2") for one in (silent, busy)} == {0, 1}
    calls = [(silent, start), *((busy, start + n * hour // 6) for n in range(1, 160))]

    def decided(move_at: int | None) -> list[bytes]:
        logs, said = Logs(policy, 2), []
        for place, (tenant, at_ms) in enumerate(calls):
            if place == move_at:
                former, logs = logs, moved(logs, 1)
                said += former.said
            call = Cdr(f"c{place:03}", tenant.decode(), "outbound", "1", "2", at_ms, at_ms, "no_answer")
            logs.write(0, tenant, codec.encode(call), at_ms)
            for number, one in enumerate(logs.partitions):
                logs.read(number)
                for source in range(len(INPUTS)):
                    one.sources.move(source, at_ms)
                logs.store(number)
        return said + logs.said

    expected = decided(None)
    assert [len(json.loads(event)["data"]["evidence"]["call_ids"]) for event in expected] == [20]
    assert decided(140) == expected
