"""Files with telephone numbers in clear are readable by their owner only, whatever the umask permits."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.app import build
from streams.cli.outputs import written_new
from streams.consumers.database import Database

CALL = (
    '{{"type":"cdr","call_id":"c{n}","tenant_id":"acme","direction":"outbound","caller":"+8613912345678",'
    '"callee":"+8613912345679","start_ms":{at},"end_ms":{at},"outcome":"busy"}}\n'
)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_replays_folder_is_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    records, out = tmp_path / "records.jsonl", tmp_path / "above" / "out"
    times = [1_772_409_600_000 + n * 60_000 for n in (60, 61, 0)]  # the last one is late
    records.write_text("".join(CALL.format(n=n, at=at) for n, at in enumerate(times)) + "not a record\n")
    done = CliRunner().invoke(build("replay"), ["replay", "-q", str(records), "--out", str(out), "--windows"])
    assert done.exit_code == 0, done.output
    assert (out / "late.jsonl").stat().st_size
    assert (out / "rejected.jsonl").stat().st_size
    assert mode(out) == 0o700
    assert {mode(path) for path in out.iterdir()} == {0o600}


def test_a_file_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    records, out = tmp_path / "records.jsonl", tmp_path / "out"
    records.write_text(CALL.format(n=1, at=1_772_409_600_000))
    out.mkdir(mode=0o750)
    (out / "late.jsonl").touch(mode=0o640)
    assert CliRunner().invoke(build("replay"), ["replay", "-q", str(records), "--out", str(out)]).exit_code == 0
    assert (mode(out), mode(out / "late.jsonl"), mode(out / "alerts.jsonl")) == (0o750, 0o640, 0o600)


async def test_a_database_and_its_side_files_are_private(tmp_path: Path, umask: int) -> None:
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}", "ledger")
    await database.migrate()
    with database.reading():
        assert {path.name for path in tmp_path.iterdir()} >= {"ledger.db", "ledger.db-wal"}
        assert {mode(path) for path in tmp_path.iterdir()} == {0o600}
    database.close()


def test_a_file_written_once_by_a_command_is_private(tmp_path: Path, umask: int) -> None:
    with written_new(tmp_path / "export") as file:
        file.write(b"1")
    assert mode(tmp_path / "export") == 0o600
