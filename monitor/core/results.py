"""The sink: what the shard has brought about since it was last emptied."""

from dataclasses import dataclass, field

from monitor.core.record_ref import RecordRef
from schemas.outputs import Alert, Enforcement, JudgedWindow


@dataclass(slots=True)
class RefusedRecord:
    """A record that was valid but came to nothing when its turn came.

    ``ref`` says where it was read, ``raw`` is its bytes as they came.
    """

    ref: RecordRef
    tenant_id: str
    reason: str
    raw: bytes


@dataclass(slots=True)
class Output:
    """Decisions and what goes with them, in decision order; ``duplicates`` counts records that were repeated."""

    enforcement: list[Enforcement] = field(default_factory=list)
    shadow: list[Enforcement] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    windows: list[JudgedWindow] = field(default_factory=list)
    refused: list[RefusedRecord] = field(default_factory=list)
    duplicates: int = 0

    def mark(self) -> tuple[int, int, int]:
        """Where it stands now, for `by_tenant`."""
        return len(self.enforcement), len(self.shadow), len(self.alerts)

    def by_tenant(self, mark: tuple[int, int, int]) -> None:
        """Put what has come since ``mark`` into the order of the tenants' ids; a tenant's own keeps its order.

        Numbers of tenants follow the order in which they were first read, which a restart may change.
        """
        decided, shadowed, alerted = mark
        self.enforcement[decided:] = sorted(self.enforcement[decided:], key=lambda event: event.subject)
        self.shadow[shadowed:] = sorted(self.shadow[shadowed:], key=lambda event: event.subject)
        self.alerts[alerted:] = sorted(self.alerts[alerted:], key=lambda alert: alert.tenant_id)
