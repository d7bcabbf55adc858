"""`callwarden schema` exports what its check accepts, and its check fails on anything else."""

from pathlib import Path

import pytest

from helpers.warm_commands import callwarden


def test_export_then_check(tmp_path: Path) -> None:
    exported = callwarden("schema", "export", "--out", str(tmp_path / "out"))
    assert exported.returncode == 0, exported.stderr
    assert str(tmp_path / "out" / "json" / "cdr.schema.json") in exported.stdout.decode().splitlines()
    assert callwarden("schema", "check", str(tmp_path / "out")).returncode == 0
    (tmp_path / "out" / "asyncapi.json").write_text("{}")
    checked = callwarden("schema", "check", str(tmp_path / "out"))
    assert checked.returncode == 1
    said = checked.stderr.decode()
    assert "asyncapi.json: differs" in said
    assert f"callwarden schema export --out {tmp_path / 'out'}" in said


def test_the_installed_documents_are_checked_from_any_folder(tmp_path: Path) -> None:
    checked = callwarden("schema", "check", folder=tmp_path)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("command", [["export", "--out"], ["check"]])
def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, command: list[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = callwarden("schema", *command, str(blocked))
    assert done.returncode == 1
    said = done.stderr.decode()
    assert str(blocked) in said
    assert "Traceback" not in said


def test_a_wrong_subcommand_is_wrong_usage() -> None:
    assert callwarden("schema", "import").returncode == 2
