"""A replay from topics decides exactly like a replay of files of the same records, with the workers'
journal entries.
"""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from memory_topics import MINUTE, NAMES, T0, Topics, dealt, policy_of

from helpers.call_lines import call_line
from helpers.thorough import thorough
from monitor.core.threshold_distance import DistanceOptions
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.journal import ClockAdvance, MaxAheadChange, SkippedRecord
from monitor.partition.partitioner import partition_of
from monitor.policy.load import loads
from monitor.replay.outcome import Outcome
from monitor.replay.run import ReplayOptions, replay
from oracle.scenario_generator import scenario
from schemas import codec
from streams.kafka.api import PermanentError


def printed(outcome: Outcome, lines: dict[str, dict[int, int]] | None = None) -> dict[str, Any]:
    """The whole outcome; with ``lines``, offsets of rejected rows become line numbers."""
    summary = msgspec.to_builtins(outcome.summary)
    del summary["not_after_ms"]
    return {
        "enforcement": [codec.encode(one) for one in outcome.enforcement],
        "shadow": [codec.encode(one) for one in outcome.shadow],
        "alerts": [codec.encode(one) for one in outcome.alerts],
        "late": outcome.late,
        "rejected": [
            (Path(r.file).name, lines[r.file][r.line] if lines else r.line, r.reason, r.raw) for r in outcome.rejected
        ],
        "summary": summary,
    }


def seen(outcome: Outcome) -> list[tuple[str, str, float, str, int]]:
    """The distance of each tenant from each threshold at the end."""
    assert outcome.seen is not None
    return [(near.tenant_id, near.rule.id, near.share, str(near.value), near.calls) for near in outcome.seen.near]


@pytest.mark.parametrize(
    ("seed", "flavour"),
    [
        *thorough([(seed, None) for seed in range(36)], 3),
        *thorough([(seed, "owners") for seed in range(60_000, 60_008)], 2),
    ],
)
def test_topics_are_judged_like_files_of_the_same_records(seed: int, flavour: str | None, tmp_path: Path) -> None:
    """Also where bans of owners reach other partitions: no worker has judged, and the partitions are judged in step."""
    print(f"seed {seed} {flavour}")
    made, rng = scenario(seed, flavour), random.Random(seed)
    policy = loads(json.dumps(made.policy), "policy.json")
    count = 3 if flavour else rng.choice((1, 3))
    topics = Topics(count, seed)
    files = {f"{topic}-{n}": list[bytes]() for topic in NAMES.inputs for n in range(count)}
    line_at: dict[str, dict[int, int]] = {name: {} for name in files}
    for text in (text for file in made.files for text in file):
        line = text.encode("utf-8", "surrogatepass")
        if not line.strip():
            continue
        topic, number, key = dealt(line, count, rng)
        name = f"{NAMES.input_prefix}{topic}-{number}"
        log = topics.log(topic, number)
        log.end += rng.choice((0, 0, 0, 1, 100))  # aborted records, and transaction markers
        files[name].append(line)
        line_at[name][log.end] = len(files[name])
        log.append(key, line, made.not_after_ms)
    for name, lines in files.items():
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
    everybody = DistanceOptions(near=0.0, most=100_000)
    expected = replay(
        [tmp_path / name for name in files],
        policy,
        ReplayOptions(not_after_ms=made.not_after_ms, distance_options=everybody),
    )
    assert expected.summary.read > 0
    judged = topics.replay(policy, live=DecidingSettings(max_ahead_ms=0), distance_options=everybody)
    assert printed(judged, line_at) == printed(expected)
    assert seen(judged) == seen(expected)


def quiet(topics: Topics, clock_ms: int) -> None:
    """All sources except the calls were silent, and their clocks advanced."""
    for source in INPUTS[1:]:
        topics.entry(0, source, ClockAdvance(0, clock_ms))


def test_what_waits_for_a_silent_source_is_decided_when_the_logs_have_ended_alone() -> None:
    topics = Topics(1)
    for n in range(3):
        topics.call(f"c{n}", T0 + n)
    assert topics.replay(to_watermark=True).enforcement == []
    (event,) = topics.replay().enforcement
    assert event.data.decided_ms == T0 + 5 * MINUTE


@pytest.mark.parametrize("seed", thorough(range(8), 3))
def test_noted_clocks_let_be_decided_what_the_workers_decided_and_no_more(seed: int) -> None:
    topics = Topics(1, seed)
    for n in range(3):
        topics.call(f"c{n}", T0 + n)
    topics.log("cdr", 0).end += 1  # a transaction marker
    topics.entry(0, "cdr", ClockAdvance(4, T0 + 60 * MINUTE))
    quiet(topics, T0 + 15 * MINUTE - 1)
    assert topics.replay(to_watermark=True).enforcement == []
    quiet(topics, T0 + 15 * MINUTE)
    (event,) = topics.replay(to_watermark=True).enforcement
    assert event.data.decided_ms == T0 + 5 * MINUTE


def test_a_call_is_late_after_a_noted_move_of_its_source() -> None:
    topics = Topics(1)
    topics.call("c1", T0)
    late = topics.call("c2", T0 + 1)
    topics.entry(0, "cdr", ClockAdvance(1, T0 + 11 * MINUTE))
    outcome = topics.replay()
    assert outcome.late == [late]
    assert outcome.summary.last_event_ms == T0 + 1, "a move is no event"


def test_windows_are_judged_after_the_last_event_of_all_partitions() -> None:
    topics = Topics(2)
    home = partition_of(b"acme", 2, "murmur2")
    for n in range(3):
        topics.call(f"c{n}", T0 + n)
    other = next(name for name in ("t0", "t1", "t2", "t3") if partition_of(name.encode(), 2, "murmur2") != home)
    end_ms = T0 + 30 * 24 * 60 * MINUTE
    value = call_line("far", end_ms).replace(b'"acme"', f'"{other}"'.encode())
    topics.log("cdr", 1 - home).append(other.encode(), value, end_ms)
    kinds = [event.data.kind for event in topics.replay(policy_of("review")).enforcement]
    assert kinds == ["warning", "lapse"], "the lapse is before the other partition's last event"


def test_a_skipped_record_is_rejected_with_the_operators_reason() -> None:
    topics = Topics(1)
    topics.call("c0", T0)
    skipped = topics.call("c1", T0 + 1)
    topics.entry(0, "cdr", SkippedRecord(1, "it stops the worker"))
    outcome = topics.replay()
    (rejected,) = outcome.rejected
    assert (rejected.file, rejected.line, rejected.raw) == ("callwarden.cdr-0", 1, skipped)
    assert rejected.reason == "skipped: it stops the worker"
    assert (outcome.summary.read, outcome.summary.accepted, outcome.summary.rejected) == (2, 1, 1)


def test_how_far_a_record_may_be_ahead_is_what_was_noted_at_its_offset() -> None:
    topics = Topics(1)
    for n in range(3):
        topics.call(f"c{n}", T0 + n, ahead_ms=MINUTE)
    topics.entry(0, "cdr", MaxAheadChange(0, 2 * MINUTE))
    topics.entry(0, "cdr", MaxAheadChange(2, MINUTE - 1))
    outcome = topics.replay(live=DecidingSettings(max_ahead_ms=0))
    assert [(r.line, r.reason.split(":")[0]) for r in outcome.rejected] == [(2, "future_event")]


def test_a_record_under_another_tenants_key_is_rejected() -> None:
    topics = Topics(1)
    topics.log("cdr", 0).append(b"other", call_line("c0", T0), T0)
    topics.log("cdr", 0).append(b"acme", None, T0)
    topics.log("reviews", 0).append(b"acme", call_line("c0", T0), T0)
    reasons = {(r.file, r.line): r.reason.split(":")[0] for r in topics.replay().rejected}
    assert reasons[("callwarden.cdr-0", 0)] == "wrong_key"
    assert reasons[("callwarden.reviews-0", 0)] == "wrong_topic"
    assert len(reasons) == 3


def test_records_that_have_been_deleted_are_reported() -> None:
    topics = Topics(1)
    topics.call("c0", T0)
    topics.call("c1", T0 + 1)
    topics.log("cdr", 0).start = 1
    assert topics.replay().summary.read == 1
    assert topics.warnings == ["callwarden.cdr-0 begins at offset 1: earlier records were deleted and are not judged"]


def test_a_missing_topic_is_named() -> None:
    with pytest.raises(
        PermanentError, match=r"there is no topic callwarden\.clock; `callwarden topics create` creates it"
    ):
        Topics(1, without=["callwarden.clock"]).replay()


def test_topics_that_do_not_fit_together_are_refused() -> None:
    topics = Topics(2)
    topics.cluster.topics["callwarden.reviews"] = 1
    with pytest.raises(PermanentError, match=r"same number of partitions.*callwarden\.reviews has 1"):
        topics.replay()


def test_what_lies_in_partitions_that_an_input_was_given_is_not_judged_without_a_word() -> None:
    topics = Topics(2)
    topics.cluster.topics["callwarden.reviews"] = 3
    topics.replay()
    (said,) = topics.warnings
    assert said.startswith("callwarden.reviews has 3 partitions; only 2 are judged;")
