"""What a replay of files has and decides, for the console; as a program, it judges files and prints that."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from monitor.core.record_places import RecordLogs
from monitor.policy.load import load
from monitor.replay.outcome import Outcome
from monitor.replay.output import write
from monitor.replay.run import ReplayOptions, replay
from schemas import codec
from schemas.inputs import Application, Review, Tenant


class NamedLine(msgspec.Struct, frozen=True):
    """A record that a decision names: the file, the line as an offset, and the bytes."""

    file: str
    line: int
    raw: bytes


class JudgedFiles(msgspec.Struct):
    """Records as they are written in files. ``inputs``: the tenants, applications and reviews that were read.
    ``measures``: those of each hour, if the replay has made them.

    ``rejected``: rejected records, with why. ``named``: by id of a decision, the records that it names. ``last_ms``:
    the newest event time.
    """

    inputs: list[bytes]
    enforcement: list[bytes]
    shadow: list[bytes]
    alerts: list[bytes]
    measures: list[bytes]
    rejected: list[tuple[bytes, str]]
    named: dict[str, list[NamedLine]]
    last_ms: int


def judgement_of(outcome: Outcome, files: Sequence[Path]) -> JudgedFiles:
    """What these files have, and what was decided on them by a replay with `ReplayOptions.places`."""
    logs = RecordLogs(list(range(len(files))))
    found = {name: [logs.find(place) for place in places] for name, places in outcome.places.items()}
    wanted = {at for places in found.values() for at in places}
    inputs: list[bytes] = []
    lines: dict[object, NamedLine] = {}
    for number, path in enumerate(files):
        for offset, line in enumerate(_lines(path)):
            if (number, offset) in wanted:
                lines[number, offset] = NamedLine(path.name, offset, line)
            if _is_followed(line):
                inputs.append(line)
    return JudgedFiles(
        inputs=inputs,
        enforcement=[codec.encode(event) for event in outcome.enforcement],
        shadow=[codec.encode(event) for event in outcome.shadow],
        alerts=[codec.encode(alert) for alert in outcome.alerts],
        measures=outcome.measures,
        rejected=[(one.raw, one.reason) for one in outcome.rejected],
        named={name: [lines[at] for at in places if at in lines] for name, places in found.items()},
        last_ms=outcome.summary.last_event_ms or 0,
    )


def judge(files: Sequence[Path], out: Path) -> JudgedFiles:
    """Judge files of records by the built-in policy, and write the decisions to the folder ``out``."""
    policy = load(None)
    outcome = replay(files, policy, ReplayOptions(places=True))
    write(outcome, policy, out, windows=False)
    return judgement_of(outcome, files)


_CALL: Final = b'"type":"cdr"'


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip(b"\n")


def _is_followed(line: bytes) -> bool:
    """Whether a line is a record that the console follows. Most are calls."""
    if _CALL in line[:40]:
        return False
    try:
        return isinstance(codec.read(line), Tenant | Application | Review)
    except codec.InvalidRecordError:
        return False


def main() -> None:
    """Judge the files that the arguments name after the output folder; standard output gets a `JudgedFiles`."""
    out, *files = map(Path, sys.argv[1:])
    sys.stdout.buffer.write(msgspec.msgpack.encode(judge(files, out)))


if __name__ == "__main__":
    main()
