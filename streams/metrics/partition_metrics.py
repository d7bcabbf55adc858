"""The metrics of the programs that read the partitions of a topic exactly once: `bridge` and `assemble`."""

from typing import Final, Literal

from streams.metrics.spec import LabelSpec, MetricSpec

Partitioned = Literal["bridge", "assemble"]
PHASES: Final = ("opening", "running", "stopped")


def partition_metrics(program: Partitioned) -> tuple[MetricSpec, ...]:
    """The metrics of ``program``."""
    return (
        MetricSpec(
            f"callwarden_{program}_partitions",
            "gauge",
            "partitions",
            "Partitions that this process has, by what they do. A stopped one waits for an operator: /readyz says why",
            (LabelSpec("phase", ", ".join(PHASES)),),
            (program,),
        ),
        MetricSpec(
            f"callwarden_{program}_lag_records",
            "gauge",
            "offsets",
            "Committed offsets of the source topic that are not read yet",
            (LabelSpec("partition", "the partitions of the source topic"),),
            (program,),
        ),
        MetricSpec(
            f"callwarden_{program}_transactions_failed_total",
            "counter",
            "failures",
            "Failures after which a partition was opened again: Kafka did not answer, or another member had taken over",
            (),
            (program,),
        ),
    )
