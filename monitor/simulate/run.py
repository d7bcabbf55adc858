"""One run of the simulator: settings in, arrivals out, hour by hour, or as files."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from monitor.simulate.arrivals import Arrivals, Way
from monitor.simulate.delivery import deliver
from monitor.simulate.labels import TruthLabel, labels_of, write_labels
from monitor.simulate.lines import CallLines
from monitor.simulate.settings import HOUR_MS, SimulationSettings
from monitor.simulate.tenants.cases import Cases
from monitor.simulate.tenants.population import populate
from monitor.simulate.tenants.traffic import Traffic
from monitor.simulate.writer import RecordWriter
from schemas.inputs import Record

# Records that are not calls arrive within this time of their event: they are written immediately.
PROMPT_MS = 15_000


@dataclass(slots=True)
class SimulationSummary:
    """What was written. ``records`` counts lines by type, including duplicates."""

    records: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    late: int = 0
    honest: int = 0
    bad: int = 0
    files: list[Path] = field(default_factory=list)
    labels: Path = Path("labels.jsonl")


class Run:
    """The records of one run, the same for the same settings. ``summary`` counts those generated so far."""

    def __init__(self, settings: SimulationSettings) -> None:
        streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(settings.seed).spawn(4)]
        self.settings = settings
        self.population = populate(settings, streams[0])
        self.summary = SimulationSummary()
        self._traffic = Traffic(self.population, streams[1], settings.mark)
        self._cases = Cases(self.population, settings, streams[2])
        self._arrivals = streams[3]
        self._way = Way()
        self._encode = msgspec.json.Encoder().encode

    def hours(self) -> Iterator[Arrivals]:
        """The arrivals until the end of the first hour, of the second, and so on to the last; then all the rest.

        Can be iterated once; an hour is generated when it is requested.
        """
        settings, cases, summary = self.settings, self._cases, self.summary
        write_line = CallLines(self.population.ids, int(self.population.agents.max(initial=0)), settings.optional)
        tenants = np.array(self.population.ids, dtype=object)
        self._send(cases.registered_and_scripted())
        for tenant, stop_ms in cases.stop_ms.items():
            self._traffic.stop_ms[tenant] = stop_ms
        for hour_ms in range(settings.start_ms, settings.end_ms, HOUR_MS):
            calls = self._traffic.hour(hour_ms)
            self._send(cases.complaints_about(calls))
            lines, whose = write_line(calls), tenants[calls.tenant]
            sent = deliver(calls.end, settings, self._arrivals)
            self._way.calls(sent.first, whose, lines)
            self._way.calls(sent.second, whose[sent.again], lines[sent.again])
            summary.records["cdr"] += len(calls) + len(sent.again)
            summary.duplicates += len(sent.again)
            summary.late += sent.late
            # Records of later hours arrive after their hour begins.
            yield self._way.due(hour_ms + HOUR_MS)
        yield self._way.due(np.iinfo(np.int64).max)

    def labels(self) -> list[TruthLabel]:
        """The label of each tenant, as far as the run has progressed."""
        return labels_of(self.population, self._traffic, self._cases)

    def _send(self, records: Iterable[tuple[int, Record]]) -> None:
        for when, record in records:
            kind = str(type(record).__struct_config__.tag)
            line = self._encode(record).decode() + "\n"
            arrival = when + int(self._arrivals.integers(PROMPT_MS))
            self._way.other(arrival, kind, record.tenant_id, line)
            self.summary.records[kind] += 1
            if self._arrivals.random() < self.settings.duplicate_share:
                again = arrival + int(self._arrivals.integers(self.settings.lateness_ms))
                self._way.other(again, kind, record.tenant_id, line)
                self.summary.records[kind] += 1
                self.summary.duplicates += 1


def simulate(
    settings: SimulationSettings, folder: Path, progress: Callable[[float], None] | None = None
) -> SimulationSummary:
    """Write the records of a run to ``folder``, with ``labels.jsonl`` beside them.

    The files are the same bytes for the same settings. ``progress`` gets the completed share after each simulated hour.
    """
    run = Run(settings)
    summary = run.summary
    with RecordWriter(folder, settings.split) as writer:
        hours = (settings.end_ms - settings.start_ms) // HOUR_MS
        for done, arrivals in enumerate(run.hours(), 1):
            writer.write(arrivals)
            if progress and done <= hours:
                progress(done / hours)
        summary.files = writer.files
    labels = run.labels()
    summary.labels = folder / "labels.jsonl"
    write_labels(labels, summary.labels)
    summary.honest = sum(label.honest for label in labels)
    summary.bad = len(labels) - summary.honest
    return summary
