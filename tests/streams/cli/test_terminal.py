"""No outside text controls a terminal: no file name, file header or policy key."""

import io
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from helpers.patience import PATIENCE_S
from helpers.warm_commands import callwarden
from monitor.text.masking import visible_lines
from streams.cli.terminal import TerminalWriter, raw_stream

CLEAR = "\x1b[2J\x1b[31m\x9b5n\u202e\u200b"
ACTS = {"\x1b", "\x9b", "\u202e", "\u200b", "\r", "\x07"}


def command(*words: str, folder: Path) -> tuple[int, str, str]:
    done = callwarden(*words, folder=folder, environment={**os.environ, "PYTHONIOENCODING": "utf-8"})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_no_text_controls_the_terminal() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    acting = [chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) in ("Cc", "Cf")]
    for _ in range(300):
        text = "".join(rng.choice((*acting[:70], rng.choice(acting), "a", "费", "\n")) for _ in range(30))
        stream = io.StringIO()
        print(text, file=TerminalWriter(stream))  # type: ignore[arg-type]
        left = {c for c in stream.getvalue() if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
        assert not left
        assert not {"\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad"} & {*stream.getvalue()}
    assert visible_lines("a\tb\r\n\x1b[0m") == "a\tb\\u000d\n\\u001b[0m"


def test_our_own_colours_surround_the_text() -> None:
    stream = io.StringIO()
    shown = TerminalWriter(stream)
    Console(file=shown, force_terminal=True, highlight=False).print(Text("red", style="red"))  # type: ignore[arg-type]
    assert "\x1b[31mred" in stream.getvalue()
    assert raw_stream(shown) is stream  # type: ignore[arg-type]


def test_control_characters_in_headers_policies_and_file_names_are_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text(f"13812345678,{CLEAR}name\n1,2\n", "utf-8")
    (tmp_path / "map.yaml").write_text(
        "format: csv\nrecord: application\nfields:\n  application_id: {column: id}\n  tenant_id: {column: id}\n"
        "  updated_ms: {column: at, time: epoch_s}\n  declared_business: {const: b}\n",
        "utf-8",
    )
    (tmp_path / "policy.yaml").write_text('id: house\nversion: "1"\n"a\\x1b[2J\\nb": 1\n', "utf-8")
    runs = [
        command("replay", "calls.csv", "--format", "map.yaml", "--out", "out", folder=tmp_path),
        command("policy", "check", "policy.yaml", folder=tmp_path),
        command("policy", "check", f"none{CLEAR}.yaml", folder=tmp_path),
        # Typer does not remove the sequence that sets a window's title when there is no terminal.
        command("replay", "none\x1b]0;title\x07.jsonl", "--out", "out", folder=tmp_path),
    ]
    for status, out, err in runs:
        assert status == 2, err
        assert not ACTS & {*out, *err}, err
    said = runs[0][2]
    assert "the file has no column `at`" in said
    assert "\\u001b[2J" in said
    assert "13812345678" not in said
    assert "unknown key `a\\u001b[2J\\u000ab`" in runs[1][2], "a line of it is none of ours"
    assert runs[3][2].startswith("none\\u001b]0;title\\u0007.jsonl: no such file")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [("--version", 0), ("policy check none.yaml", 2)])
def test_a_closed_output_changes_no_exit_status(closed: str, words: str, status: int, tmp_path: Path) -> None:
    script = f"{Path(sys.executable).parent / 'callwarden'} {words} {closed}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
