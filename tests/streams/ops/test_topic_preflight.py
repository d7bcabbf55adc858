"""What-if on topics: all parts of a report are about the same records, those that a worker accepts."""

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from memory_topics import MINUTE, NAMES, POLICY, T0, Logs, Topics, dealt

from helpers.call_lines import call_line
from helpers.thorough import thorough
from monitor.partition.checkpoint import DecidingSettings
from monitor.policy.load import loads
from monitor.policy.model import Policy
from monitor.whatif.backtest import changes
from monitor.whatif.preflight import Preflight, preflight
from oracle.scenario_generator import scenario
from streams.kafka.api import TP
from streams.ops.topic_preflight import across_topics, outcomes, preflight_topics
from streams.ops.topic_replay import TopicReplayOptions

OPTIONS = TopicReplayOptions(follow=False)


class Growing(Logs):
    """Each time that somebody asks where the logs begin or end, a tenant makes five more calls, right after that."""

    def __init__(self, logs: Logs) -> None:
        self.__dict__ = logs.__dict__
        self._asked = 0

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        found = await super().starts(tps)
        self._grow()
        return found

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        found = await super().ends(tps)
        self._grow()
        return found

    def _grow(self) -> None:
        self._asked += 1
        tenant = f"new-{self._asked}"
        for n in range(5):
            value = json.loads(call_line(f"c{n}", T0 + n)) | {"tenant_id": tenant}
            self.logs[TP(NAMES.inputs[0], 0)].append(tenant.encode(), json.dumps(value).encode(), T0 + n)


def growing() -> Any:
    topics = Topics(1)
    for n in range(5):
        topics.call(f"c{n}", T0 + n)
    return Growing(topics.cluster)


def check(cluster: Any, policy: Policy, options: TopicReplayOptions = OPTIONS) -> Preflight:
    found, changed = asyncio.run(preflight_topics(cluster, NAMES, options, policy, policy))
    assert changed == []
    return found


def test_records_that_come_meanwhile_change_no_tier_and_are_in_no_count() -> None:
    found = check(growing(), POLICY)
    (breaches,) = found.rules
    assert found.records == 5 * found.tenants
    assert (len(breaches.tenants), {field.tenants for field in found.fields if field.of == "calls"}) == (
        found.tenants, {found.tenants},
    )  # fmt: skip
    before, after = asyncio.run(outcomes(growing(), NAMES, OPTIONS, (POLICY, POLICY)))
    assert changes(before, after) == []


def test_calls_under_another_key_or_in_another_topic_are_in_no_report() -> None:
    """A worker rejects them: they would fill fields, and make numbers common to tenants."""
    topics = Topics(1)
    topics.call("right", T0)
    topics.log("cdr", 0).append(b"other", call_line("wrong-key", T0 + MINUTE), T0 + MINUTE)
    topics.log("complaints", 0).append(b"acme", call_line("wrong-topic", T0 + MINUTE), T0 + MINUTE)
    cluster: Any = topics.cluster
    found = check(cluster, POLICY)
    assert (found.records, found.rejected) == (1, 2)
    assert {field.total for field in found.fields if field.of == "calls"} == {1}
    assert asyncio.run(across_topics(cluster, NAMES, OPTIONS, POLICY, b"key")).records == 1


@pytest.mark.parametrize("seed", thorough(range(700, 730), 4))
def test_topics_give_the_preflight_of_files_of_the_same_records(seed: int, tmp_path: Path) -> None:
    """With gaps of aborted transactions and compaction, partitions of different clocks, reviews and rejected lines."""
    print(f"seed {seed}")
    made, rng = scenario(seed), random.Random(seed)
    policy, count = loads(json.dumps(made.policy), "policy.json"), rng.choice((1, 3))
    topics = Topics(count, seed)
    files = {(topic, n): list[bytes]() for topic in NAMES.inputs for n in range(count)}
    for text in (text for file in made.files for text in file):
        line = text.encode("utf-8", "surrogatepass")
        if line.strip():
            topic, number, key = dealt(line, count, rng)
            log = topics.log(topic, number)
            log.end += rng.choice((0, 0, 0, 1, 100))
            log.append(key, line, made.not_after_ms)
            files[NAMES.input_prefix + topic, number].append(line)
    paths = [tmp_path / f"{topic}-{number}" for topic, number in files]
    for path, lines in zip(paths, files.values(), strict=True):
        path.write_bytes(b"".join(line + b"\n" for line in lines))
    cluster: Any = topics.cluster
    options = TopicReplayOptions(live=DecidingSettings(max_ahead_ms=0), follow=False)
    found = check(cluster, policy, options)
    assert found == preflight(paths, policy, (), made.not_after_ms)
    assert found.records > 0
