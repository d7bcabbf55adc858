"""The names of the topics: a bare name and the prefix of inputs or of outputs."""

from dataclasses import dataclass

from monitor.decoding.input_topics import INPUTS
from streams.kafka.api import TP

OUTPUTS = ("control", "state", "clock", "enforcement", "shadow", "alerts", "late", "dead-letter")
"""The topics with the prefix of the outputs."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Section 1 of the contract. ``control`` is named like the outputs: it is ours."""

    input_prefix: str = "callwarden."
    output_prefix: str = "callwarden."

    @property
    def inputs(self) -> list[str]:
        """The input topics in the order of the sources."""
        return [self.input_prefix + name for name in INPUTS]

    def source(self, topic: str) -> int | None:
        """Which source a topic is, None for one that is no input."""
        inputs = self.inputs
        return inputs.index(topic) if topic in inputs else None

    def output(self, name: str) -> str:
        """The topic of ours with that bare name: ``enforcement``, ``state``, ``control``..."""
        return self.output_prefix + name

    @property
    def all(self) -> list[str]:
        """Every topic, inputs first."""
        return [*self.inputs, *map(self.output, OUTPUTS)]

    def of(self, number: int) -> list[TP]:
        """What the owner of partition ``number`` reads: the inputs in order, then control."""
        return [TP(topic, number) for topic in [*self.inputs, self.output("control")]]
