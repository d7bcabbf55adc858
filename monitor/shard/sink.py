"""The sink: what the shard has brought about since it was last emptied."""

from dataclasses import dataclass, field

from schemas.outputs import Alert, Enforcement, JudgedWindow


@dataclass(slots=True)
class Refusal:
    """A record that was valid but came to nothing when its turn came.

    ``log`` is its place in the logs, as in `monitor.shard.records.Waiting`, ``raw`` its bytes as they came.
    """

    log: tuple[int, int, int, int]
    tenant_id: str
    reason: str
    raw: bytes


@dataclass(slots=True)
class Sink:
    """Decisions and what goes with them, in decision order; ``duplicates`` counts records that were repeated."""

    enforcement: list[Enforcement] = field(default_factory=list)
    shadow: list[Enforcement] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    windows: list[JudgedWindow] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    duplicates: int = 0
