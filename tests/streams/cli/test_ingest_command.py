"""`callwarden ingest` rejects wrong options before it does anything, and names valid ones."""

import os
from pathlib import Path

import pytest

from helpers.warm_commands import callwarden


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, "no token is set; expected CALLWARDEN_INGEST_TOKENS_FILE, a file with the hashes of tokens"),
        ({"INGEST_AUTH": "none", "WEB_HOST": "0.0.0.0"}, "CALLWARDEN_INGEST_AUTH=none lets everybody write who can"),
        ({"INGEST_AUTH": "no"}, "CALLWARDEN_INGEST_AUTH: `no` is unknown; expected one of tokens, none"),
        ({"INGEST_TOKENS_FILE": "absent.yaml"}, "`absent.yaml` is not an existing file"),
        ({"INGEST_MAX_KEYS": "0"}, "CALLWARDEN_INGEST_MAX_KEYS: "),
    ],
)
def test_wrong_ingest_options_are_reported_in_a_sentence(
    tmp_path: Path, environment: dict[str, str], wanted: str
) -> None:
    mine = os.environ | {f"CALLWARDEN_{name}": value for name, value in environment.items()}
    done = callwarden("ingest", folder=tmp_path, environment=mine)
    said = done.stderr.decode()
    assert (done.returncode, "Traceback" in said) == (2, False), said
    assert wanted in said
    assert list(tmp_path.iterdir()) == []
