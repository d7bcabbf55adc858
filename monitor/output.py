"""The output directory of a replay: the files of section 8 of the contract, and what the report needs beside them."""

import base64
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import orjson

from monitor.policy.model import Policy
from monitor.policy.plain import to_plain
from monitor.replay import Outcome, Rejection
from schemas import codec
from schemas.outputs import Rejected


def write(outcome: Outcome, policy: Policy, folder: Path, windows: bool) -> list[Path]:
    """Write an outcome into ``folder`` (made when absent); the paths written. OSError when that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, Iterable[bytes]] = {
        "enforcement.jsonl": map(codec.encode, outcome.enforcement),
        "alerts.jsonl": map(codec.encode, outcome.alerts),
        "shadow.jsonl": map(codec.encode, outcome.shadow),
        "late.jsonl": outcome.late,
        "rejected.jsonl": (codec.encode(_rejected(one)) for one in outcome.rejected),
    }
    if windows:
        lines["windows.jsonl"] = map(codec.encode, outcome.windows)
    paths = []
    for name, content in lines.items():
        path = folder / name
        with path.open("wb") as file:
            file.writelines(line + b"\n" for line in content)
        paths.append(path)
    pretty = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    for name, value in (("summary.json", asdict(outcome.summary)), ("policy.json", to_plain(policy))):
        (folder / name).write_bytes(orjson.dumps(value, option=pretty))
        paths.append(folder / name)
    return paths


def _rejected(rejection: Rejection) -> Rejected:
    try:
        return Rejected(rejection.file, rejection.line, rejection.reason, rejection.raw.decode())
    except UnicodeDecodeError:
        raw = base64.b64encode(rejection.raw).decode()
        return Rejected(rejection.file, rejection.line, rejection.reason, raw, "base64")
