"""The truth about each tenant of a run, one line each, kept apart from the records."""

from pathlib import Path

import msgspec

from monitor.simulate.tenants.cases import Cases
from monitor.simulate.tenants.population import Population
from monitor.simulate.tenants.traffic import NONE, Traffic


class TruthLabel(msgspec.Struct, frozen=True):
    """A tenant's label. ``bad_from_ms`` is its first bad call or the first record of its violation.

    ``found_by`` is the metric or behaviour that should reveal it, ``tier`` the highest expected tier. ``bad_from_ms``
    is None for a bad tenant whose violation is after the end of the run, or that had no call in it.
    """

    tenant_id: str
    kind: str
    honest: bool
    bad_from_ms: int | None
    found_by: str | None
    tier: str | None


def labels_of(population: Population, traffic: Traffic, cases: Cases) -> list[TruthLabel]:
    """One label a tenant, in the order of the tenants' ids."""
    labels = []
    for i, (tenant_id, kind) in enumerate(zip(population.ids, population.kinds, strict=True)):
        call = int(traffic.first_bad_ms[i])
        starts = [ms for ms in (None if call == NONE else call, cases.first_bad_ms.get(i)) if ms is not None]
        labels.append(
            TruthLabel(tenant_id, kind.name, kind.honest, min(starts, default=None), kind.found_by, kind.tier)
        )
    return labels


def write_labels(labels: list[TruthLabel], path: Path) -> None:
    """Write the labels as JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(label) + b"\n" for label in labels))


def read_labels(path: Path) -> dict[str, TruthLabel]:
    """The labels of a file by tenant id. Raises `ValueError` naming the line that is not a label."""
    labels = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label = msgspec.json.decode(line, type=TruthLabel)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path}:{number}: {error}; expected a line of labels.jsonl") from error
        labels[label.tenant_id] = label
    return labels
