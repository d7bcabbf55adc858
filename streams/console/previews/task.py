"""What a preview's child process receives and what it reports: values, and their form on the pipes."""

from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct, json

from streams.console.previews.result import PreviewResult
from streams.settings.load import Settings

Source = Literal["topics", "file", "replay"]
Step = Literal["scan", "before", "after", "compare"]
LONGEST_LINE = 8 << 20
"""Of a report; a result is smaller."""


@dataclass(frozen=True, slots=True)
class PreviewTask:
    """Judge the same records by ``base``, a resolved policy as canonical JSON, and by ``policy``, a file's text.

    ``source``: the input topics from ``since_ms`` on (None: all), the same of a replay's files ``paths``, or the file
    that is open as ``file``. ``format``: of that file, as of `callwarden replay --format`; empty: records as JSON
    lines. ``constants``: its settings, as of ``--set``. ``upheld``: by tenant, whether a review upheld a decision about
    it.
    """

    policy: bytes
    base: str
    base_sha256: str
    source: Source
    settings: Settings
    now_ms: int
    since_ms: int | None = None
    file: int | None = None
    paths: tuple[str, ...] = ()
    format: str = ""
    constants: dict[str, str] = field(default_factory=dict)
    upheld: dict[str, bool] = field(default_factory=dict)


class Progress(Struct, tag="progress", frozen=True):
    """Records read of ``total`` (0: not known) in this step."""

    step: Step
    read: int
    total: int


class Done(Struct, tag="done", frozen=True):
    """The result."""

    result: PreviewResult


class Failed(Struct, tag="failed", frozen=True):
    """Why there is no result: the end of a text's key, and what else is known, without data of records.

    ``detail_zh`` is the detail in Chinese, empty if there is none.
    """

    why: str
    detail: str = ""
    detail_zh: str = ""


Report = Progress | Done | Failed
_DECODER: json.Decoder[Report] = json.Decoder(Report)


def encode(report: Report) -> bytes:
    """A report as one line."""
    return json.encode(report) + b"\n"


def decode(line: bytes) -> Report:
    """The report of a line. Raises msgspec.DecodeError."""
    report: Report = _DECODER.decode(line)
    return report
