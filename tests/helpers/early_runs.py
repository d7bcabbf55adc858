"""Runs that evaluate early: what a task reads, and traffic near the thresholds of its rules."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from helpers.early_evaluations import compare_everyone
from helpers.shard_samples import HOUR, MINUTE, T0, cdr
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from monitor.policy.model import Policy
from oracle.policy_generator import Frame
from oracle.policy_generator import policy as policy_data
from oracle.record_generator import event_time, records
from schemas import codec

Fed = tuple[int, list[bytes]]


@dataclass(frozen=True)
class EarlyRun:
    """What a task reads: from each source in turn, and how it is evaluated early in between."""

    policy: Policy
    fed: list[Fed]
    seed: int
    sources: int = 1
    not_after_ms: int = 2**41

    def alerts(self) -> list[bytes]:
        """The alerts after each early evaluation, as one text each."""
        return self._alerts(afresh=False)

    def alerts_of_everyone(self, afresh: bool = True) -> list[bytes]:
        """The same, if every tenant that called is compared. ``afresh``: each evaluation begins from all open calls."""
        with pytest.MonkeyPatch.context() as patch:
            compare_everyone(patch)
            return self._alerts(afresh)

    def _alerts(self, afresh: bool) -> list[bytes]:
        rng = random.Random(self.seed)
        task = StreamTask(self.policy, live=DecidingSettings(max_ahead_ms=0), sources=self.sources)
        at, found = [0] * self.sources, []
        for source, lines in self.fed:
            start, stop = at[source], at[source] + len(lines)
            stamps = np.full(len(lines), self.not_after_ms)
            task.feed(source, RecordBatch(start, stop, np.arange(start, stop), stamps, lines))
            at[source] = stop
            if rng.random() < 0.5:
                task.advance()
            if rng.random() < 0.6:
                if afresh:
                    task.shard.open_panes._new_calls = None  # as after a restart
                task.early()
                found.append(b"\n".join(map(codec.encode, task.take().output.alerts)))
            task.take()
        return found


def pieces(files: list[list[bytes]], rng: random.Random) -> Iterator[Fed]:
    at = [0] * len(files)
    while any(place < len(lines) for place, lines in zip(at, files, strict=True)):
        source = rng.choice([n for n, lines in enumerate(files) if at[n] < len(lines)])
        stop = at[source] + rng.choice((1, 1, 2, 7, 30))
        yield source, files[source][at[source] : stop]
        at[source] = min(stop, len(files[source]))


def hovering_calls(rng: random.Random, count: int) -> list[bytes]:
    """Calls of tenants that stay near the thresholds of `HOVERING`, most of them below."""
    lines, now = [], T0
    for number in range(count):
        now += rng.choice((0, 1, 300, 2_000, 20_000))
        at = now - rng.choice((0, 0, 0, 60_000))
        talk = rng.choice((1_000, 1_000, 60_000, 60_000, 60_000))
        answered = rng.random() < 0.7
        times: dict[str, Any] = {"start_ms": at - talk, "end_ms": at}
        if answered:
            times |= {"answer_ms": at - talk, "outcome": "answered", "consent_id": f"c{rng.randrange(40)}"}
        callee = f"+86138{rng.choice((rng.randrange(12), rng.randrange(300), rng.randrange(10**6))):08}"
        tenant, caller = f"t{rng.randrange(6)}", f"+8610{rng.randrange(7)}"
        lines.append(codec.encode(cdr(call_id=f"{number}", tenant_id=tenant, callee=callee, caller=caller, **times)))
    return lines


def hovering_run(seed: int) -> EarlyRun:
    """Rules of many kinds, overrides, exemptions and profiles, on traffic near their thresholds: calls and complaints,
    some of them repeated or late.
    """
    rng = random.Random(seed)
    tenants = [f"t{number}" for number in range(6)]
    span = rng.choice((HOUR, 3 * HOUR))
    lateness = rng.choice((MINUTE, 10 * MINUTE, HOUR))
    frame = Frame(rng, rng.choice(("ratios", "measured")), tenants, T0, span, lateness, 5 * MINUTE)
    ruled = policy_data(frame)
    for one in ruled["rules"]:
        if rng.random() < 0.5:
            one["min_denominator"] = rng.choice((5, 20, 50))
    timed = [(event_time(record), codec_line(record)) for _, record in records(frame, 150) if isinstance(record, dict)]
    calls = hovering_calls(rng, rng.choice((400, 900)))
    timed += [(T0 + span * number // len(calls), line) for number, line in enumerate(calls)]
    timed.sort(key=lambda one: one[0] + rng.choice((0, 0, 0, rng.randrange(lateness))))
    lines = [line for _, line in timed]
    return EarlyRun(loads(json.dumps(ruled), "policy.json"), list(pieces([lines], rng)), seed)


def codec_line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()
