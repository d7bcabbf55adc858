"""What a worker tells Prometheus of itself. Counters grow when a transaction is committed, never when rows are read."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor.partition import Taken
from monitor.topics import INPUTS

_PHASES = ("opening", "running", "refused", "stopped", "unfit")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Telemetry:
    """The worker's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._records = Counter("callwarden_records", "Records read, those read again not counted", registry=registry)
        self._duplicates = Counter("callwarden_duplicates", "Records that came twice", registry=registry)
        self._late = Counter("callwarden_late", "Calls too late for any window", registry=registry)
        self._rejected = Counter(
            "callwarden_rejected", "Records sent to the dead letters", ["topic", "reason"], registry=registry
        )
        self._decisions = Counter(
            "callwarden_decisions", "Enforcement events", ["kind", "status", "rule"], registry=registry
        )
        self._shadow = Counter("callwarden_shadow", "Decisions of rules in shadow mode", ["rule"], registry=registry)
        self._alerts = Counter("callwarden_alerts", "Alerts sent", ["rule", "state"], registry=registry)
        self._failed = Counter("callwarden_transactions_failed", "Transactions that failed", registry=registry)
        self._took = Histogram(
            "callwarden_transaction_seconds", "Time of a transaction", buckets=_SECONDS, registry=registry
        )
        self._opening = Histogram(
            "callwarden_opening_seconds", "Time to open a partition", buckets=_SECONDS, registry=registry
        )
        self._phase = Gauge(
            "callwarden_partition", "1 for what a partition is", ["partition", "phase"], registry=registry
        )
        self._watermark = Gauge(
            "callwarden_watermark_seconds", "The watermark, Unix time", ["partition"], registry=registry
        )
        self._lag = Gauge("callwarden_lag_records", "Records not read yet", ["topic", "partition"], registry=registry)
        self._silent = Gauge(
            "callwarden_cdr_feed_silent_seconds", "For how long no call has come in any partition", registry=registry
        )
        self._away = Gauge("callwarden_broker_away", "1 while the broker cannot be reached", registry=registry)
        self._stale = Counter("callwarden_stale_batches", "Batches of a former generation, dropped", registry=registry)

    def committed(self, number: int, taken: Taken, watermark_ms: int, took_s: float) -> None:
        """A transaction was committed with what was ``taken``."""
        self._records.inc(taken.rows)
        self._duplicates.inc(taken.duplicates)
        self._late.inc(len(taken.late))
        for refused in taken.refused:
            self._rejected.labels(INPUTS[refused.log[1]], refused.reason.partition(":")[0]).inc()
        for event in taken.sink.enforcement:
            self._decisions.labels(event.data.kind, event.data.status, event.data.rule_id).inc()
        for event in taken.sink.shadow:
            self._shadow.labels(event.data.rule_id).inc()
        for alert in taken.sink.alerts:
            self._alerts.labels(alert.rule_id, alert.state).inc()
        self._watermark.labels(number).set(watermark_ms / 1000)
        self._took.observe(took_s)

    def transaction_failed(self) -> None:
        """A transaction failed, or may have."""
        self._failed.inc()

    def opened(self, took_s: float) -> None:
        """A partition runs."""
        self._opening.observe(took_s)

    def phase(self, number: int, phase: str) -> None:
        """What a partition is now."""
        for one in _PHASES:
            self._phase.labels(number, one).set(one == phase)

    def gone(self, number: int) -> None:
        """The partition went to another worker, which tells of it from now on."""
        self._watermark.remove_by_labels({"partition": str(number)})
        for gauge in (self._phase, self._lag):
            gauge.remove_by_labels({"partition": str(number)})

    def lag(self, topic: str, number: int, records: int) -> None:
        """How far reading is behind the end of a log."""
        self._lag.labels(topic, number).set(records)

    def feed_silent(self, seconds: float) -> None:
        """For how long every partition of the calls has been silent."""
        self._silent.set(seconds)

    def broker(self, away: bool) -> None:
        """Whether the broker cannot be reached."""
        self._away.set(away)

    def stale(self) -> None:
        """A batch came that was fetched for another position."""
        self._stale.inc()
