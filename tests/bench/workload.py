"""Workloads: simulated records of a fixed seed, created once and cached: every run of the bench reads the same."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from monitor.simulate.settings import DEFAULT_START_MS, SimulationSettings

SEED = 20260302
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".tools" / "bench"


@dataclass(frozen=True, slots=True)
class Workload:
    """The simulation: the number of tenants of skewed size, the days, and the calls in total.

    ``start_ms`` is the start of the first day, rounded down to the hour.
    """

    name: str
    tenants: int
    calls: int
    days: int = 1
    start_ms: int = DEFAULT_START_MS

    def small(self) -> "Workload":
        """A twentieth of it, to test the bench itself."""
        return replace(self, name=f"{self.name}-quick", tenants=max(self.tenants // 20, 1), calls=self.calls // 20)


@dataclass(frozen=True, slots=True)
class Made:
    """A workload on disk: the file, its number of records, and its number of calls."""

    path: str
    records: int
    calls: int
    size_bytes: int


def make(workload: Workload, cache: Path) -> Made:
    """The workload's file in ``cache``, simulated if it is missing or the simulator has changed since."""
    folder = cache / f"{workload.name}-{_digest(workload)}"
    about = folder / "about.json"
    if not about.exists():
        for old in cache.glob(f"{workload.name}-" + "?" * 12):
            shutil.rmtree(old)
        _simulate(workload, folder, about)
    return Made(str(folder / "records.jsonl"), **json.loads(about.read_text()))


def _simulate(workload: Workload, folder: Path, about: Path) -> None:
    from monitor.simulate.run import simulate

    settings = SimulationSettings(
        workload.tenants, workload.days, SEED, workload.calls / workload.days, workload.start_ms
    )
    summary = simulate(settings, folder)
    counts = {
        "records": sum(summary.records.values()),
        "calls": summary.records["cdr"],
        "size_bytes": (folder / "records.jsonl").stat().st_size,
    }
    # Written last: a folder without it was left by an interrupted run.
    about.write_text(json.dumps(counts))


def _digest(workload: Workload) -> str:
    made_by = hashlib.sha256(json.dumps([SEED, asdict(workload)]).encode())
    for source in sorted((ROOT / "monitor" / "simulate").rglob("*.py")):
        made_by.update(source.read_bytes())
    return made_by.hexdigest()[:12]
