"""The contenders of the live bench: what each runs, and the size of the measurements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.broker_topics import Deployment
from bench.policies import FROZEN_RULES
from bench.process import THIS, Program

PARTITIONS = 8
OPENED = "partition opened"
BASELINE = "afe3488"
PEER_RECORDS = {
    "Kafka Streams": 900_000,
    "Quix Streams": 200_000,
    "Bytewax": 200_000,
    "Faust, tumbling windows": 60_000,
    "Faust, hopping windows": 10_000,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of the measurements. ``peers`` is the number of records that each peer reads, to save time.

    Their cost per record does not depend on it, except in Java, which becomes faster while it compiles.
    """

    calls: int = 1_000_000
    tenants: int = 10_000
    squeeze: int = 12
    rounds: int = 3
    peers: Mapping[str, int] = field(default_factory=lambda: dict(PEER_RECORDS))
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
        peers = {name: max(records // 20, 500) for name, records in PEER_RECORDS.items()}
        return cls(50_000, 500, 12, 1, peers, 5, 1_000, 20, (20, 200), 20, 20_000, 150_000)


@dataclass(frozen=True, slots=True)
class Contender:
    """A reader of the topics: that many processes of that kind, which report when they are ready and when they are
    done.

    ``records`` is the number of records to read, 0 for all. ``policy`` is the worker's, None for the built-in one;
    ``program`` is the commit that it runs. ``changelogs`` are topics that a peer needs before it starts.
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
    changelogs: tuple[str, ...] = ()
    is_peer: bool = False

    @property
    def is_worker(self) -> bool:
        """Whether it is a worker of ours, of this commit or of the baseline."""
        return "worker" in self.module and not self.is_peer

    def state(self, deployment: Deployment) -> list[str]:
        """The topics to which a worker writes its state."""
        return [deployment.names.output("state")] if self.is_worker else []


def contenders(baseline: Path | None = None) -> list[Contender]:
    """The contenders in the order of their turns. ``baseline`` is a checkout of `BASELINE`, with its .venv."""
    worker = ("streams.cli", "worker", "--json-logs")
    earlier = () if baseline is None else (Program(baseline),)
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
            "two workers",
            "the frozen rules, the same records shared by two",
            worker,
            opened,
            processes=2,
            policy=str(FROZEN_RULES),
        ),
    ]
