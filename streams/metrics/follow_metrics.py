"""The metrics of `callwarden follow`."""

from streams.metrics.spec import LabelSpec, MetricSpec

_FOLLOWER = LabelSpec("follower", "the follower's --name")
_REASON = LabelSpec("reason", "of files truncated, gone, compressed; of a table replaced")

FOLLOWING: tuple[MetricSpec, ...] = (
    MetricSpec(
        "callwarden_follow_rows_total",
        "counter",
        "rows",
        "Rows that were read, by what became of them",
        (_FOLLOWER, LabelSpec("result", "record, event, rejected, left_out")),
        ("follow",),
    ),
    MetricSpec(
        "callwarden_follow_rejected_total",
        "counter",
        "rows",
        "Rows that are no record or event, by reason; those with excluded and internal_leg are left out on purpose",
        (LabelSpec("code", "the error codes of records and of mapped rows"),),
        ("follow",),
    ),
    MetricSpec(
        "callwarden_follow_read_bytes_total",
        "counter",
        "bytes",
        "Bytes of files, or of the rows of a table, that were read",
        (_FOLLOWER,),
        ("follow",),
    ),
    MetricSpec(
        "callwarden_follow_losses_total",
        "counter",
        "files or tables",
        "Files that were truncated, deleted or compressed before they were known to be read to their end, "
        "and tables that were made again",
        (_FOLLOWER, _REASON),
        ("follow",),
    ),
    MetricSpec(
        "callwarden_follow_lost_bytes_total",
        "counter",
        "bytes",
        "Bytes of these files that were seen and not read; what was never seen is not counted",
        (_FOLLOWER, _REASON),
        ("follow",),
    ),
    MetricSpec(
        "callwarden_follow_backlog",
        "gauge",
        "bytes or keys",
        "What is not read yet: bytes of files, or keys of a table up to its greatest one",
        (_FOLLOWER, LabelSpec("unit", "bytes, keys")),
        ("follow",),
    ),
    MetricSpec(
        "callwarden_follow_source_up",
        "gauge",
        "bool",
        "1 if the files or the table can be read, else 0",
        (_FOLLOWER,),
        ("follow",),
    ),
    MetricSpec(
        "callwarden_follow_caught_up_timestamp_seconds",
        "gauge",
        "Unix time",
        "When the files or the table were last read to their end",
        (_FOLLOWER,),
        ("follow",),
    ),
)
