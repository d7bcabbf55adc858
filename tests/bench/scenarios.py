"""Scenarios: the measurements of the bench, as data."""

from dataclasses import dataclass, replace

from bench.workload import Workload
from monitor.replay.run import PIECE_LINES

A_MILLION = 1_000_000
BASE = Workload("base", 10_000, A_MILLION)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One replay and its reference.

    ``policy`` is a name of `bench.policies`. ``reference`` is ``decode`` (reading and decoding the same file, by CPU
    time) or ``one-job`` (the same replay in one process, by wall time). ``state``: also measure its stored state and
    its memory. ``early``: also measure early evaluations.
    """

    name: str
    about: str
    workload: Workload = BASE
    policy: str = "built-in"
    piece_lines: int = PIECE_LINES
    jobs: int = 1
    reference: str = "decode"
    rounds: int = 3
    state: bool = False
    early: bool = False

    def small(self) -> "Scenario":
        """The same with a twentieth of the records."""
        return replace(self, workload=self.workload.small())


SCENARIOS = (
    Scenario("base", "10,000 tenants, a day of a million calls", rounds=5, state=True, early=True),
    Scenario("few", "1,000 tenants", Workload("few", 1_000, A_MILLION), state=True),
    Scenario("many", "100,000 tenants", Workload("many", 100_000, A_MILLION), state=True, early=True),
    Scenario(
        "month",
        "10,000 tenants, the calls over 30 days",
        Workload("month", 10_000, A_MILLION, 30),
        rounds=2,
        state=True,
    ),
    Scenario("rules64", "64 rules", policy="rules64"),
    Scenario("small", "batches of 500", piece_lines=500),
    Scenario("jobs2", "two jobs against one, wall time", jobs=2, reference="one-job"),
)
