"""The metrics of `callwarden bridge`, besides those of its partitions."""

from typing import Final

from streams.metrics.partition_metrics import partition_metrics
from streams.metrics.spec import LabelSpec, MetricSpec

RESULTS: Final = ("record", "event", "rejected", "left_out")

BRIDGING: tuple[MetricSpec, ...] = (
    *partition_metrics("bridge"),
    MetricSpec(
        "callwarden_bridge_rows_total",
        "counter",
        "rows",
        "Mapped rows in committed transactions, by what became of them: a record, an event of a call, a dead letter, "
        "or nothing, since the mapping leaves the row out",
        (LabelSpec("result", ", ".join(RESULTS)),),
        ("bridge",),
    ),
    MetricSpec(
        "callwarden_bridge_rejected_total",
        "counter",
        "rows",
        "Rows that are a dead letter or left out, by reason",
        (LabelSpec("code", "the error codes of records and of mapped rows"),),
        ("bridge",),
    ),
)
