"""One run of the simulator: settings in, files of records and of labels out."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from monitor.simulate.cases import Cases
from monitor.simulate.delivery import deliver
from monitor.simulate.labels import labels_of, write_labels
from monitor.simulate.lines import CallLines
from monitor.simulate.population import populate
from monitor.simulate.settings import HOUR_MS, Settings
from monitor.simulate.traffic import Traffic
from monitor.simulate.writer import Writer
from schemas.inputs import Record

# Records that are not calls come within this time of their event: those who write them do so at once.
PROMPT_MS = 15_000


@dataclass(slots=True)
class Summary:
    """What was written. ``records`` counts lines by type, those sent twice included."""

    records: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    late: int = 0
    honest: int = 0
    bad: int = 0
    files: list[Path] = field(default_factory=list)
    labels: Path = Path("labels.jsonl")


def simulate(settings: Settings, folder: Path, progress: Callable[[float], None] | None = None) -> Summary:
    """Write the records of a run into ``folder``, and ``labels.jsonl`` beside them.

    The files are the same bytes for the same settings. ``progress`` is told the part done, once an hour of the run.
    """
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(settings.seed).spawn(4)]
    population = populate(settings, streams[0])
    traffic = Traffic(population, streams[1])
    cases = Cases(population, settings, streams[2])
    arrivals = streams[3]
    write_line = CallLines(population, settings.optional)
    summary = Summary(labels=folder / "labels.jsonl")
    encode = msgspec.json.Encoder().encode

    with Writer(folder, settings.split) as writer:

        def hand_over(records: Iterable[tuple[int, Record]]) -> None:
            for when, record in records:
                kind = str(type(record).__struct_config__.tag)
                line = encode(record).decode() + "\n"
                arrival = when + int(arrivals.integers(PROMPT_MS))
                writer.other(arrival, kind, line)
                summary.records[kind] += 1
                if arrivals.random() < settings.duplicate_share:
                    writer.other(arrival + int(arrivals.integers(settings.lateness_ms)), kind, line)
                    summary.records[kind] += 1
                    summary.duplicates += 1

        hand_over(cases.registrations())
        hand_over(cases.scripted())
        for tenant, stop_ms in cases.stop_ms.items():
            traffic.stop_ms[tenant] = stop_ms
        for hour_ms in range(settings.start_ms, settings.end_ms, HOUR_MS):
            calls = traffic.hour(hour_ms)
            hand_over(cases.complaints_about(calls))
            lines = write_line(calls)
            sent = deliver(calls.end, settings, arrivals)
            writer.calls(sent.first, lines)
            writer.calls(sent.second, lines[sent.again])
            summary.records["cdr"] += len(calls) + len(sent.again)
            summary.duplicates += len(sent.again)
            summary.late += sent.late
            # Whatever the hours to come bring arrives after their beginning.
            writer.flush(hour_ms + HOUR_MS)
            if progress:
                progress((hour_ms + HOUR_MS - settings.start_ms) / (settings.end_ms - settings.start_ms))
        writer.flush(np.iinfo(np.int64).max)
        summary.files = writer.files

    labels = labels_of(population, traffic, cases)
    write_labels(labels, summary.labels)
    summary.honest = sum(label.honest for label in labels)
    summary.bad = len(labels) - summary.honest
    return summary
