"""`callwarden console run`: what it refuses before it serves a page."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.app import build


def test_a_faulty_policy_is_refused_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text("id: x\nversion: '1'\nextends: access-rules\nrules: 7\n", "utf-8")
    monkeypatch.setenv("CALLWARDEN_POLICY", str(faulty))
    result = CliRunner().invoke(build("console"), ["console", "run"])
    assert result.exit_code == 2
    assert "faulty.yaml:4:" in result.output
