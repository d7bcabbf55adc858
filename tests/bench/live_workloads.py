"""The records of the live bench: of a working day, and of the time until now."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from bench.workload import Workload
from monitor.simulate.settings import DAY_MS, HOUR_MS

THURSDAY = 3


def working_day(name: str, tenants: int, calls: int) -> Workload:
    """A day of traffic that begins on the last of Monday to Thursday: at weekends tenants call less."""
    workload = until_now(name, tenants, calls, 1)
    start_ms = workload.start_ms
    while datetime.fromtimestamp(start_ms / 1_000, UTC).weekday() > THURSDAY:
        start_ms -= DAY_MS
    return replace(workload, start_ms=start_ms)


def until_now(name: str, tenants: int, calls: int, days: int) -> Workload:
    """Records that end one to two hours ago: current records come after all of them."""
    start_ms = time.time_ns() // 1_000_000 - days * DAY_MS - HOUR_MS
    return Workload(name, tenants, calls, days, start_ms // HOUR_MS * HOUR_MS)
