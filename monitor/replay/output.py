"""The output directory of a replay: the files of section 8 of the contract, and further files for the report."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final

import orjson

from monitor.policy.model import Policy
from monitor.policy.serialize import to_plain
from monitor.replay.outcome import Outcome
from monitor.text.private_files import make_folder, make_private, open_private
from schemas import codec
from schemas.outputs import JudgedWindow, Rejected

MEASURES: Final = "measures.jsonl"
FILES: Final = (
    *("enforcement.jsonl", "alerts.jsonl", "shadow.jsonl", "late.jsonl", "rejected.jsonl", "windows.jsonl", MEASURES),
    *("summary.json", "policy.json"),
)
"""All that a replay writes to its folder, or deletes there, except `UNFINISHED`."""
UNFINISHED: Final = "unfinished"
"""An empty file in the folder until the replay has ended: what is there may be in part that of an earlier replay."""


class WindowFile:
    """``windows.jsonl``, written during the replay, because the windows may not fit in memory."""

    def __init__(self, folder: Path) -> None:
        _begin(folder)
        self.path = folder / "windows.jsonl"
        self._file = open_private(self.path)

    def __enter__(self) -> "WindowFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, windows: Sequence[JudgedWindow]) -> None:
        """Write the next windows, in order."""
        self._file.writelines(codec.encode(window) + b"\n" for window in windows)


class MeasureFile:
    """``measures.jsonl``, written during the replay, because the measures may not fit in memory."""

    def __init__(self, folder: Path) -> None:
        _begin(folder)
        self._file = open_private(folder / MEASURES)

    def __enter__(self) -> "MeasureFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, measures: Sequence[bytes]) -> None:
        """Write the next measures, in order."""
        self._file.writelines(one + b"\n" for one in measures)


def write(outcome: Outcome, policy: Policy, folder: Path, windows: bool) -> list[Path]:
    """Write an outcome to ``folder``, which is created if absent. Returns the paths. Raises OSError on failure.

    Rejected and late records contain telephone numbers, so only the owner can read new files. ``windows`` also writes
    the windows of the outcome; omit it if a `WindowFile` has written them.
    """
    _begin(folder)
    lines: dict[str, Iterable[bytes]] = {
        "enforcement.jsonl": map(codec.encode, outcome.enforcement),
        "alerts.jsonl": map(codec.encode, outcome.alerts),
        "shadow.jsonl": map(codec.encode, outcome.shadow),
        "late.jsonl": outcome.late,
        "rejected.jsonl": (
            codec.encode(rejected_line(one.file, one.line, one.reason, one.raw)) for one in outcome.rejected
        ),
    }
    if windows:
        lines["windows.jsonl"] = map(codec.encode, outcome.windows)
    paths = []
    for name, content in lines.items():
        path = folder / name
        with open_private(path) as file:
            file.writelines(line + b"\n" for line in content)
        paths.append(path)
    pretty = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    for name, value in (("summary.json", asdict(outcome.summary)), ("policy.json", to_plain(policy))):
        with open_private(folder / name) as file:
            file.write(orjson.dumps(value, option=pretty))
        paths.append(folder / name)
    (folder / UNFINISHED).unlink()
    return paths


def _begin(folder: Path) -> None:
    make_folder(folder)
    make_private(folder / UNFINISHED)


def rejected_line(file: str, line: int, reason: str, raw: bytes) -> Rejected:
    """The line of ``rejected.jsonl`` for a row."""
    try:
        return Rejected(file, line, reason, raw.decode())
    except UnicodeDecodeError:
        return Rejected(file, line, reason, base64.b64encode(raw).decode(), "base64")
