"""The worked examples of the contract: finding them, running them until their reviews are resolved, comparing."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oracle.compare import same

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "cases"
Run = Callable[[list[list[str]]], dict[str, Any]]
Named = Callable[[list[dict[str, Any]]], dict[str, str]]
NOT_BUILT = {}
"""Examples of version 4 of the contract about features that do not exist yet. One that passes is a failure."""
RECORD_IDS = ("application_ids", "complaint_ids", "finding_ids", "review_ids")


def case_folders() -> list[Path]:
    """Every worked example, by name; none if the folder is absent."""
    return sorted(p.parent for p in FOLDER.glob("*/expected.json"))


def files_of(case: Path) -> list[list[str]]:
    """The lines of the case's files, in their order."""
    paths = [case / "records.jsonl", *sorted(case.glob("records-*.jsonl"))]
    return [path.read_text(encoding="utf-8").splitlines() for path in paths]


def keys_of(events: list[dict[str, Any]]) -> dict[str, str]:
    """Event id -> `tenant|kind|status|rule_id|decided_ms`, the second of one key `#2`."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for e in events:
        groups["|".join(str(e[f]) for f in ("tenant_id", "kind", "status", "rule_id", "decided_ms"))].append(e)
    named = {}
    for key, group in groups.items():
        group.sort(key=lambda e: [e["evidence"][kind] for kind in RECORD_IDS])
        for n, e in enumerate(group, 1):
            named[e["id"]] = key if n == 1 else f"{key}#{n}"
    return named


def resolve(
    files: list[list[str]], run: Run, named: Named = keys_of, known: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run repeatedly, replacing `@key` by event ids, until no line changes. Returns the last run's output.

    ``known`` are the ids of the same run of almost the same files, by key; those of these files are added.
    """
    known = {} if known is None else known
    filled = [[_filled(line, known) for line in lines] for lines in files]
    while True:
        out = run(filled)
        known.update({key: event_id for event_id, key in named(out["enforcement"]).items()})
        before, filled = filled, [[_filled(line, known) for line in lines] for lines in files]
        if filled == before:
            return out


def _filled(line: str, known: dict[str, str]) -> str:
    if '"@' not in line:
        return line
    record = json.loads(line)
    key = record["enforcement_id"].removeprefix("@")
    if key in known:
        record["enforcement_id"] = known[key]
    return json.dumps(record, ensure_ascii=False)


def disagreements(expected: dict[str, Any], out: dict[str, Any]) -> Iterator[str]:
    """The differences of a run's output from the example; of each item only the fields written in the example count."""
    keys = keys_of(out["enforcement"])
    if "decisions" in expected:
        yield from _list("decision", expected["decisions"], [_keyed(e, keys) for e in out["enforcement"]])
    if "shadow" in expected:
        yield from _list("shadow", expected["shadow"], [_keyed(e, keys) for e in out["shadow"]])
    if "alerts" in expected:
        yield from _list("alert", expected["alerts"], out["alerts"])
    if "windows" in expected:
        for window in expected["windows"]:
            if not any(same(window, w, 1e-9) for w in out["windows"]):
                yield f"no such window: {window}"
    if "windows_total" in expected and len(out["windows"]) != expected["windows_total"]:
        yield f"{len(out['windows'])} windows, not {expected['windows_total']}"
    if "holds" in expected and sorted(keys[i] for i in out["holds"]) != sorted(expected["holds"]):
        yield f"holds: {sorted(keys[i] for i in out['holds'])}, not {sorted(expected['holds'])}"
    if "late" in expected and out["late"] != expected["late"]:
        yield f"late: {out['late']}, not {expected['late']}"
    lines = [line for _, line in out["rejected"]]
    if "rejected_lines" in expected and lines != expected["rejected_lines"]:
        yield f"rejected lines: {lines}, not {expected['rejected_lines']}"
    for name, count in expected.get("summary", {}).items():
        if out["summary"].get(name) != count:
            yield f"summary {name}: {out['summary'].get(name)}, not {count}"


def _keyed(event: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    keyed = dict(event)
    for field in ("reverses", "supersedes"):
        keyed[field] = None if event[field] is None else keys[event[field]]
    ids = sorted(keys[i] for i in event["evidence"]["enforcement_ids"])
    return {**keyed, "evidence": {**event["evidence"], "enforcement_ids": ids}}


def _list(what: str, expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> Iterator[str]:
    left = list(actual)
    for item in expected:
        wanted = dict(item)
        if isinstance(wanted.get("evidence"), dict) and "enforcement_ids" in wanted["evidence"]:
            ids = sorted(wanted["evidence"]["enforcement_ids"])
            wanted["evidence"] = {**wanted["evidence"], "enforcement_ids": ids}
        match = next((e for e in left if same(wanted, e, 1e-9)), None)
        if match is None:
            yield f"no such {what}: {item}"
        else:
            left.remove(match)
    for item in left:
        yield f"{what} that the example does not have: {item}"
