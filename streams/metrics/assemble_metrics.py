"""The metrics of `callwarden assemble`."""

from streams.metrics.partition_metrics import partition_metrics
from streams.metrics.spec import LabelSpec, MetricSpec

_PARTITION = LabelSpec("partition", "the partitions of callwarden.raw that the process has")

ASSEMBLING: tuple[MetricSpec, ...] = (
    MetricSpec(
        "callwarden_assemble_events_total",
        "counter",
        "events",
        "Events by what became of them: accepted, or the code of the reason; each event that is read counts once",
        (LabelSpec("result", "accepted, and the error codes of records and of mapped rows"),),
        ("assemble",),
    ),
    MetricSpec(
        "callwarden_assemble_calls_total",
        "counter",
        "calls",
        "Calls that have ended: record, or the code of the reason why there is no record, such as incomplete",
        (LabelSpec("result", "record, and the error codes of records and of mapped rows"),),
        ("assemble",),
    ),
    MetricSpec(
        "callwarden_assemble_open_calls",
        "gauge",
        "calls",
        "Calls whose end has not come, of all sources",
        (_PARTITION,),
        ("assemble",),
    ),
    MetricSpec(
        "callwarden_assemble_clock_timestamp_seconds",
        "gauge",
        "Unix time",
        "The clock, in event time, of the partition's source that is furthest ahead",
        (_PARTITION,),
        ("assemble",),
    ),
    *partition_metrics("assemble"),
)
