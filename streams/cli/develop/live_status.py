"""What a worker's pages say, as the status line of `callwarden live`."""

import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.text.timestamps import month_day_time

_TIMEOUT_S: Final = 2.0
_SAMPLE: Final = re.compile(
    r"^callwarden_(records_total|late_total|rejected_total|watermark_timestamp_seconds|lag_records|partition)"
    r"(\{[^}]*\})? (\S+)$",
    re.MULTILINE,
)
WAITING: Final = "状态 Status  等待工作进程 / waiting for the worker"
LATE_NOTE: Final = (
    "迟到的通话不计入任何窗口；见主题 callwarden.late 与 docs/guides/live.md / "
    "late calls count in no window: they are in the topic callwarden.late, see docs/guides/live.md"
)
"""Where to look for the late calls of the status."""
REJECTED_NOTE: Final = (
    "拒收的记录及原因：运行 / rejected records with their reasons: callwarden dead-letter list --bootstrap {address}"
)
"""Where to look for the rejected records of the status."""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """The progress of a worker. ``watermark_ms``: everything before it is decided; None before all partitions know."""

    watermark_ms: int | None
    records: int
    running: int
    partitions: int
    lag: int
    late: int = 0
    rejected: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers whose change makes a new status. The time and the lag change constantly."""
        return self.records, self.late, self.rejected, self.running, self.partitions

    def __str__(self) -> str:
        at = "—" if self.watermark_ms is None else f"{month_day_time(self.watermark_ms)} UTC"
        rejected = f"拒收 rejected {self.rejected:,} · " if self.rejected else ""
        return (
            f"状态 Status  已判定至 decided to {at} · 已判记录 records judged {self.records:,} · "
            f"迟到 late {self.late:,} · {rejected}分区 partitions {self.running}/{self.partitions} · "
            f"未读 lag {self.lag:,}"
        )


def status_of(metrics: str) -> LiveStatus:
    """The status in a worker's page of metrics."""
    records = lag = running = late = rejected = 0
    numbers: set[str] = set()
    watermarks: list[float] = []
    for name, labels, value in _SAMPLE.findall(metrics):
        match name:
            case "records_total":
                records = int(float(value))
            case "late_total":
                late = int(float(value))
            case "rejected_total":
                rejected += int(float(value))
            case "lag_records":
                lag += int(float(value))
            case "watermark_timestamp_seconds":
                watermarks.append(float(value))
            case _:
                numbers.update(re.findall(r'partition="(\d+)"', labels))
                running += 'phase="running"' in labels and float(value) == 1
    known = bool(watermarks) and len(watermarks) == len(numbers)
    watermark_ms = round(min(watermarks) * 1000) if known else None
    return LiveStatus(watermark_ms, records, running, len(numbers), lag, late, rejected)


def page(address: str) -> str | None:
    """A page of a program on this machine; None if it does not answer, or with an error."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=_TIMEOUT_S) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except (urllib.error.URLError, OSError, ValueError):
        return None


def live_status(worker: str) -> LiveStatus | None:
    """The status of the worker whose pages are at this address; None if it does not answer."""
    metrics = page(f"{worker}/metrics")
    return None if metrics is None else status_of(metrics)


def all_ready(addresses: Sequence[str]) -> bool:
    """Whether the programs at these addresses are ready."""
    return all(page(f"{address}/readyz") is not None for address in addresses)
