"""The names of the topics, the prefix of inputs or of outputs and a bare name; and the check that topics exist."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from monitor.decoding.input_topics import INPUTS
from streams.kafka.api import TP, PermanentError

if TYPE_CHECKING:
    from streams.settings.load import Settings

_DECIDED = ("enforcement", "shadow", "evidence", "measures", "alerts")
OUTPUTS = ("control", "state", "clock", *_DECIDED, "late", "dead-letter")
"""The topics of the workers with the prefix of the outputs."""

BROADCAST = ("owners",)
"""The topics of one partition with the prefix of the outputs: every worker writes them, and reads them whole."""

INGEST = ("ingest-keys", "raw", "raw-state", "follow")
"""The topics of `callwarden ingest`, `assemble` and `follow`, with the same prefix; workers do not need them."""

CONSOLE = ("actions",)
"""The topics of one partition of the console, with the same prefix; the ledger reads them, workers do not need them."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics of section 1 of the contract. ``control`` has the prefix of the outputs."""

    input_prefix: str = "callwarden."
    output_prefix: str = "callwarden."

    @classmethod
    def from_settings(cls, settings: "Settings") -> "TopicNames":
        """The names with the prefixes of the settings."""
        return cls(settings.input_prefix, settings.output_prefix)

    @property
    def inputs(self) -> list[str]:
        """The input topics in the order of the sources."""
        return list(_inputs(self.input_prefix))

    def source(self, topic: str) -> int | None:
        """The source number of an input topic, None for any other topic."""
        return _inputs(self.input_prefix).get(topic)

    def output(self, name: str) -> str:
        """The full name of an output topic: ``enforcement``, ``state``, ``control``..."""
        return self.output_prefix + name

    @property
    def all(self) -> list[str]:
        """Every topic, inputs first."""
        return [*self.inputs, *map(self.output, (*OUTPUTS, *BROADCAST))]

    @property
    def owners(self) -> TP:
        """The topic partition of the bans of owners."""
        return TP(self.output("owners"), 0)

    def of(self, number: int) -> list[TP]:
        """The topic partitions that the owner of partition ``number`` reads: the inputs in order, then control."""
        return [TP(topic, number) for topic in [*self.inputs, self.output("control")]]


@cache
def _inputs(prefix: str) -> dict[str, int]:
    """The input topics with their source numbers. They are asked for with every batch."""
    return {prefix + name: source for source, name in enumerate(INPUTS)}


def require_topics(found: Container[str], topics: Iterable[str]) -> None:
    """Raise PermanentError if one of the topics was not found in the cluster."""
    if missing := [topic for topic in topics if topic not in found]:
        raise PermanentError(absence(missing, ours=True))


def absence(missing: Sequence[str], *, ours: bool) -> str:
    """Says that these topics were not found, and what may help. ``ours``: `callwarden topics create` creates them."""
    it = "it" if len(missing) == 1 else "them"
    creates = f"; `callwarden topics create` creates {it}" if ours else ""
    return (
        f"there is no topic {', '.join(missing)}{creates}. If there is one, Kafka's ACLs hide it: allow the user of "
        f"this program Describe on {it}"
    )
