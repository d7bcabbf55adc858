"""The contenders of the live bench: what each runs, and the size of the measurements."""

from dataclasses import dataclass
from pathlib import Path

from bench.broker_topics import Deployment
from bench.process import THIS, Program

PARTITIONS = 8
OPENED = "partition opened"
BASELINE = "afe3488"
# The built-in policy of that commit: rules are added to the built-in policy, and costs are compared over the same ones.
FROZEN_RULES = Path(__file__).with_name("rules_of_baseline.yaml")
FAUST, TABLES = "bench.faust_app", ("answered", "short")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of the measurements. Separate record counts for Faust, whose tumbling windows cost less than its hopping
    ones.
    """

    calls: int = 1_000_000
    tenants: int = 10_000
    squeeze: int = 12
    rounds: int = 3
    tumbling: int = 60_000
    hopping: int = 10_000
    idle_s: int = 60
    rate: int = 20_000
    steady_s: int = 480
    rates: tuple[int, ...] = (200, 2_000, 20_000)
    rate_s: int = 120
    month_calls: int = 1_000_000
    pane_calls: int = 3_000_000

    @classmethod
    def small(cls) -> "Sizes":
        """A small size, to test the bench itself."""
        return cls(50_000, 500, 12, 1, 2_000, 500, 5, 1_000, 20, (20, 200), 20, 20_000, 150_000)


@dataclass(frozen=True, slots=True)
class Contender:
    """A reader of the topics: that many processes of that kind, which report when they are ready and when they are
    done.

    ``records`` is the number of records to read, 0 for all. ``policy`` is the worker's, None for the built-in one;
    ``program`` is the commit that it runs.
    """

    name: str
    about: str
    module: tuple[str, ...]
    ready: tuple[str, int]
    processes: int = 1
    records: int = 0
    environment: tuple[tuple[str, str], ...] = ()
    policy: str | None = None
    program: Program = THIS

    @property
    def is_worker(self) -> bool:
        """Whether it is a worker of ours, of this commit or of the baseline."""
        return "worker" in self.module and self.module[0] != FAUST

    def state(self, deployment: Deployment) -> list[str]:
        """The topics to which it writes its state."""
        if self.is_worker:
            return [deployment.names.output("state")]
        return [f"{deployment.application}-{table}-changelog" for table in TABLES] if self.module[0] == FAUST else []


def contenders(sizes: Sizes, baseline: Path | None = None) -> list[Contender]:
    """The contenders in the order of their turns. ``baseline`` is a checkout of `BASELINE`, with its .venv."""
    worker = ("streams.cli", "worker", "--json-logs")
    earlier = () if baseline is None else (Program(baseline),)
    faust = (FAUST, "worker", "--without-web", "-l", "error")
    opened = (OPENED, PARTITIONS)
    return [
        Contender("ceiling", "fetch and decode only", ("bench.ceiling",), ("ready", 1)),
        Contender("worker", "`callwarden worker`, the frozen rules", worker, opened, policy=str(FROZEN_RULES)),
        *(
            Contender(
                "baseline",
                f"the worker of commit {BASELINE}, the same rules",
                ("monitor.cli", "worker", "--json-logs"),
                opened,
                policy=str(FROZEN_RULES),
                program=program,
            )
            for program in earlier
        ),
        Contender("worker, built-in rules", "`callwarden worker`, the built-in policy", worker, opened),
        Contender(
            "Faust, tumbling windows",
            "short-call ratio alone, Faust's tables, tumbling windows",
            faust,
            ("ready", 1),
            records=sizes.tumbling,
            environment=(("BENCH_WINDOWS", "tumbling"),),
        ),
        Contender(
            "Faust, hopping windows",
            "the same with the rule's own windows: 4 h every 15 min",
            faust,
            ("ready", 1),
            records=sizes.hopping,
            environment=(("BENCH_WINDOWS", "hopping"),),
        ),
        Contender(
            "two workers",
            "the frozen rules, the same records shared by two",
            worker,
            opened,
            processes=2,
            policy=str(FROZEN_RULES),
        ),
    ]
