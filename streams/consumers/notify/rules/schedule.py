"""Timers: which pending decisions are about to lapse, and when the daily summary is due."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo


class PendingCase(NamedTuple):
    """A decision that waits for review and whose lapse has not been announced yet."""

    id: str
    tenant_id: str
    behaviour: str
    kind: str
    review_by_ms: int


def about_to_lapse(pending: Sequence[PendingCase], now_ms: int, before_ms: int) -> list[PendingCase]:
    """The cases to announce now, first to lapse first: none until one lapses within ``before_ms``, then all that lapse
    within twice that, so that a day's cases are one message."""
    if all(each.review_by_ms - before_ms > now_ms for each in pending):
        return []
    soon = [each for each in pending if each.review_by_ms - 2 * before_ms <= now_ms]
    return sorted(soon, key=lambda each: (each.review_by_ms, each.id))


def next_summary_ms(after_ms: int, hour: int, timezone: str) -> int:
    """The first time after ``after_ms`` at which the local time is ``hour``, epoch ms."""
    after = datetime.fromtimestamp(after_ms / 1000, ZoneInfo(timezone))
    at = after.replace(hour=hour, minute=0, second=0, microsecond=0)
    if at <= after:
        at += timedelta(days=1)
    return round(at.timestamp() * 1000)
