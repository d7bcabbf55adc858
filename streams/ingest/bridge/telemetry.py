"""The bridge's metrics: rows by what became of them."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from streams.metrics.bridge_metrics import RESULTS
from streams.metrics.factory import counter


class BridgeMetrics:
    """The metrics of one process, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = counter("callwarden_bridge_rows_total", registry)
        self._rejected = counter("callwarden_bridge_rejected_total", registry)
        for result in RESULTS:
            self._rows.labels(result)

    def count(self, rows: Mapping[tuple[str, str], int]) -> None:
        """Count rows by result and code, as `streams.ingest.document_mapper.MappedOutputs` has them."""
        for (result, code), number in rows.items():
            self._rows.labels(result).inc(number)
            if code:
                self._rejected.labels(code).inc(number)
