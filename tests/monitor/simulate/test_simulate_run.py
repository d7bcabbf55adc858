"""A run gives the same bytes for a seed, and its records arrive late, twice and around the clock as requested."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from simulated_world import World, make_world

from monitor.simulate.run import simulate
from monitor.simulate.settings import DAY_MS, HOUR_MS, SimulationSettings
from monitor.simulate.tenants.kinds import BY_NAME
from schemas import codec
from schemas.inputs import Cdr, Complaint, Finding, Record, Tenant

SMALL = SimulationSettings(tenants=40, days=2, seed=77, calls_per_day=4_000)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_hash_order(tmp_path: Path) -> None:
    print("seed", SMALL.seed)
    simulate(SMALL, tmp_path / "here")
    script = (
        "from pathlib import Path\n"
        "from monitor.simulate.run import simulate\n"
        "from monitor.simulate.settings import SimulationSettings\n"
        f"simulate({SMALL!r}, Path({str(tmp_path / 'there')!r}))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONHASHSEED": "123"})
    assert bytes_of(tmp_path / "here") == bytes_of(tmp_path / "there")


def test_another_seed_gives_other_records(tmp_path: Path) -> None:
    simulate(SMALL, tmp_path / "a")
    simulate(replace(SMALL, seed=78), tmp_path / "b")
    assert bytes_of(tmp_path / "a")["records.jsonl"] != bytes_of(tmp_path / "b")["records.jsonl"]


def test_every_record_is_valid_to_the_letter(tmp_path: Path) -> None:
    for name, more in (("whole", {}), ("bare", {"optional": False, "split": True})):
        summary = simulate(replace(SMALL, **more), tmp_path / name)
        for path in summary.files:
            for line in path.read_bytes().splitlines():
                codec.read(line)  # raises an error with the reason


def test_every_tenant_has_one_label_that_agrees_with_its_kind(world: World) -> None:
    registered = {r.tenant_id for r in world.records if isinstance(r, Tenant)}
    assert set(world.labels) == registered
    assert len(registered) == world.settings.tenants
    for label in world.labels.values():
        kind = BY_NAME[label.kind]
        assert (label.honest, label.found_by, label.tier) == (kind.honest, kind.found_by, kind.tier)
        assert (label.bad_from_ms is None) == label.honest


def test_no_tenant_is_bad_before_the_time_of_its_label(world: World) -> None:
    first: dict[str, int] = {}
    for record in world.records:
        bad = BY_NAME[world.kind_of(record)]
        if isinstance(record, (Complaint, Finding)) and bad.script and not bad.honest:
            when = record.occurred_ms if isinstance(record, Complaint) and record.occurred_ms else record.updated_ms
            assert isinstance(when, int)
            first[record.tenant_id] = min(first.get(record.tenant_id, when), when)
    assert first
    for tenant_id, when in first.items():
        bad_from = world.labels[tenant_id].bad_from_ms
        assert bad_from is not None
        # Ordinary complaints about honest calls may come before.
        if BY_NAME[world.labels[tenant_id].kind].profile != "sales":
            assert bad_from <= when


def late_and_again(records: list[Record], lateness_ms: int) -> tuple[int, int]:
    """The numbers of late and of repeated calls, as a reader of the file counts them."""
    clock = late = again = 0
    seen: set[tuple[str, str]] = set()
    for record in records:
        when = record.end_ms if isinstance(record, Cdr) else record.updated_ms
        clock = max(clock, when)
        if not isinstance(record, Cdr):
            continue
        late += when < clock - lateness_ms
        again += (record.tenant_id, record.call_id) in seen
        seen.add((record.tenant_id, record.call_id))
    return late, again


@pytest.mark.parametrize(("late_share", "duplicate_share"), [(0.0, 0.0), (0.02, 0.0), (0.0, 0.03), (0.01, 0.01)])
def test_late_and_duplicate_shares_are_as_asked(tmp_path: Path, late_share: float, duplicate_share: float) -> None:
    made = make_world(tmp_path, late_share=late_share, duplicate_share=duplicate_share, days=1)
    calls = sum(isinstance(record, Cdr) for record in made.records)
    late, again = late_and_again(made.records, made.settings.lateness_ms)
    assert 0.95 * made.summary.late <= late <= made.summary.late
    assert late / calls == pytest.approx(late_share, rel=0.25)
    assert again / calls == pytest.approx(duplicate_share, rel=0.25)


def test_a_duplicate_is_the_same_bytes(tmp_path: Path) -> None:
    summary = simulate(SimulationSettings(40, 1, 5, 4_000, duplicate_share=0.2), tmp_path)
    lines = Counter(summary.files[0].read_bytes().splitlines())
    assert sum(count - 1 for count in lines.values()) == summary.duplicates > 0
    decoder = msgspec.json.Decoder(Record)
    ids = Counter((c.tenant_id, c.call_id) for c in map(decoder.decode, lines) if isinstance(c, Cdr))
    assert max(ids.values()) == 1


def test_another_lateness_is_kept(tmp_path: Path) -> None:
    made = make_world(tmp_path, lateness_ms=60_000, late_share=0.01, days=1)
    late, _ = late_and_again(made.records, 60_000)
    # At night this few tenants advance the clock too slowly for every one to be late.
    assert 0.95 * made.summary.late <= late <= made.summary.late
    assert late > 100


def test_load_follows_the_day_and_the_week_in_shanghai(tmp_path: Path) -> None:
    made = make_world(tmp_path, days=7, calls_per_day=8_000)
    starts = [r.start_ms - made.settings.start_ms for r in made.records if isinstance(r, Cdr)]
    hours = Counter(ms % DAY_MS // HOUR_MS for ms in starts)
    assert hours[10] > 1.5 * hours[12] > 3 * hours[21]
    assert max(hours[h] for h in range(6)) < 0.1 * hours[10]
    days = Counter(ms // DAY_MS for ms in starts)
    assert days[6] < days[5] < 0.8 * min(days[d] for d in range(5))
    assert days[0] == pytest.approx(8_000, rel=0.15)


def test_a_start_elsewhere_keeps_the_hours_of_shanghai(tmp_path: Path) -> None:
    start = 1_772_380_800_000 + 17 * HOUR_MS + 1_234
    made = make_world(tmp_path, days=1, start_ms=start)
    assert made.settings.start_ms == start - 1_234
    hours = Counter((r.start_ms // HOUR_MS + 8) % 24 for r in made.records if isinstance(r, Cdr))
    assert hours[10] > 5 * hours[3]


def test_without_optional_fields_none_is_written(tmp_path: Path) -> None:
    with_them = make_world(tmp_path / "with", days=1)
    without = make_world(tmp_path / "without", days=1, optional=False)
    for world, filled in ((with_them, True), (without, False)):
        calls = [r for r in world.records if isinstance(r, Cdr)]
        for name in ("consent_id", "hangup_by", "ring_ms", "answered_by"):
            assert any(getattr(call, name) is not None for call in calls) == filled, name
    count = sum(isinstance(r, Cdr) for r in with_them.records)
    assert count == sum(isinstance(r, Cdr) for r in without.records)


def test_split_files_hold_the_same_records_by_topic(tmp_path: Path) -> None:
    whole = make_world(tmp_path / "whole", days=1)
    parts = make_world(tmp_path / "parts", days=1, split=True)
    assert [path.stem for path in parts.summary.files] == ["cdr", "complaints", "findings", "tenants", "reviews"]
    lines = [line for path in parts.summary.files for line in path.read_bytes().splitlines()]
    assert sorted(lines) == sorted(whole.summary.files[0].read_bytes().splitlines())
    assert (tmp_path / "parts" / "labels.jsonl").read_bytes() == (tmp_path / "whole" / "labels.jsonl").read_bytes()


def test_no_other_record_falls_below_the_late_line(world: World) -> None:
    """It would count at that line, and the reviews name decisions by the records' own times."""
    clock = 0
    seen: set[bytes] = set()
    for record in world.records:
        when = record.end_ms if isinstance(record, Cdr) else record.updated_ms
        clock = max(clock, when)
        if not isinstance(record, Cdr) and (line := msgspec.json.encode(record)) not in seen:
            assert when >= clock - world.settings.lateness_ms
            seen.add(line)


def test_no_id_comes_again_in_a_run_of_another_mark(tmp_path: Path) -> None:
    def ids(mark: int) -> set[str]:
        simulate(replace(SMALL, mark=mark), tmp_path / str(mark))
        lines = (tmp_path / str(mark) / "records.jsonl").read_bytes().splitlines()
        records = [record for line in lines if not isinstance(record := codec.read(line), Tenant)]
        return {codec.record_id(record) for record in records}

    first, second = ids(1), ids(2)
    assert len(first) > 1_000
    assert first & second == set()
