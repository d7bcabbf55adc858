"""A replay in several processes reads the same input as in one: files, pipes, compressed files, and foreign formats."""

import gzip
import io
import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import zstandard

from helpers.thorough import thorough
from monitor.adapters.shipped import open_adapter
from monitor.policy.load import load
from monitor.replay.files import DamagedFileError
from monitor.replay.local import UntilTooEarlyError
from monitor.replay.outcome import Outcome
from monitor.replay.parallel_sources import FileRange, file_range
from monitor.replay.run import ReplayOptions, ReplayProgress, replay
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from schemas import codec

FAR = 4_102_444_799_999


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated records as they are, compressed, and split in two."""
    folder = tmp_path_factory.mktemp("sources")
    [path] = simulate(SimulationSettings(tenants=8, days=1, seed=3, calls_per_day=600), folder).files
    content = path.read_bytes()
    (folder / "records.jsonl.gz").write_bytes(gzip.compress(content, 1))
    (folder / "records.jsonl.zst").write_bytes(zstandard.compress(content))
    lines = content.splitlines(keepends=True)
    for part in range(2):
        (folder / f"part-{part}.jsonl").write_bytes(b"".join(lines[part::2]))
    return folder


def judged(paths: list[Path | str], jobs: int, **how: Any) -> Outcome:
    return replay(list(paths), load(None), ReplayOptions(not_after_ms=FAR, jobs=jobs, piece_lines=300), **how)


def content(outcome: Outcome) -> dict[str, Any]:
    found = asdict(outcome)
    for name in ("enforcement", "shadow", "alerts"):
        found[name] = [codec.encode(one) for one in getattr(outcome, name)]
    return found


@pytest.mark.parametrize(
    "names",
    thorough([["records.jsonl.zst", "part-0.jsonl"], ["records.jsonl.gz"], ["part-0.jsonl", "part-1.jsonl"]], 1),
)
def test_files_are_read_as_in_one_process(names: list[str], folder: Path) -> None:
    paths: list[Path | str] = [folder / name for name in names]
    assert content(judged(paths, 2)) == content(judged(paths, 1))


def test_pipes_are_read_as_files_are(folder: Path, tmp_path: Path) -> None:
    """Two of them, which are read side by side, whichever process is behind."""
    fifos, writers = [], []
    for part in range(2):
        fifo = tmp_path / f"part-{part}.jsonl"
        os.mkfifo(fifo)
        source = folder / fifo.name
        writers.append(threading.Thread(target=lambda fifo=fifo, source=source: fifo.write_bytes(source.read_bytes())))
        writers[-1].start()
        fifos.append(fifo)
    found = content(judged(list(fifos), 2))
    for writer in writers:
        writer.join()
    wanted = content(judged([folder / fifo.name for fifo in fifos], 1))
    for outcome in (found, wanted):
        for one in outcome["rejected"]:
            one["file"] = Path(one["file"]).name
    assert found == wanted


def test_standard_input_is_read_as_a_file_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (folder / "part-0.jsonl").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole)))
    found = judged(["-"], 2).summary
    assert found == judged([folder / "part-0.jsonl"], 1).summary


def test_a_foreign_format_is_mapped_once(tmp_path: Path) -> None:
    path = tmp_path / "cdr.jsonl"
    rows = [
        {"id": f"c{n}", "t": f"t{n % 7}", "a": "13800000001", "b": f"1390000{n:04}", "at": 1_772_409_600 + n}
        for n in range(900)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"id": "x"}]))
    (tmp_path / "mapping.yaml").write_text(
        "record: cdr\nformat: jsonl\nfields:\n  call_id: {column: id}\n  tenant_id: {column: t}\n"
        "  direction: {const: outbound}\n  caller: {column: a}\n  callee: {column: b}\n"
        "  start_ms: {column: at, time: epoch_s}\n  end_ms: {column: at, time: epoch_s}\n  outcome: {const: busy}\n"
    )
    adapter = open_adapter(str(tmp_path / "mapping.yaml"))
    one, two = (judged([path], jobs, adapter=adapter) for jobs in (1, 2))
    assert content(one) == content(two)
    assert (one.summary.accepted, one.summary.rejected) == (900, 1)


def test_an_end_before_the_last_record_is_refused(folder: Path) -> None:
    options = ReplayOptions(jobs=2, not_after_ms=FAR, until_ms=1_000_000_000_000)
    with pytest.raises(UntilTooEarlyError, match=r"--until 2001-09-09T01:46:40\.000Z is before"):
        replay([folder / "part-0.jsonl"], load(None), options)


@pytest.mark.parametrize("name", thorough(["cut.gz", "no-such.jsonl", "folder"], 2))
def test_a_file_that_cannot_be_read_is_an_error_of_the_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"{}\n" * 9_999)[:-9])
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=name) as one:
        judged([tmp_path / name], 1)
    with pytest.raises(OSError, match=name) as two:
        judged([tmp_path / name], 2)
    assert type(one.value) is type(two.value)
    assert str(one.value) == str(two.value)


def test_progress_counts_each_record_once(folder: Path) -> None:
    told: list[ReplayProgress] = []
    outcome = judged([folder / "part-0.jsonl"], 2, progress=told.append)
    assert max(one.read for one in told) == outcome.summary.read
    assert sum(len(one.decided) for one in told) == outcome.summary.enforcement
    assert {one.watermark_ms for one in told} > {None}


def test_each_process_reads_what_the_file_held_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    path.write_bytes(b"one\ntwo")
    found = file_range(str(path))
    assert found is not None
    with found, path.open("ab") as more:
        more.write(b" and more\n")
        more.flush()
        assert (found.read(4), found.read(100), found.read(1)) == (b"one\n", b"two", b"")


def test_a_file_that_is_shortened_meanwhile_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "shrinks"
    path.write_bytes(b"x" * 100)
    found = file_range(str(path))
    assert isinstance(found, FileRange)
    with found:
        os.truncate(path, 50)
        assert found.read(60) == b"x" * 50
        with pytest.raises(DamagedFileError, match="shrinks: damaged: the file was shortened while it was read"):
            found.read(10)


@pytest.mark.parametrize("name", ["empty.jsonl", "some.gz", "some.zst", "-"])
def test_what_only_one_process_can_read_is_no_range(name: str, tmp_path: Path) -> None:
    for file, held in (("empty.jsonl", b""), ("some.gz", b"x"), ("some.zst", b"x")):
        (tmp_path / file).write_bytes(held)
    assert file_range(name if name == "-" else str(tmp_path / name)) is None
