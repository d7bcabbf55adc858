"""The definition of a metric in the catalogue."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Program = Literal[
    "worker", "replay", "billing", "ledger", "notify", "ingest", "assemble", "bridge", "follow", "console"
]
CONSUMERS: tuple[Program, ...] = ("billing", "ledger", "notify", "console")

LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """A label, and what bounds the number of its values."""

    name: str
    bound: str


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric. ``name`` is its name in queries; a histogram appears as ``_bucket``, ``_sum`` and ``_count``.

    ``by`` are the programs whose ``/metrics`` has it.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[LabelSpec, ...] = ()
    by: tuple[Program, ...] = ("worker",)
    buckets: tuple[float, ...] = ()
