"""The records that what-if reports count are those that a replay accepts, and the late ones."""

import random
from pathlib import Path

import pytest

from monitor.policy.load import load
from monitor.replay.run import ReplayOptions, replay
from monitor.whatif import distinct_records
from monitor.whatif.record_rows import inspected
from schemas import codec

T0 = 1_772_409_600_000
MINUTE = 60_000


def line(tenant: str, number: int, end_ms: int) -> bytes:
    return (
        f'{{"type":"cdr","call_id":"c{number}","tenant_id":"{tenant}","direction":"outbound","caller":"1","callee":"2",'
        f'"start_ms":{end_ms},"end_ms":{end_ms},"outcome":"busy"}}\n'
    ).encode()


def write_files(rng: random.Random, folder: Path) -> list[Path]:
    """Files with calls in disorder, some late, some of the future, some again later or in another file."""
    written: list[list[bytes]] = [[], [], []]
    for number in range(600):
        tenant, at_ms = rng.choice("ab"), T0 + number * MINUTE // 4 - rng.choice((0, 5, 9, 11, 30)) * MINUTE
        if rng.random() < 0.05:
            at_ms += rng.choice((1, 100)) * 86_400_000
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            written[rng.randrange(3)].append(line(tenant, number, at_ms))
    for lines in written:
        lines += rng.sample(lines, 20)
    paths = [folder / f"{number}.jsonl" for number in range(3)]
    for path, lines in zip(paths, written, strict=True):
        path.write_bytes(b"".join(lines))
    return paths


@pytest.mark.parametrize("seed", range(6))
def test_as_many_calls_are_inspected_as_a_replay_accepts_or_finds_late(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {seed}")
    monkeypatch.setattr(distinct_records, "_LEAST_IDS", 16)
    paths, policy, not_after_ms = write_files(random.Random(seed), tmp_path), load(None), T0 + 3 * 3_600_000
    seen: list[object] = []
    read = inspected([None] * 3, policy.lateness_ms, not_after_ms, seen.append)
    summary = replay(paths, policy, ReplayOptions(not_after_ms=not_after_ms), adapter=read).summary
    assert summary.late
    assert summary.rejected
    assert summary.duplicates
    assert len(seen) == summary.accepted + summary.late


def test_memory_is_that_of_the_calls_within_the_lateness() -> None:
    distinct = distinct_records.DistinctRecords(10 * MINUTE)
    for number in range(100_000):
        assert distinct.take(codec.read(line("a", number, T0 + number * 1_000)), None)
    assert len(distinct._ids) <= distinct_records._LEAST_IDS + 1
