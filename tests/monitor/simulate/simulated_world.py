"""A simulated world read back from its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.simulate.labels import TruthLabel, read_labels
from monitor.simulate.run import SimulationSummary, simulate
from monitor.simulate.settings import SimulationSettings
from schemas import codec
from schemas.inputs import Cdr, Record

SEED = 20260302


@dataclass
class World:
    settings: SimulationSettings
    summary: SimulationSummary
    labels: dict[str, TruthLabel]
    records: list[Record]

    def kind_of(self, record: Record) -> str:
        return self.labels[record.tenant_id].kind

    def calls(self, kind: str) -> list[Cdr]:
        return [r for r in self.records if isinstance(r, Cdr) and self.kind_of(r) == kind]

    def others(self, kind: str) -> list[Record]:
        return [r for r in self.records if not isinstance(r, Cdr) and self.kind_of(r) == kind]


def read(path: Path) -> list[Record]:
    return [codec.decode(line) for line in path.read_bytes().splitlines()]


def make_world(folder: Path, **settings: object) -> World:
    given: dict[str, Any] = {"tenants": 60, "days": 4, "seed": SEED, "calls_per_day": 24_000} | settings
    chosen = SimulationSettings(**given)
    print("seed", chosen.seed)
    summary = simulate(chosen, folder)
    records = [record for path in summary.files for record in read(path)]
    return World(chosen, summary, read_labels(summary.labels), records)
