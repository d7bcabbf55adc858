"""Traffic of the crash schedules: the oracle's scenarios as records of the input topics, each with its time."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from crash.log import Record
from monitor.partition.partitioner import partition_of
from monitor.policy.load import loads
from monitor.policy.model import Policy
from oracle.policy_change_generator import changed
from oracle.policy_generator import DAY, HOUR, MINUTE, Frame, policy, to_ms
from oracle.product import run
from oracle.record_generator import Made, event_time, records
from oracle.scenario_generator import FLAVOURS, MARCH_2, Scenario
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

NAMES = TopicNames()
TOPIC_OF = {
    "cdr": "cdr",
    "complaint": "complaints",
    "finding": "findings",
    "tenant": "tenants",
    "application": "tenants",
    "review": "reviews",
}
SCENARIOS = 27


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record that a producer appends at ``at_ms``."""

    at_ms: int
    tp: TP
    record: Record


@dataclass(frozen=True, slots=True)
class TrafficScenario:
    """A policy and its text, the texts of the policies that may follow it, lines in order, each with the time at which
    it is produced, and the first and last of these times.
    """

    flavour: str
    policy: Policy
    text: str
    others: Sequence[str]
    lines: Sequence[tuple[int, str]]
    start_ms: int
    stop_ms: int


@cache
def scenario_of(number: int) -> TrafficScenario:
    """Return one of the scenarios: few tenants, few rules, about a hundred records, and reviews of decisions."""
    rng = random.Random(number)
    flavour = FLAVOURS[number % len(FLAVOURS)]
    span = 8 * DAY if flavour == "long" else rng.choice((2 * HOUR, 3 * HOUR))
    frame = Frame(
        rng=rng,
        flavour=flavour,
        tenants=[f"t{n}" for n in range(rng.randint(2, 5))],
        start=MARCH_2 + DAY - span // 2,
        span=span,
        lateness=rng.choice((0, MINUTE, 10 * MINUTE)),
        unit=5 * MINUTE,
    )
    ruled = _of_few_rules(policy(frame), least_step_ms=12 * HOUR if flavour == "long" else 10 * MINUTE)
    made = records(frame, 40)
    judged = run([[line for _, line in _delivered(frame, made)]], ruled, windows=False)
    made += [(event_time(review), review) for review in _reviews(frame, judged["enforcement"])]
    text = json.dumps(ruled, ensure_ascii=False)
    return TrafficScenario(
        flavour,
        loads(text, "policy.json"),
        text,
        _others(frame, ruled),
        _delivered(frame, made),
        frame.start,
        frame.start + span,
    )


@cache
def policies_of(number: int) -> dict[str, dict[str, Any]]:
    """The policies of a scenario by their hashes, as they stand in files."""
    scenario = scenario_of(number)
    return {other(text).sha256: json.loads(text) for text in (scenario.text, *scenario.others)}


@cache
def other(text: str) -> Policy:
    """Return one of the scenario's other policies."""
    return loads(text, "policy.json")


def _others(frame: Frame, ruled: dict[str, Any]) -> list[str]:
    """Policies that may follow the first one."""
    made = Scenario(0, frame.flavour, [], ruled, 0, frame=frame)
    kinds = ("defaults", "removed", "altered", "lateness", "another")
    least_ms = 12 * HOUR if frame.flavour == "long" else 10 * MINUTE
    plain = [_of_few_rules(changed(random.Random(n), made, ruled, kind), least_ms) for n, kind in enumerate(kinds)]
    return [json.dumps(one, ensure_ascii=False) for one in plain]


def _of_few_rules(ruled: dict[str, Any], least_step_ms: int) -> dict[str, Any]:
    """The policy with rules that are evaluated rarely: these tests are not about the evaluation of rules."""
    rules = [rule for rule in ruled["rules"] if to_ms(rule["step"]) >= least_step_ms][:3] or ruled["rules"][:1]
    kept = {rule["id"] for rule in rules}
    return ruled | {
        "rules": rules,
        "overrides": [one for one in ruled["overrides"] if one["rule"] in kept],
        "exemptions": [one for one in ruled["exemptions"] if one["rules"][0] in kept],
        "profiles": {name: one for name, one in ruled["profiles"].items() if kept >= set(one["exempt"])},
    }


def _delivered(frame: Frame, made: Sequence[Made]) -> list[tuple[int, str]]:
    """Return the records as lines, each with its arrival time: most soon, some within the lateness, some after it."""
    rng = random.Random(len(made))
    lines = []
    for time, record in made:
        delays = (0, 1_000, rng.randint(0, frame.lateness), frame.lateness + rng.randint(1, HOUR))
        at_ms = max(min(time, frame.start + frame.span), frame.start) + rng.choices(delays, (6, 3, 3, 1))[0]
        lines.append((at_ms, record if isinstance(record, str) else json.dumps(record)))
    return sorted(lines, key=lambda item: item[0])


def _reviews(frame: Frame, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chosen = [
        (n, event)
        for n, event in enumerate(events)
        if frame.rng.random() < (0.5 if event["status"] == "pending_review" else 0.15)
    ]
    return [_review(frame.rng, n, event) for n, event in chosen]


def _review(rng: random.Random, n: int, event: dict[str, Any]) -> dict[str, Any]:
    """A verdict on a decision, which may choose its kind, or on an application that waits."""
    waits = event["kind"] == "admission_review"
    verdict = rng.choice(("approve", "reject") if waits else ("uphold", "overturn"))
    return {
        "type": "review",
        "review_id": f"w{n}",
        "enforcement_id": event["id"],
        "tenant_id": event["tenant_id"],
        "verdict": verdict,
        "reviewer": "ops-1",
        "reason": "looked into it",
        "updated_ms": event["decided_ms"] + rng.choice((0, 1, MINUTE, 20 * MINUTE, HOUR)),
        "kind": (None, "termination", "ban")[n % 3] if verdict == "uphold" else None,
    }


def arrivals(rng: random.Random, scenario: TrafficScenario, partitions: int) -> list[Arrival]:
    """Return the scenario as records of the input topics, with those of a faulty producer (`_awkward`).

    Producers batch their records, so records arrive in groups.
    """
    out: list[Arrival] = []
    every_ms = (scenario.stop_ms - scenario.start_ms) // rng.choice((10, 20, 40))
    for time, line in scenario.lines:
        at_ms = -(-time // every_ms) * every_ms
        arrival = _placed(rng, at_ms, line, partitions)
        out.append(arrival)
        if rng.random() < 0.08:
            out.append(_awkward(rng, arrival, partitions))
    return sorted(out, key=lambda arrival: arrival.at_ms)


def _placed(rng: random.Random, at_ms: int, line: str, partitions: int) -> Arrival:
    try:
        record = json.loads(line)
        topic, key = TOPIC_OF[record["type"]], str(record["tenant_id"]).encode()
    except (ValueError, KeyError, TypeError):
        topic, key = rng.choice(list(TOPIC_OF.values())), b"t%d" % rng.randrange(5)
    return Arrival(at_ms, _home(topic, key, partitions), Record(key, line.encode()))


def _home(topic: str, key: bytes, partitions: int) -> TP:
    return TP(NAMES.input_prefix + topic, partition_of(key, partitions, "murmur2"))


def _awkward(rng: random.Random, arrival: Arrival, partitions: int) -> Arrival:
    """A duplicate, a record ahead of its time, or one that must be rejected: no value, invalid JSON, the key of another
    tenant, a wrong partition, a wrong topic, or unreadable by any client.
    """
    tp, record = arrival.tp, arrival.record
    elsewhere = _home(rng.choice(list(TOPIC_OF.values())), record.key or b"", partitions)
    wrong: list[Arrival] = [
        arrival,
        replace(arrival, at_ms=arrival.at_ms + rng.randrange(HOUR)),
        replace(arrival, at_ms=arrival.at_ms - rng.randrange(7 * MINUTE)),
        replace(arrival, record=Record(record.key, None)),
        replace(arrival, record=Record(record.key, b'{"type": "cdr"')),
        replace(arrival, record=Record(b"somebody else", record.value)),
        replace(arrival, record=Record(None, record.value)),
        replace(arrival, tp=TP(tp.topic, (tp.partition + 1) % partitions)),
        replace(arrival, tp=elsewhere),
        replace(arrival, record=unreadable(rng, record)),
    ]
    return rng.choice(wrong)


def unreadable(rng: random.Random, record: Record) -> Record:
    """The record as one that no client can read, or an undecodable batch in its place."""
    fault = rng.choice(("bad_header", "malformed_record", "undecodable_batch", "batch_too_large", "old_format"))
    reason = f"{fault}: as a client says it"
    if fault in ("bad_header", "malformed_record"):
        return record._replace(fault=reason)
    return Record(None, b"a batch", fault=reason, whole_batch=True, offsets=rng.choice((1, 3, 500)))
