"""Reads a replay's output directory; data that can be as long as the input is counted in full and sampled."""

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from monitor.policy.load import PolicyError, load
from monitor.policy.model import Policy
from schemas.inputs import Cdr
from schemas.outputs import Alert, Enforcement, Rejected

T = TypeVar("T")

# How many are kept: late calls, rejected lines of each reason, reasons, and the newest shadow decisions.
LATE_KEPT = 500
REJECTED_KEPT = 8
REJECTED_GROUPS = 100
SHADOW_KEPT = 5_000
OTHER = "other"

_CODE = re.compile(r"[a-z][a-z0-9_.-]{1,63}(?=$|[:\s(])")
_VARIABLE = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|\d+")


class NotAReplayError(Exception):
    """The directory is not a replay's output, or a file in it is damaged; the text says which line and why."""


@dataclass(slots=True)
class RejectedGroup:
    """The rejected lines of one reason: all counted, the first few kept."""

    code: str
    count: int = 0
    samples: list[Rejected] = field(default_factory=list)


@dataclass(slots=True)
class Replay:
    """A replay's output. ``decisions`` and ``alerts`` (newest state of each) are complete, the rest sampled, counted.

    ``policy`` is None if the directory does not contain it: then there are no charts and times are in UTC.

    ``end_ms`` is the largest time in the output: pending decisions are shown as of then.
    """

    summary: dict[str, Any]
    policy: Policy | None
    decisions: list[Enforcement]
    alerts: list[Alert]
    shadow: deque[Enforcement]
    shadow_rules: Counter[str]
    shadow_tenants: Counter[str]
    late: list[Cdr]
    late_count: int
    rejected: list[RejectedGroup]
    rejected_count: int
    windows: Path | None
    end_ms: int


def read_replay(directory: Path) -> Replay:
    """The replay in ``directory``. Raises `NotAReplayError`. Memory: about 2 KB a decision, samples of the rest."""
    if not (directory / "enforcement.jsonl").is_file():
        raise NotAReplayError(f"{directory}: holds no enforcement.jsonl; name the --out directory of a replay")
    if (directory / "unfinished").exists():  # its files may be of two replays
        raise NotAReplayError(f"{directory}: holds a replay that did not end (the file `unfinished`); run it again")
    decisions = list(lines(directory / "enforcement.jsonl", Enforcement))
    alerts: dict[str, Alert] = {}
    for alert in lines(directory / "alerts.jsonl", Alert):
        alerts[alert.alert_id] = alert
    shadow: deque[Enforcement] = deque(maxlen=SHADOW_KEPT)
    rules: Counter[str] = Counter()
    tenants: Counter[str] = Counter()
    for event in lines(directory / "shadow.jsonl", Enforcement):
        shadow.append(event)
        rules[event.data.rule_id] += 1
        tenants[event.subject] += 1
    late: list[Cdr] = []
    late_count = 0
    for call in lines(directory / "late.jsonl", Cdr):
        late_count += 1
        if len(late) < LATE_KEPT:
            late.append(call)
    rejected = _rejected(directory / "rejected.jsonl")
    windows = directory / "windows.jsonl"
    summary = _summary(directory / "summary.json")
    newest = [e.data.decided_ms for e in decisions[-1:]] + [e.data.decided_ms for e in list(shadow)[-1:]]
    newest += [a.updated_ms for a in alerts.values()]
    newest += [summary[k] for k in ("until_ms", "last_event_ms") if isinstance(summary.get(k), int)]
    return Replay(
        summary=summary,
        policy=_policy(directory / "policy.json"),
        decisions=decisions,
        alerts=list(alerts.values()),
        shadow=shadow,
        shadow_rules=rules,
        shadow_tenants=tenants,
        late=late,
        late_count=late_count,
        rejected=rejected,
        rejected_count=sum(group.count for group in rejected),
        windows=windows if windows.is_file() else None,
        end_ms=max(newest, default=0),
    )


def reason_code(reason: str) -> str:
    """The group of a rejected line: the leading code of ``reason``, or its wording without quoted parts and numbers,
    which differ from line to line."""
    found = _CODE.match(reason)
    return found.group() if found else _VARIABLE.sub("…", reason)[:120]


def _rejected(path: Path) -> list[RejectedGroup]:
    groups: dict[str, RejectedGroup] = {}
    for line in lines(path, Rejected):
        code = reason_code(line.reason)
        if code not in groups and len(groups) >= REJECTED_GROUPS:
            code = OTHER
        group = groups.setdefault(code, RejectedGroup(code))
        group.count += 1
        if len(group.samples) < REJECTED_KEPT:
            group.samples.append(line)
    return sorted(groups.values(), key=lambda group: (-group.count, group.code))


def _summary(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise NotAReplayError(f"{path}: {error}") from error


def _policy(path: Path) -> Policy | None:
    try:
        return load(str(path)) if path.is_file() else None
    except PolicyError as error:
        raise NotAReplayError(str(error)) from error


def lines(path: Path, kind: type[T]) -> Iterator[T]:
    """The records of ``path`` one by one; empty if there is no such file. Raises `NotAReplayError`."""
    if not path.is_file():
        return
    decode = msgspec.json.Decoder(kind).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise NotAReplayError(f"{path}:{number}: {error}") from error
