"""The door's metrics: records by outcome, repeated requests, and request durations."""

import time

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.ingest.http.answer import IngestAnswer
from streams.metrics.factory import counter, gauge, histogram


class IngestMetrics:
    """The metrics of one process, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = counter("callwarden_ingest_records_total", registry)
        self._refused = counter("callwarden_ingest_refused_total", registry)
        self._dropped = counter("callwarden_ingest_letters_dropped_total", registry)
        self._repeated = counter("callwarden_ingest_repeated_requests_total", registry)
        self._seconds = histogram("callwarden_ingest_request_duration_seconds", registry)
        self.keys = gauge("callwarden_ingest_keys", registry)
        self.held = gauge("callwarden_ingest_held_bytes", registry)

    def written(self, token: str, answer: IngestAnswer, unkept: int) -> None:
        """Count the records of a request."""
        self._records.labels(token, "accepted").inc(answer.accepted)
        self._records.labels(token, "refused").inc(answer.refused)
        self._dropped.labels(token).inc(unkept)
        for one in answer.refusals:
            self._refused.labels(one.code).inc()

    def repeated(self) -> None:
        """Count a request that wrote nothing."""
        self._repeated.inc()

    def timed(self, app: ASGIApp) -> ASGIApp:
        """The application with its answers under ``/v1/`` timed."""

        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope.get("path", "").startswith("/v1/"):
                return await app(scope, receive, send)
            began_s, status = time.perf_counter(), "500"

            async def sending(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, sending)
            finally:
                self._seconds.labels(status).observe(time.perf_counter() - began_s)

        return timed
