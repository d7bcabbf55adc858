"""Replay gives the same bytes for any order within lateness, pieces, shards, processes, and interruptions."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.thorough import examples, thorough
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import load, loads
from monitor.policy.model import Policy
from monitor.replay.output import write
from monitor.replay.run import ReplayOptions, replay
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from oracle.product import run
from oracle.scenario_generator import Scenario, permuted, scenario, short_names
from oracle.worked_cases import resolve
from schemas import codec

FAR = 4_102_444_799_999
IN_READING_ORDER = "rejected.jsonl"
PIECES = (1, 2, 3, 7, 40, 1_000, 5_000)
SHARDS = (1, 2, 3, 4, 7, 16, 64)
FEW_SHARDS = (1, 2, 3, 5)  # each needs a policy of its own
Files = Sequence[Sequence[bytes]]


def outputs(folder: Path, files: Files, policy: Policy, *, windows: bool = True, **how: Any) -> dict[str, bytes]:
    """Every file that a replay writes, byte for byte; rejected lines without their positions."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, lines in enumerate(files):
        path = folder / f"in-{number}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        paths.append(path)
    out = folder / "out"
    options = ReplayOptions(windows=windows, **{"not_after_ms": FAR, **how})
    write(replay(paths, policy, options), policy, out, windows=windows)
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    rejected = [json.loads(line) for line in written.pop(IN_READING_ORDER).splitlines()]
    written[IN_READING_ORDER] = json.dumps(sorted((r["reason"], r["raw"]) for r in rejected)).encode()
    return written


def with_ids_resolved(made: Scenario) -> list[list[str]]:
    """The scenario's files with the reviews' names of events replaced by the product's ids."""
    filled: list[list[list[str]]] = []

    def once(files: list[list[str]]) -> dict[str, Any]:
        filled.append(files)
        return run(files, made.policy, windows=False, not_after_ms=made.not_after_ms, until_ms=made.until_ms)

    resolve(made.files, once, short_names)
    return filled[-1]


def valid(line: str) -> bool:
    try:
        codec.read(line.encode())
    except codec.InvalidRecordError:
        return False
    return True


def identical(lines: Sequence[str]) -> list[str]:
    """The lines, with all records of one id (and status) made identical: none depends on which came first."""
    content: dict[tuple[Any, ...], str] = {}
    out = []
    for line in lines:
        record = codec.read(line.encode())
        version = getattr(record, "status", None) or getattr(record, "verdict", None)
        if version is None and type(record).__name__ in ("Tenant", "Application"):
            version = codec.event_time(record)
        key = (type(record).__name__, record.tenant_id, codec.record_id(record), version)
        out.append(content.setdefault(key, line))
    return out


@examples(
    *(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(PIECES), st.sampled_from(FEW_SHARDS)),
    fast=2,
    most=10,
)
def test_the_order_within_lateness_changes_no_byte(seed: int, order: int, piece_lines: int, shards: int) -> None:
    """One file, its records in two orders in which none is late, also read differently; with duplicates among them."""
    made = scenario(seed, size=40)
    files = with_ids_resolved(made)
    lines = identical([line for lines in files for line in lines if line.strip() and valid(line)])
    policy = loads(json.dumps(made.policy), "policy.json")
    rng = random.Random(order)
    orders = [[line.encode() for line in permuted(rng, lines, spread)] for spread in (0, policy.lateness_ms)]
    with TemporaryDirectory() as folder:
        whole = outputs(Path(folder, "a"), [orders[0]], policy)
        other = outputs(Path(folder, "b"), [orders[1]], policy, piece_lines=piece_lines, shards=shards)
    assert other == whole


@examples(st.integers(0, 10**6), st.sampled_from(PIECES), st.sampled_from(FEW_SHARDS), fast=2, most=12)
def test_pieces_and_shards_change_no_byte(seed: int, piece_lines: int, shards: int) -> None:
    """Several files with late, repeated, contradicting, hostile and blank lines."""
    made = scenario(seed, size=40)
    files = [[line.encode() for line in lines] for lines in with_ids_resolved(made)]
    policy = loads(json.dumps(made.policy), "policy.json")
    times: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms}
    with TemporaryDirectory() as folder:
        whole = outputs(Path(folder, "a"), files, policy, **times)
        assert outputs(Path(folder, "b"), files, policy, piece_lines=piece_lines, shards=shards, **times) == whole


@pytest.mark.parametrize("piece_lines", [1, 2, 3, 5_000])
@pytest.mark.parametrize("shards", [1, 3])
def test_tenants_without_accepted_records_are_not_counted_however_the_input_is_cut(
    piece_lines: int, shards: int, tmp_path: Path
) -> None:
    """Their calls were impossible, late, or too far ahead."""

    def call(tenant: str, name: str, end_ms: int, **changes: Any) -> bytes:
        record: dict[str, Any] = {
            "type": "cdr",
            "call_id": name,
            "tenant_id": tenant,
            "direction": "outbound",
            "caller": "1",
        }
        record |= {"callee": "2", "start_ms": end_ms, "end_ms": end_ms, "outcome": "busy"}
        return json.dumps({**record, **changes}).encode()

    start = 1_772_409_600_000
    lines = [
        call("good", "c1", start),
        call("impossible", "c2", start, start_ms=start + 1),
        call("good", "c3", start + 3_600_000),
        call("late", "c4", start),
        call("ahead", "c5", start + 7_200_000),
    ]
    how = {"piece_lines": piece_lines, "shards": shards, "not_after_ms": start + 3_600_000}
    written = outputs(tmp_path, [lines], load(None), **how)
    assert json.loads(written["summary.json"])["tenants"] == 1


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    """A day of simulated tenants: calls in one file, the rest in others."""
    folder = tmp_path_factory.mktemp("simulated")
    made = simulate(SimulationSettings(tenants=12, days=1, seed=7, calls_per_day=2_000, split=True), folder)
    return [path.read_bytes().splitlines() for path in made.files]


@pytest.fixture(scope="module")
def whole(simulated: list[list[bytes]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The result of one shard in one process, in pieces of the usual size."""
    out = outputs(tmp_path_factory.mktemp("whole"), simulated, load(None))
    assert out["enforcement.jsonl"]
    assert out["late.jsonl"]
    return out


@pytest.mark.parametrize("shards", thorough([64, 5, 2], [5]))
def test_simulated_traffic_under_the_built_in_policy_is_the_same_in_any_number_of_shards(
    shards: int, simulated: list[list[bytes]], whole: dict[str, bytes], tmp_path: Path
) -> None:
    piece_lines = {2: 100, 5: 1_234, 64: 5_000}[shards]
    assert outputs(tmp_path, simulated, load(None), shards=shards, piece_lines=piece_lines) == whole


@pytest.mark.parametrize("jobs", thorough([2, 3], 1))
def test_simulated_traffic_is_the_same_in_any_number_of_processes(
    jobs: int, simulated: list[list[bytes]], whole: dict[str, bytes], tmp_path: Path
) -> None:
    assert outputs(tmp_path, simulated, load(None), jobs=jobs, piece_lines=400) == whole


def test_history_decides_nothing_in_any_number_of_processes(
    simulated: list[list[bytes]], whole: dict[str, bytes], tmp_path: Path
) -> None:
    decided = [json.loads(line)["data"]["decided_ms"] for line in whole["enforcement.jsonl"].splitlines()]
    from_ms = sorted(decided)[len(decided) // 2]
    one = outputs(tmp_path / "one", simulated, load(None), windows=False, enforce_from_ms=from_ms)
    assert outputs(tmp_path / "two", simulated, load(None), windows=False, jobs=2, enforce_from_ms=from_ms) == one
    since = [json.loads(line)["data"]["decided_ms"] for line in one["enforcement.jsonl"].splitlines()]
    assert min(since) >= from_ms > min(decided)


@pytest.mark.parametrize("seed", thorough([6, 0], 1))
def test_awkward_files_are_the_same_in_several_processes(seed: int, tmp_path: Path) -> None:
    """Late, hostile and blank lines, pieces of a few lines."""
    check_jobs(seed, 2, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_awkward_files_are_the_same_in_several_processes(seed: int, tmp_path: Path) -> None:
    check_jobs(seed, seed % 4 + 1, tmp_path)


def check_jobs(seed: int, jobs: int, folder: Path) -> None:
    print(f"seed {seed}")
    made = scenario(seed, size=80)
    files = [[line.encode() for line in lines] for lines in with_ids_resolved(made)]
    policy = loads(json.dumps(made.policy), "policy.json")
    times: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms}
    whole = outputs(folder / "a", files, policy, **times)
    assert (
        outputs(folder / "b", files, policy, jobs=jobs, piece_lines=random.Random(seed).choice((3, 40)), **times)
        == whole
    )


def stopped(policy: Policy, files: Files, rng: random.Random) -> dict[str, list[bytes]]:
    """Sources read in turns in pieces; the partition is recreated from its snapshot after any of them."""

    def rows(source: int, start: int, stop: int) -> RecordBatch:
        return RecordBatch(start, stop, np.arange(start, stop), np.full(stop - start, FAR), files[source][start:stop])

    kept: list[Any] = []
    stored: dict[str, bytes] = {}
    partition, at, restarts = StreamTask(policy, sources=len(files)), [0] * len(files), 0
    while any(place < len(lines) for place, lines in zip(at, files, strict=True)):
        source = rng.choice([n for n, lines in enumerate(files) if at[n] < len(lines)])
        stop = min(len(files[source]), at[source] + rng.choice((1, 50, 700)))
        partition.feed(source, rows(source, at[source], stop))
        at[source] = stop
        for number, lines in enumerate(files):
            if at[number] == len(lines):
                partition.sources.end(number)
        partition.advance()
        if rng.random() < 0.2 or not restarts:
            restarts += 1
            kept.append(partition.take())
            changes = dict(partition.snapshot())
            stored = {key: blob for key, blob in {**stored, **changes}.items() if blob is not None}
            partition = StreamTask(policy, sources=len(files))
            for number, place in enumerate(partition.restore(stored)):
                partition.feed(number, rows(number, place, at[number]))
    partition.finish()
    kept.append(partition.take())
    print(f"{restarts} restarts")
    return {
        "enforcement.jsonl": sorted(codec.encode(e) for taken in kept for e in taken.output.enforcement),
        "shadow.jsonl": sorted(codec.encode(e) for taken in kept for e in taken.output.shadow),
        "alerts.jsonl": sorted(codec.encode(a) for taken in kept for a in taken.output.alerts),
        "late.jsonl": sorted(late.raw for taken in kept for late in taken.late),
    }


@pytest.mark.parametrize("seed", thorough(range(3), 1))
def test_stops_on_the_way_change_nothing_of_simulated_traffic(
    seed: int, simulated: list[list[bytes]], whole: dict[str, bytes]
) -> None:
    """Under the built-in policy, with its windows of five minutes to thirty days."""
    print(f"seed {seed}")
    lines = [[line for line in one if line.strip()] for one in simulated]
    for name, said in stopped(load(None), lines, random.Random(seed)).items():
        assert said == sorted(whole[name].splitlines()), name


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, 2_000, 100))
def test_pieces_shards_and_orders_of_many_scenarios_change_no_byte(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 100):
        rng = random.Random(seed)
        made = scenario(seed)
        files = [[line.encode() for line in lines] for lines in with_ids_resolved(made)]
        policy = loads(json.dumps(made.policy), "policy.json")
        times: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms}
        how = {"piece_lines": rng.choice(PIECES), "shards": rng.choice(SHARDS)}
        print(f"seed {seed} {how}")
        one = outputs(tmp_path / f"{seed}-a", files, policy, **times)
        assert outputs(tmp_path / f"{seed}-b", files, policy, **times, **how) == one
        valid_lines = [line for lines in files for line in lines if line.strip() and valid(line.decode())]
        lines = identical([line.decode() for line in valid_lines])
        orders = [[line.encode() for line in permuted(rng, lines, spread)] for spread in (0, policy.lateness_ms)]
        one = outputs(tmp_path / f"{seed}-c", [orders[0]], policy)
        assert outputs(tmp_path / f"{seed}-d", [orders[1]], policy, **how) == one
