"""Early alerts fire at the first evaluation that can find the breach, once per crossing, and change no decision."""

import json
import random
from collections.abc import Iterator

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from oracle.early_alerts import Ahead, ReportedAlert
from oracle.reading import read_files
from oracle.rulebook import rulebook
from oracle.scenario_generator import lines_of, scenario
from schemas.outputs import Alert


def pieces(files: list[list[bytes]], rng: random.Random) -> Iterator[tuple[int, list[int]]]:
    """Reading in turns: which source continues, and how far all of them have been read then."""
    at = [0] * len(files)
    while any(place < len(lines) for place, lines in zip(at, files, strict=True)):
        source = rng.choice([n for n, lines in enumerate(files) if at[n] < len(lines)])
        at[source] = min(len(files[source]), at[source] + rng.choice((1, 1, 2, 7, 30)))
        yield source, list(at)


def reported(alerts: list[Alert], open_ids: set[str]) -> list[ReportedAlert]:
    """Alerts as the model reports them: without those that are repeated for a decision."""
    found = []
    for alert in alerts:
        if alert.state == "firing" and alert.alert_id in open_ids:
            assert alert.enforcement_id is not None
            continue
        (open_ids.add if alert.state == "firing" else open_ids.remove)(alert.alert_id)
        measured = None if alert.measure is None else (alert.measure.numerator, alert.measure.denominator)
        found.append(
            ReportedAlert(alert.rule_id, alert.tenant_id, alert.state, alert.since_ms, alert.updated_ms, measured)
        )
    return found


def by_text(alerts: list[ReportedAlert]) -> list[ReportedAlert]:
    return sorted(alerts, key=str)


@pytest.mark.parametrize("seed", thorough(range(30), 3, soak=range(30, 120)))
def test_alerts_come_at_the_first_early_evaluation_that_includes_the_breach(seed: int) -> None:
    print(f"seed {seed}")
    made = scenario(seed, size=120)
    rng = random.Random(seed)
    files = lines_of(made)
    rules = rulebook(made.policy)
    model = Ahead(rules)
    partition = StreamTask(
        loads(json.dumps(made.policy), "policy.json"), live=DecidingSettings(max_ahead_ms=0), sources=len(files)
    )
    partition.early()
    open_ids: set[str] = set()
    before = [0] * len(files)

    def agree() -> None:
        assert by_text(reported(partition.take().output.alerts, open_ids)) == by_text(model.reported)
        model.reported = []

    for source, at in pieces(files, rng):
        start, stop, before = before[source], at[source], at
        stamps = np.full(stop - start, made.not_after_ms)
        partition.feed(source, RecordBatch(start, stop, np.arange(start, stop), stamps, files[source][start:stop]))
        read = [lines[:place] for lines, place in zip(files, at, strict=True)]
        model.have_read(read_files(read, rules.lateness, made.not_after_ms))
        if rng.random() < 0.7:
            for number, lines in enumerate(files):
                if at[number] == len(lines):
                    partition.sources.end(number)
            partition.advance()
            if partition.watermark.ms > NO_CLOCK_MS:
                model.evaluate(partition.watermark.ms)
            agree()
        if rng.random() < 0.7:
            partition.early()
            model.evaluate_early()
            agree()
    partition.finish()
    last_ms = max(partition.sources.clocks_ms)
    if last_ms > NO_CLOCK_MS:
        model.evaluate(last_ms, step_after=last_ms)
    agree()
