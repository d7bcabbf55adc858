"""`callwarden bridge` refuses what is not right before it does anything, each with what would be."""

import os
from pathlib import Path

import pytest

from helpers.warm_commands import callwarden


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], "Missing option '--source-topic'"),
        (["--source-topic", "t", "--format", "freeswitch-jsn"], "freeswitch-json"),
        (["--source-topic", "t", "--format", "bank-calls"], "--format bank-calls: it reads files only"),
        (["--source-topic", "t", "--format", "tccc", "--start-at", "middle"], "'middle' is not one of"),
        (["--source-topic", "callwarden.cdr", "--format", "tccc"], "it is one of Callwarden's own topics"),
        (["--source-topic", "t", "--format", "tccc", "--port", "0"], "--port: `0` is not allowed"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(tmp_path: Path, options: list[str], wanted: str) -> None:
    done = callwarden("bridge", *options, folder=tmp_path, environment=os.environ | {"COLUMNS": "200"})
    said = done.stderr.decode()
    assert (done.returncode, "Traceback" in said) == (2, False), said
    assert wanted in said
    assert list(tmp_path.iterdir()) == []
