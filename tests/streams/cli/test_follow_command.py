"""`callwarden follow` refuses what is not right before it does anything, each with what would be."""

from pathlib import Path

import pytest

from helpers.warm_commands import callwarden

TABLE = ("--sql", "postgresql://u:hunter2@db/kamailio", "--table", "acc", "--key", "id")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("cdr.csv",), "--format: expected a format or a mapping file"),
        (
            ("--format", "asterisk-csv"),
            "FILE: expected a file, or several; or a table: --sql URL --table NAME --key COLUMN",
        ),
        (("cdr.csv", "--format", "asterisk"), "that `callwarden map list` shows; did you mean"),
        (("cdr.csv", "--format", "bank-calls"), "--format bank-calls: it reads whole files only; expected a mapping"),
        (("cdr.csv", "--format", "twilio", "--name", "a b"), "--name 'a b': expected 1 to 64 letters, digits"),
        (("cdr.csv", "--format", "kamailio-acc", *TABLE), "FILE: expected files or a table, got both"),
        (
            ("--format", "kamailio-acc", "--table", "acc"),
            "--sql: expected it for a table: --sql URL --table NAME --key",
        ),
        (("--format", "kamailio-acc", *TABLE[:2]), "--table: expected it for a table"),
        (
            ("--format", "asterisk-csv", *TABLE),
            "--format asterisk-csv: a row of a table has names of columns; expected a mapping",
        ),
        (
            ("--format", "kamailio-acc", "--sql", "hunter2"),
            "--sql: not the address of a database; expected postgresql://",
        ),
        (("cdr.csv", "--format", "twilio", "--port", "0"), "--port: "),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(tmp_path: Path, words: tuple[str, ...], wanted: str) -> None:
    done = callwarden("follow", *words, folder=tmp_path)
    said = done.stderr.decode()
    assert (done.returncode, "Traceback" in said) == (2, False), said
    assert wanted in said
    assert "hunter2" not in said
    assert list(tmp_path.iterdir()) == []
