"""The metrics of the ingest service, `callwarden ingest`."""

from streams.metrics.spec import LabelSpec, MetricSpec

_TOKEN = LabelSpec("token", "the names in the tokens file")

INGESTING: tuple[MetricSpec, ...] = (
    MetricSpec(
        "callwarden_ingest_records_total",
        "counter",
        "records",
        "Records of answered requests, by what became of them; those of repeated requests are not counted again",
        (_TOKEN, LabelSpec("result", "accepted, rejected")),
        ("ingest",),
    ),
    MetricSpec(
        "callwarden_ingest_rejected_total",
        "counter",
        "records",
        "Rejected records by reason",
        (LabelSpec("code", "the error codes of records and of mapped rows, and three of the ingest service"),),
        ("ingest",),
    ),
    MetricSpec(
        "callwarden_ingest_letters_dropped_total",
        "counter",
        "records",
        "Rejected records that did not become dead letters, since their token had caused too many",
        (_TOKEN,),
        ("ingest",),
    ),
    MetricSpec(
        "callwarden_ingest_repeated_requests_total",
        "counter",
        "requests",
        "Requests whose idempotency key was answered before, and that wrote nothing",
        (),
        ("ingest",),
    ),
    MetricSpec(
        "callwarden_ingest_keys",
        "gauge",
        "keys",
        "Idempotency keys of the past day that are remembered",
        (),
        ("ingest",),
    ),
    MetricSpec(
        "callwarden_ingest_held_bytes",
        "gauge",
        "bytes",
        "Bodies of requests under way; at 64 MiB, of one token 48 MiB, new requests are answered with 503",
        (),
        ("ingest",),
    ),
    MetricSpec(
        "callwarden_ingest_request_duration_seconds",
        "histogram",
        "seconds",
        "Duration of requests that write records",
        (LabelSpec("status", "the HTTP statuses that it answers with, 11"),),
        ("ingest",),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    ),
)
