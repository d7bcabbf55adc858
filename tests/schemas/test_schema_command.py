"""`callwarden schema` exports what its check accepts, and its check fails on anything else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def callwarden(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from streams.cli.app import main; main()"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=cwd, env=env
    )


def test_export_then_check(tmp_path: Path) -> None:
    exported = callwarden("schema", "export", "--out", str(tmp_path / "out"))
    assert exported.returncode == 0, exported.stderr
    assert str(tmp_path / "out" / "json" / "cdr.schema.json") in exported.stdout.splitlines()
    assert callwarden("schema", "check", str(tmp_path / "out")).returncode == 0
    (tmp_path / "out" / "asyncapi.json").write_text("{}")
    checked = callwarden("schema", "check", str(tmp_path / "out"))
    assert checked.returncode == 1
    assert "asyncapi.json: differs" in checked.stderr
    assert f"callwarden schema export --out {tmp_path / 'out'}" in checked.stderr


def test_the_installed_documents_are_checked_from_any_folder(tmp_path: Path) -> None:
    checked = callwarden("schema", "check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("command", [["export", "--out"], ["check"]])
def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, command: list[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = callwarden("schema", *command, str(blocked))
    assert done.returncode == 1
    assert str(blocked) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_subcommand_is_wrong_usage() -> None:
    assert callwarden("schema", "import").returncode == 2
