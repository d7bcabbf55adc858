"""The ingest service's metrics: records by outcome, repeated requests, and request durations."""

from prometheus_client import CollectorRegistry

from streams.ingest.http.answer import IngestAnswer
from streams.metrics.factory import counter, gauge, histogram


class IngestMetrics:
    """The metrics of one process, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = counter("callwarden_ingest_records_total", registry)
        self._rejected = counter("callwarden_ingest_rejected_total", registry)
        self._dropped = counter("callwarden_ingest_letters_dropped_total", registry)
        self._repeated = counter("callwarden_ingest_repeated_requests_total", registry)
        self.seconds = histogram("callwarden_ingest_request_duration_seconds", registry)
        self.keys = gauge("callwarden_ingest_keys", registry)
        self.held = gauge("callwarden_ingest_held_bytes", registry)

    def written(self, token: str, answer: IngestAnswer, unkept: int) -> None:
        """Count the records of a request."""
        self._records.labels(token, "accepted").inc(answer.accepted)
        self._records.labels(token, "rejected").inc(answer.rejected)
        self._dropped.labels(token).inc(unkept)
        for one in answer.rejections:
            self._rejected.labels(one.code).inc()

    def repeated(self) -> None:
        """Count a request that wrote nothing."""
        self._repeated.inc()
