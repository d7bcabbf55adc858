"""Seeded scenarios for comparisons with the oracle: files of records, a policy, and reviews of decisions."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from oracle.compare import as_output, names
from oracle.deciding import judge
from oracle.policy_generator import DAY, HOUR, MINUTE, Frame, policy
from oracle.record_generator import YEAR_2050, Made, event_time, records
from oracle.worked_cases import resolve

MARCH_2 = 1_772_409_600_000  # 2026-03-02T00:00:00Z
TENANTS = {"measured": (1, 2), "owners": (4, 9)}
FLAVOURS = ("random", "boundary", "identities", "disputes", "sources", "long", "hostile", "ratios", "measured")


@dataclass
class Scenario:
    """Files of lines and a policy. Reviews name events as `@name` by `short_names`; `solve` replaces the names."""

    seed: int
    flavour: str
    files: list[list[str]]
    policy: dict[str, Any]
    not_after_ms: int
    until_ms: int | None = None
    enforce_from_ms: int = 0
    frame: Frame | None = None
    ids: dict[str, str] = field(default_factory=dict)  # the oracle's ids by name, as far as `solve` found them


def short_names(events: list[dict[str, Any]]) -> dict[str, str]:
    """Event id -> a short name by the event's content, the same for every implementation."""
    return {event_id: sha256(name.encode()).hexdigest()[:24] for event_id, name in names(events).items()}


def solve(scenario: Scenario, *, afresh: bool = False) -> dict[str, Any]:
    """The oracle's output, with the reviews' names replaced in repeated runs.

    These begin with the ids that are known of the scenario, or, ``afresh``, with none. The two may differ
    if whether a decision exists depends on reviews that name it: several outputs are consistent then.
    """
    if afresh:
        scenario.ids.clear()
    return resolve(
        scenario.files,
        lambda files: as_output(
            judge(
                files,
                scenario.policy,
                not_after_ms=scenario.not_after_ms,
                until_ms=scenario.until_ms,
                enforce_from_ms=scenario.enforce_from_ms,
            )
        ),
        short_names,
        scenario.ids,
    )


def scenario(seed: int, flavour: str | None = None, size: int | None = None) -> Scenario:
    """One scenario from a seed; the kind rotates with the seed unless it is given. Only ``owners`` names owners."""
    rng = random.Random(seed)
    flavour = flavour or FLAVOURS[seed % len(FLAVOURS)]
    spans = (4 * DAY, 12 * DAY, 40 * DAY) if flavour == "long" else (3 * HOUR, 9 * HOUR, 30 * HOUR)
    span = rng.choice(spans)
    frame = Frame(
        rng=rng,
        flavour=flavour,
        tenants=[f"t{i}" for i in range(rng.randint(*TENANTS.get(flavour, (1, 5))))],
        # Midnight in UTC, when overrides and exemptions expire, lies within the span.
        start=MARCH_2 + DAY - rng.choice((HOUR, span // 2, span // 3)) // MINUTE * MINUTE,
        span=span,
        lateness=rng.choice((0, MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR)),
        unit=rng.choice((MINUTE, 5 * MINUTE, 5 * MINUTE, HOUR, 6 * HOUR)),
    )
    ruled = policy(frame)
    made = records(frame, size or rng.randint(50, 350))
    sources = 1 if flavour in {"random", "boundary"} else rng.randint(1, 3)
    last = _last(made)
    not_after = last - rng.randint(0, span // 8) if frame.often(0.15) else last + DAY
    until = last + rng.choice((0, 1, MINUTE, HOUR, 3 * DAY)) if frame.often(0.25) else None
    out = Scenario(seed, flavour, [], ruled, not_after, frame=frame)
    for rounds_left in (2, 1, 0):
        out.files = _files(random.Random(seed + 1), made, sources, frame)
        if until is not None:
            out.until_ms = max(until, _last(made))
        if rounds_left:
            made += _reviews(frame, solve(out)["enforcement"])
    return out


def lines_of(made: Scenario) -> list[list[bytes]]:
    """The scenario's files without blank lines, and with contents that do not depend on which copy was first."""
    files = []
    content: dict[tuple[str, str], bytes] = {}
    for file in made.files:
        lines = []
        for line in file:
            raw = line.encode() if isinstance(line, str) else line
            if not raw.strip():
                continue
            try:
                record = json.loads(raw)
                key = (str(record["tenant_id"]), str(record["call_id"]))
                raw = content.setdefault(key, raw)
            except (ValueError, KeyError, TypeError):
                pass  # a line that is not a record is rejected by both implementations
            lines.append(raw)
        files.append(lines)
    return files


def permuted(rng: random.Random, lines: Sequence[str], lateness_ms: int) -> list[str]:
    """The lines in another order that makes no record late or raised (all of them valid records)."""
    places = [event_time(json.loads(line)) + rng.uniform(0, lateness_ms) for line in lines]
    return [line for _, line in sorted(zip(places, lines, strict=True), key=lambda item: item[0])]


def _last(made: list[Made]) -> int:
    return max(time for time, _ in made if time < YEAR_2050)


def _reviews(frame: Frame, events: list[dict[str, Any]]) -> list[Made]:
    """Reviews of some of a run's decisions, at, before and after them, some of them twice."""
    rng, called = frame.rng, short_names(events)
    made: list[Made] = []
    for e in events:
        stops = e["status"] == "final" and e["kind"] in {"termination", "ban"}
        if not frame.often(0.5 if e["status"] == "pending_review" else 0.3 if stops else 0.15):
            continue
        for _ in range(rng.choice((1, 1, 2))):
            after = rng.choice((0, 0, 1, MINUTE, 20 * MINUTE, HOUR, 3 * HOUR, 5 * HOUR, -MINUTE))
            at, due = e["decided_ms"] + after, e["review_by_ms"]
            if due is not None and frame.often(0.2):
                at = due + rng.choice((0, -1, 1))
            if not frame.start <= at <= frame.start + frame.span + HOUR:
                continue
            record = {
                "type": "review",
                "review_id": f"w{rng.randint(0, 10**6)}" if frame.often(0.8) else f"v{rng.randint(0, 9)}",
                "enforcement_id": f"@{called[e['id']]}",
                "tenant_id": e["tenant_id"] if frame.often(0.95) else "t0",
                "verdict": "uphold" if frame.often(0.4 if frame.flavour == "owners" else 0.6) else "overturn",
                "reviewer": "ops-1",
                "reason": "looked into it",
                "updated_ms": at,
            }
            if e["kind"].startswith("admission") and frame.often(0.8 if e["kind"] == "admission_review" else 0.1):
                record["verdict"] = rng.choice(("approve", "approve", "reject"))
            if frame.often((0.8 if stops else 0.3) if record["verdict"] == "uphold" else 0.03):
                record["kind"] = rng.choice(("termination", "ban", "ban", ""))
            made.append((at, record))
    return made


def _files(rng: random.Random, made: list[Made], sources: int, frame: Frame) -> list[list[str]]:
    """Distribute the records to sources, each in event-time order except for shuffling within, and rarely beyond, the
    lateness.
    """
    files: list[list[tuple[float, int, str]]] = [[] for _ in range(sources)]
    lateness, beyond = frame.lateness, 0.2 if frame.flavour == "sources" else 0.05
    for n, (time, record) in enumerate(made):
        place = time + rng.choice((0.0, rng.uniform(0, lateness)))
        if rng.random() < beyond:
            place = time + rng.choice((lateness, lateness + 1, rng.uniform(0, lateness + 3 * HOUR)))
        line = record if isinstance(record, str) else json.dumps(record, ensure_ascii=rng.random() < 0.5)
        files[rng.randrange(sources)].append((place, n, line))
    dealt = [[line for _, _, line in sorted(lines, key=lambda item: item[:2])] for lines in files]
    return [*dealt, rng.choice(([], ["", "  "]))] if sources > 1 and rng.random() < 0.1 else dealt
