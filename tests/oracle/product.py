"""The product beside the oracle: a replay of lines, its output in the form of `oracle.compare.as_output`."""

import json
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from monitor.policy.load import load, loads
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion
from monitor.replay.run import ReplayOptions, replay
from oracle.compare import holds
from schemas.measures import RuleMeasure

FAR = 4_102_444_799_999  # the last ms of 2099: by default no record is rejected for a future time


def run(
    files: Sequence[Sequence[str | bytes | dict[str, Any]]],
    policy: dict[str, Any] | None,
    *,
    not_after_ms: int = FAR,
    until_ms: int | None = None,
    windows: bool = True,
    switches: Sequence[tuple[int, dict[str, Any]]] = (),
    **how: Any,
) -> dict[str, Any]:
    """Replay files of lines (dicts are written as JSON); policy None is the built-in one. ``how`` is
    passed to replay.
    """
    ruled = load(None) if policy is None else _loaded(policy)
    how["switches"] = [PolicyVersion(from_ms, _loaded(plain)) for from_ms, plain in switches]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for n, lines in enumerate(files):
            path = Path(folder) / f"records-{n}.jsonl"
            path.write_bytes(b"".join(_line(line) + b"\n" for line in lines))
            paths.append(path)
        result = replay(
            paths,
            ruled,
            ReplayOptions(windows=windows, measures=True, not_after_ms=not_after_ms, until_ms=until_ms, **how),
        )
        places = {str(path): n for n, path in enumerate(paths)}
        enforcement = [_flat(e) for e in result.enforcement]
        return {
            "enforcement": enforcement,
            "shadow": [_flat(e) for e in result.shadow],
            "alerts": msgspec.to_builtins(result.alerts),
            "windows": msgspec.to_builtins(result.windows),
            "measures": [_hour(value) for value in result.measures],
            "late": [json.loads(raw)["call_id"] for raw in result.late],
            "rejected": [(places[r.file], r.line) for r in result.rejected],
            "summary": msgspec.to_builtins(result.summary),
            "holds": holds(enforcement),
        }


def _hour(value: bytes) -> dict[str, Any]:
    """The measures of an hour; each rule's as a dict."""
    hour: dict[str, Any] = json.loads(value)
    names = RuleMeasure.__struct_fields__
    return hour | {"rules": [dict(zip(names, one, strict=True)) for one in hour["rules"]]}


def _loaded(plain: dict[str, Any]) -> Policy:
    return _read(json.dumps(plain, ensure_ascii=False))


@lru_cache(4)
def _read(text: str) -> Policy:
    """A scenario is replayed several times, under the same policy."""
    return loads(text, "policy.json")


def _line(line: str | bytes | dict[str, Any]) -> bytes:
    if isinstance(line, dict):
        line = json.dumps(line, ensure_ascii=False)
    return line.encode() if isinstance(line, str) else line


def _flat(event: Any) -> dict[str, Any]:
    """The event's data and id in one dict; the envelope is checked."""
    whole = json.loads(msgspec.json.encode(event))
    data: dict[str, Any] = whole["data"]
    assert whole["subject"] == data["tenant_id"]
    assert (whole["specversion"], whole["source"]) == ("1.0", "/callwarden")
    assert whole["type"] == "callwarden.enforcement.v1"
    return {"id": whole["id"], **data}
