"""Measuring: each task in a fresh process, in pairs A B A B, which exposes both to the same disturbances."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.scenarios import Scenario
from bench.workload import ROOT

Answer = dict[str, Any]

_ROWS_OF_A_WORKER = 5_000  # that are fed to a stream task at once


class DisagreementError(Exception):
    """Two replays of the same records with the same policy made different decisions."""


class ChildError(Exception):
    """A child failed; its standard error was shown."""


def child(task: str, **arguments: Any) -> Answer:
    """Run a child; return its answer."""
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", json.dumps({"task": task, **arguments})],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise ChildError(f"{task} {arguments} ended with {done.returncode}")
    answer: Answer = json.loads(done.stdout)
    return answer


@dataclass(slots=True)
class Result:
    """A scenario's pairs: the reference (reading and decoding, or one job), and the replay."""

    scenario: Scenario
    records: int
    pairs: list[tuple[Answer, Answer]]

    @property
    def ratios(self) -> list[float]:
        """The reference's share of the replay's cost, pair by pair: by CPU, or for two jobs the
        speed-up by wall time.
        """
        what = "wall_s" if self.scenario.reference == "one-job" else "cpu_s"
        return [reference[what] / replay[what] for reference, replay in self.pairs]

    def replay_median(self, what: str) -> float:
        """The median over the replays."""
        return float(median(replay[what] for _, replay in self.pairs))

    def reference_median(self, what: str) -> float:
        """The median over the references."""
        return float(median(reference[what] for reference, _ in self.pairs))

    @property
    def possible_speed_up(self) -> float:
        """The possible speed-up on idle cores, one for each job: the busiest process determines it.

        The jobs share their work evenly, and the process that reads the files runs at the same time.
        """
        jobs = self.scenario.jobs
        own_s = self.replay_median("cpu_s") - self.replay_median("children_cpu_s")
        busiest_s = max(own_s, self.replay_median("children_cpu_s") / jobs, self.replay_median("cpu_s") / jobs)
        return self.reference_median("cpu_s") / busiest_s

    @property
    def peak_bytes(self) -> int:
        """The peak memory of any process of a replay."""
        return int(max(max(replay["peak_bytes"], replay["children_peak_bytes"]) for _, replay in self.pairs))

    @property
    def records_per_cpu_s(self) -> float:
        """Records of the replay per CPU second, at the median."""
        return self.records / self.replay_median("cpu_s")


@dataclass(slots=True)
class Bench:
    """The results of a run. ``say`` receives progress messages."""

    cache: Path
    say: Callable[[str], None]
    results: list[Result] = field(default_factory=list)
    phases: dict[str, Answer] = field(default_factory=dict)
    states: dict[str, tuple[Answer, Answer]] = field(default_factory=dict)
    early_evaluations: dict[str, Answer] = field(default_factory=dict)
    _decided: dict[tuple[str, str], str] = field(default_factory=dict)

    def measure(self, scenario: Scenario, rounds: int) -> None:
        """Measure the scenario's pairs."""
        made = self._made(scenario)
        decoding = {"path": made["path"], "piece_lines": scenario.piece_lines}
        replaying = {**decoding, "policy": scenario.policy}
        pairs = []
        for number in range(rounds):
            self.say(f"{scenario.name}: {scenario.about}, pair {number + 1} of {rounds}")
            if scenario.reference == "one-job":
                reference = self._compared(scenario, child("replay", **replaying, jobs=1))
            else:
                reference = child("decode", **decoding)
            replay = self._compared(scenario, child("replay", **replaying, jobs=scenario.jobs))
            if not reference["records"] == replay["records"] == made["records"]:
                raise DisagreementError(f"{scenario.name}: {reference} and {replay} of {made}")
            pairs.append((reference, replay))
        self.results.append(Result(scenario, made["records"], pairs))

    def profile(self, scenario: Scenario) -> None:
        """Measure the phases."""
        self.say(f"{scenario.name}: CPU time by phase")
        arguments = {
            "path": self._made(scenario)["path"],
            "policy": scenario.policy,
            "piece_lines": scenario.piece_lines,
        }
        self.phases[scenario.name] = self._compared(scenario, child("phases", **arguments))

    def state(self, scenario: Scenario) -> None:
        """Measure a shard's stored state, the cost of restoring it, and the memory of the restored shard."""
        self.say(f"{scenario.name}: state and memory")
        arguments = {
            "path": self._made(scenario)["path"],
            "policy": scenario.policy,
            "piece_lines": _ROWS_OF_A_WORKER,
        }
        with tempfile.TemporaryDirectory() as folder:
            stored = child("store", **arguments, folder=folder)
            self.states[scenario.name] = stored, child("restore", policy=scenario.policy, folder=folder)

    def early(self, scenario: Scenario) -> None:
        """Measure the cost of early evaluations."""
        self.say(f"{scenario.name}: early evaluation")
        self.early_evaluations[scenario.name] = child(
            "early", path=self._made(scenario)["path"], policy=scenario.policy
        )

    def _made(self, scenario: Scenario) -> Answer:
        workload = scenario.workload
        return child(
            "workload",
            name=workload.name,
            tenants=workload.tenants,
            calls=workload.calls,
            days=workload.days,
            cache=str(self.cache),
        )

    def _compared(self, scenario: Scenario, replay: Answer) -> Answer:
        before = self._decided.setdefault((scenario.workload.name, scenario.policy), replay["digest"])
        if before != replay["digest"]:
            raise DisagreementError(f"{scenario.name}: the decisions differ from those of an earlier replay")
        return replay
