"""A partition whose policy changes while it is stopped at random decides what a replay with the change decides."""

import json
import random
from bisect import bisect_left
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_task import bytes_of, rows_of

from helpers.thorough import thorough
from monitor.partition.checkpoint import CheckpointMetadata, DecidingSettings, packed_head
from monitor.partition.journal import PolicyChange, PolicyWithdrawal
from monitor.partition.task import StreamTask
from monitor.policy.load import loads, to_plain
from monitor.policy.model import Policy
from monitor.policy.timeline import BOUNDARY_MS, PolicyVersion
from monitor.replay.run import ReplayOptions, replay
from oracle.policy_change_generator import Change, changes
from oracle.scenario_generator import DAY, Scenario, lines_of, scenario

CLOCK = {"type": "tenant", "declared_businesses": [], "numbers": []}


class PolicyChangeRun:
    """Reads files in turns in random pieces; a stop loses everything that is not stored."""

    def __init__(self, made: Scenario, policy: Policy, rng: random.Random) -> None:
        self.policy, self.rng, self.made = policy, rng, made
        self.files = lines_of(made)
        self.offsets = [sorted(rng.sample(range(2 * len(lines) + 1), len(lines))) for lines in self.files]
        self.stored: dict[str, bytes] = {}
        self.stored_at = [0] * len(self.files)
        self.kept: list[Any] = []
        self.at = [0] * len(self.files)
        self.partition = self.new()
        self.restarts = self.turns = self.withdrawn = 0

    def new(self) -> StreamTask:
        return StreamTask(self.policy, live=DecidingSettings(max_ahead_ms=0), sources=len(self.files))

    def read(self, source: int, stop: int) -> None:
        before, at = self.partition.sources.offsets[source], self.at[source]
        rows = rows_of(before, self.files[source], self.offsets[source], at, stop, self.made.not_after_ms)
        self.partition.feed(source, rows)
        self.at[source] = stop

    def commit(self) -> None:
        self.kept.append(self.partition.take())
        for key, value in self.partition.snapshot(hand_over=self.rng.random() < 0.3):
            self.stored.pop(key, None)
            if value is not None:
                self.stored[key] = value
        self.stored_at = list(self.at)
        if self.partition.switching:
            self.turns += 1
            self.restart()

    def restart(self) -> None:
        self.restarts += 1
        self.partition, self.at = self.new(), [0] * len(self.files)
        if self.stored:
            self.partition.restore(self.stored)
            resume = self.partition.take_over()
            self.at = [bisect_left(places, offset) for places, offset in zip(self.offsets, resume, strict=True)]
            for source in range(len(self.files)):
                while self.at[source] < self.stored_at[source]:
                    self.read(source, min(self.stored_at[source], self.at[source] + self.rng.choice((1, 5, 100))))

    def run(self, coming: list[Change]) -> None:
        rng, total = self.rng, sum(map(len, self.files))
        when = sorted(rng.randint(0, total) for _ in coming)
        while sum(self.at) < total:
            source = rng.choice([n for n, lines in enumerate(self.files) if self.at[n] < len(lines)])
            self.read(source, min(len(self.files[source]), self.at[source] + rng.choice((1, 2, 7, 60))))
            if coming and sum(self.at) >= when[-len(coming)]:
                # A lost command is repeated, as the control topic does.
                plain = to_plain(loads(json.dumps(coming[0].policy), "policy.json"))
                from_ms = coming[0].from_ms - rng.choice((0, 1, 200_000))
                sha256 = loads(json.dumps(plain), "policy.json").sha256
                known = len(self.partition.policies.versions)
                wrong = self.partition.policy_changes.apply(plain, sha256, from_ms, "for the test", "", 0)
                assert (wrong is None) == (len(self.partition.policies.versions) == known + 1)
                if rng.random() < 0.3:
                    self.restart()
                else:
                    coming = coming[1:]
                    self.commit()
            if rng.random() < 0.1:
                self.withdraw()
            if rng.random() < 0.3:
                self.partition.early()
            if rng.random() < 0.7:
                self.partition.advance()
                if rng.random() < 0.5 or self.partition.switching:
                    self.commit()
            if rng.random() < 0.1:
                self.restart()

    def withdraw(self) -> None:
        """Withdraw one of the recorded policies, in effect or not."""
        before = list(self.partition.policies.versions)
        sha256 = self.rng.choice(before).policy.sha256
        wrong = self.partition.policy_changes.withdraw([sha256], "for the test", "", 0)
        gone = [version for version in before if version not in self.partition.policies.versions]
        assert (wrong is None) == bool(gone)
        assert {version.policy.sha256 for version in gone} <= {sha256}
        if self.rng.random() < 0.3:
            self.restart()
        else:
            self.withdrawn += len(gone)
            self.commit()

    def finish(self) -> dict[str, Any]:
        """Decide everything that the clocks allow, each under the policy of its time."""
        while self.partition.due:
            self.partition.advance()
            self.commit()
        self.kept.append(self.partition.take())
        line = [{offset: number for number, offset in enumerate(places, 1)} for places in self.offsets]
        return {
            "enforcement": sorted(bytes_of(e) for taken in self.kept for e in taken.output.enforcement),
            "shadow": sorted(bytes_of(e) for taken in self.kept for e in taken.output.shadow),
            "late": sorted(late.raw for taken in self.kept for late in taken.late),
            "rejected": sorted(
                (r.ref.source, line[r.ref.source][r.ref.line], r.reason) for taken in self.kept for r in taken.rejected
            ),
            "read": sum(taken.rows for taken in self.kept),
            "duplicates": sum(taken.duplicates for taken in self.kept),
        }

    @property
    def switches(self) -> list[PolicyChange]:
        """The recorded changes that were not withdrawn."""
        found: list[PolicyChange] = []
        for entry in (entry for taken in self.kept for _, entry in taken.journal):
            if isinstance(entry, PolicyChange):
                found.append(entry)
            elif isinstance(entry, PolicyWithdrawal):
                (gone,) = [one for one in found if (one.from_ms, one.sha256) == (entry.from_ms, entry.sha256)]
                found.remove(gone)
        return found


def reported(made: Scenario, policy: Policy, switches: list[PolicyChange], folder: Path) -> dict[str, Any]:
    """The outputs of a replay that knows the changes from the start."""
    paths = []
    for number, lines in enumerate(lines_of(made)):
        path = folder / f"{number}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        paths.append(path)
    versions = [PolicyVersion(one.from_ms, loads(json.dumps(one.policy), "policy.json")) for one in switches]
    out = replay(paths, policy, ReplayOptions(not_after_ms=made.not_after_ms, switches=versions))
    places = {str(path): number for number, path in enumerate(paths)}
    return {
        "enforcement": sorted(map(bytes_of, out.enforcement)),
        "shadow": sorted(map(bytes_of, out.shadow)),
        "late": sorted(out.late),
        "rejected": sorted((places[r.file], r.line, r.reason) for r in out.rejected),
        "read": out.summary.read,
        "duplicates": out.summary.duplicates,
    }


def run_of(seed: int, folder: Path) -> PolicyChangeRun:
    """A run that ended as a replay with its changes does."""
    print(f"seed {seed}")
    rng, made = random.Random(seed), scenario(seed, size=200)
    far_ms = made.not_after_ms + 50 * DAY  # by then all windows of all policies have ended, on both sides
    made.not_after_ms = far_ms
    for number, lines in enumerate(made.files):
        lines.append(json.dumps(CLOCK | {"tenant_id": f"clock-{number}", "updated_ms": far_ms}))
    policy = loads(json.dumps(made.policy), "policy.json")
    played = PolicyChangeRun(made, policy, rng)
    played.run(changes(rng, made))
    got = played.finish()
    first, *switches = played.switches
    assert (first.from_ms, first.sha256) == (0, policy.sha256)
    assert all(one.from_ms % BOUNDARY_MS == 0 for one in switches)
    expected = reported(made, policy, switches, folder)
    assert got == expected
    return played


@pytest.mark.parametrize("seed", thorough(range(20), 2))
def test_a_policy_is_changed_once_wherever_a_worker_is_stopped(seed: int, tmp_path: Path) -> None:
    run_of(seed, tmp_path)


@pytest.mark.parametrize("seeds", thorough([range(104, 106), range(100, 118)], 1), ids=str)
def test_a_policy_withdrawn_before_its_time_has_no_effect(seeds: range, tmp_path: Path) -> None:
    withdrawn = sum(run_of(seed, tmp_path).withdrawn for seed in seeds)
    assert withdrawn >= len(seeds) / 6, "choose other seeds: a new metric or field of records changes all scenarios"


T = 1_772_452_800_000  # 2026-03-02T12:00:00Z
MINUTE = 60_000


def policy_of(lateness: str, **fields: Any) -> Policy:
    rule = {
        "id": "r",
        "behaviour": "blind_calling",
        "metric": "attempts",
        "above": 0,
        "window": "5m",
        "step": "5m",
    } | fields
    made = {"id": "p", "version": "1", "extends": "access-rules", "defaults": {"lateness": lateness}}
    return loads(json.dumps(made | {"rules": [rule], "escalations": []}), "policy.json")


def call(name: str, minutes: int) -> bytes:
    at_ms = T + minutes * MINUTE
    made = {"type": "cdr", "call_id": name, "tenant_id": "t", "direction": "outbound", "outcome": "answered"}
    times = dict.fromkeys(("start_ms", "answer_ms", "end_ms"), at_ms)
    return json.dumps(made | {"caller": "1", "callee": "2"} | times).encode()


def store(partition: StreamTask, stored: dict[str, bytes]) -> None:
    for key, value in partition.snapshot():
        stored.pop(key, None)
        if value is not None:
            stored[key] = value


def decided_with_a_longer_lateness(restarted: bool) -> list[int]:
    """The minutes after the change at which decisions are made, with open calls read again or not."""
    before, after = policy_of("10m"), policy_of("60m")
    # The first `x` is below the late line, which the change keeps at T: so the second one is no duplicate.
    lines = [call("a", -20), call("b", 30), call("x", -1), call("c", 8), call("x", 40), call("d", 76), call("e", 180)]
    stored: dict[str, bytes] = {}
    decided: list[int] = []

    def new() -> StreamTask:
        made = StreamTask(before, live=DecidingSettings(max_ahead_ms=0), sources=1)
        if stored:
            made.restore(stored)
        return made

    def read(stop: int) -> None:
        start = partition.sources.offsets[0]
        partition.feed(0, rows_of(start, lines, list(range(len(lines))), start, stop, T + 300 * MINUTE))

    def commit() -> None:
        partition.advance()
        decided.extend((e.data.decided_ms - T) // MINUTE for e in partition.take().output.enforcement)
        store(partition, stored)

    partition = new()
    assert partition.policy_changes.apply(to_plain(after), after.sha256, T, "", "", 0) is None
    read(1)
    commit()
    partition.sources.move(0, T + 10 * MINUTE)
    commit()
    partition = new()
    read(1)
    read(6)
    commit()
    if restarted:
        partition = new()
        read(6)
    read(7)
    commit()
    return decided


def test_the_late_line_does_not_change_when_calls_are_read_again_under_a_longer_lateness() -> None:
    assert decided_with_a_longer_lateness(restarted=True) == decided_with_a_longer_lateness(restarted=False)


def test_a_policy_is_known_as_long_as_panes_of_its_time_are_stored() -> None:
    """Panes are stored from the beginning of an hour on, however short the windows are."""
    before, after = policy_of("10m"), policy_of("10m", **{"with": {"short_call_s": 3.5}})
    lines = [call(f"c{n}", n) for n in range(0, 60, 5)]
    stored: dict[str, bytes] = {}
    partition = StreamTask(before, live=DecidingSettings(max_ahead_ms=0), sources=1)
    for policy, minutes in ((after, 20), (before, 40)):
        assert partition.policy_changes.apply(to_plain(policy), policy.sha256, T + minutes * MINUTE, "", "", 0) is None
    decided = 0
    for stop in range(1, len(lines) + 1):
        start = partition.sources.offsets[0]
        partition.feed(0, rows_of(start, lines, list(range(len(lines))), start, stop, T + 300 * MINUTE))
        partition.advance()
        decided += len(partition.take().output.enforcement)
        store(partition, stored)
        partition = StreamTask(before, live=DecidingSettings(max_ahead_ms=0), sources=1)
        partition.restore(stored)
    assert decided == 9, "all that the lateness allows"


def test_the_head_says_from_when_each_field_is_counted() -> None:
    """A release that counts one field more can tell which windows lack it."""
    before, after = policy_of("10m"), policy_of("10m", **{"with": {"short_call_s": 3.5}})
    lines = [call(f"c{n}", n) for n in range(0, 60, 5)]
    stored: dict[str, bytes] = {}
    task = StreamTask(before, live=DecidingSettings(max_ahead_ms=0), sources=1)
    assert task.policy_changes.apply(to_plain(after), after.sha256, T + 20 * MINUTE, "", "", 0) is None
    known = []
    for _ in range(3):  # up to the change, from it on, and restored once more
        start = task.sources.offsets[0]
        task.feed(0, rows_of(start, lines, list(range(len(lines))), start, len(lines), T + 300 * MINUTE))
        task.advance()
        task.take()
        store(task, stored)
        known.append(msgspec.msgpack.decode(packed_head(stored) or b"", type=CheckpointMetadata).shard.fields)
        task = StreamTask(before, live=DecidingSettings(max_ahead_ms=0), sources=1)
        task.restore(stored)
    assert "short:3500" not in known[0]
    assert known[1] == known[2]
    assert known[1].pop("short:3500") == T + 20 * MINUTE
    assert set(known[1].values()) == {0}
    assert list(known[1])[:2] == ["rows", "attempts"]


def test_a_policy_by_which_calls_were_found_late_is_not_withdrawn() -> None:
    """Its lateness differs: the late line has followed it, although no window has been evaluated under it."""
    before, after = policy_of("60m"), policy_of("1m")
    lines = [call("a", -20), call("b", 65), call("late", -1), call("c", 70), call("d", 200)]
    partition = StreamTask(before, live=DecidingSettings(max_ahead_ms=0), sources=2)
    assert partition.policy_changes.apply(to_plain(after), after.sha256, T, "", "", 0) is None
    partition.feed(0, rows_of(0, lines, list(range(len(lines))), 0, 1, T + 300 * MINUTE))
    assert partition.policy_changes.withdraw([before.sha256], "", "", 0) is not None, "it is in force"
    partition.feed(0, rows_of(1, lines, list(range(len(lines))), 1, 3, T + 300 * MINUTE))
    assert len(partition.take().late) == 1
    assert partition.watermark.ms == 0, "the other source has no clock yet"
    wrong = partition.policy_changes.withdraw([after.sha256], "", "", 0)
    assert wrong is not None
    assert wrong.startswith("records were already judged or found late under it: ")
    assert [version.policy.sha256 for version in partition.policies.versions] == [before.sha256, after.sha256]


def test_recalling_entries_that_a_newer_state_contains_changes_nothing() -> None:
    """An audit passes every recorded entry to an exported state, including those that led to it."""
    first, *others = [policy_of("10m", above=n) for n in range(4)]
    partition = StreamTask(first, live=DecidingSettings(max_ahead_ms=0), sources=1)
    entries: list[Any] = []
    stored: list[dict[str, bytes]] = []
    lines = [call(f"c{n}", n) for n in range(0, 200, 5)]
    kept: dict[str, bytes] = {}

    def keep() -> None:
        partition.advance()
        entries.extend(entry for of, entry in partition.take().journal if of is None)
        store(partition, kept)
        stored.append(dict(kept))

    def read(minutes: int) -> None:
        nonlocal partition
        stop = minutes // 5 + 1
        while partition.sources.offsets[0] < stop:
            start = partition.sources.offsets[0]
            partition.feed(0, rows_of(start, lines, list(range(len(lines))), start, stop, T + 300 * MINUTE))
            partition.advance()
            if partition.switching:
                keep()
                partition = StreamTask(first, live=DecidingSettings(max_ahead_ms=0), sources=1)
                partition.restore(kept)
        keep()

    def switch(number: int, minutes: int) -> None:
        policy = others[number]
        assert partition.policy_changes.apply(to_plain(policy), policy.sha256, T + minutes * MINUTE, "", "", 0) is None
        keep()

    def withdraw(number: int) -> None:
        assert partition.policy_changes.withdraw([others[number].sha256], "", "", 0) is None
        keep()

    read(5)
    switch(0, 60)
    withdraw(0)
    switch(1, 30)  # before the withdrawn one
    switch(0, 60)  # and that one again, after another
    switch(2, 90)
    withdraw(0)
    read(50)
    switch(0, 120)
    withdraw(2)
    switch(2, 120 + 5)
    read(195)
    played = [(0, first), (30, others[1]), (120, others[0]), (125, others[2])]
    wanted = [(T + minutes * MINUTE if minutes else 0, policy.sha256) for minutes, policy in played]
    assert len(stored) > 12
    for records in stored:
        again = StreamTask(first, live=DecidingSettings(max_ahead_ms=0), sources=1, replaying=True)
        again.restore(records)
        again.recall(None, entries)
        found = [(version.from_ms, version.policy.sha256) for version in again.policies.versions]
        assert found == wanted[-len(found) :]
