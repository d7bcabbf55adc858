"""Billing's metrics: events by outcome, holds, and request durations."""

import asyncio
from collections import Counter
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, func, select

from streams.consumers.billing import unread
from streams.consumers.billing.holds import counted
from streams.consumers.billing.tables import GAP, REJECTED
from streams.consumers.database import Database
from streams.kafka.api import TransientError
from streams.metrics.factory import LabelValues, counter, histogram

log = structlog.get_logger("callwarden")

_RESULTS: Final = ("frozen", "released", "unaffected", "duplicate", "rejected")
_LOOK_S: Final = 5.0
_HELD: Final = (  # in the order of `_look`
    *("holds", "frozen_tenants", "rejected_records", "accepted_gaps"),
    *("unread_records", "unread_records_of_any_tenant"),
)


class BillingMetrics:
    """The metrics of one process, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = counter("callwarden_billing_events_total", registry)
        for result in _RESULTS:
            self._events.labels(result)
        self._gauges = [LabelValues(f"callwarden_billing_{name}", registry) for name in _HELD]
        self.seconds = histogram("callwarden_billing_request_duration_seconds", registry)

    @property
    def unread_of_any_tenant(self) -> bool:
        """Whether undecodable records withhold the answers of all tenants, as of the last refresh."""
        return bool(self._gauges[-1].value)

    def handled(self, counts: Counter[str]) -> None:
        """Count handled records by outcome."""
        for result, count in counts.items():
            self._events.labels(result).inc(count)

    async def refresh(self, database: Database) -> None:
        """Refresh the gauges from the database until cancelled; processes with one database report the same values."""
        while True:
            try:
                for gauge, value in zip(self._gauges, await asyncio.to_thread(_look, database), strict=True):
                    gauge.set(value)
            except TransientError:
                pass  # the follower logs it
            await asyncio.sleep(_LOOK_S)


def _look(database: Database) -> tuple[int, ...]:
    with database.reading() as connection:
        rows = (_rows(connection, REJECTED), _rows(connection, GAP))
        return *counted(connection), *rows, *unread.counted(connection)


def _rows(connection: Connection, table: Any) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
