"""The rule in Bytewax, as its manual teaches it: a dataflow with a sliding window that is folded.

Only `Progress` belongs to the bench. Run as ``python -m bytewax.run bench.peers.bytewax_app:flow``.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow

from bench.peers import rule

progress = rule.Progress()


@dataclass
class Counts:
    """The calls of a tenant in a window."""

    answered: int = 0
    short: int = 0


def keyed(message: Any) -> Any:
    """The call with its tenant, if the rule counts it."""
    progress.records += 1
    call = json.loads(message.value)
    if call["direction"] != "outbound" or call.get("answer_ms") is None:
        return None
    return call["tenant_id"], call


def ended(call: Any) -> datetime:
    """The event time."""
    return datetime.fromtimestamp(call["end_ms"] / 1000, UTC)


def add(counts: Counts, call: Any) -> Counts:
    """The counts with one more call."""
    counts.answered += 1
    counts.short += 0 < call["end_ms"] - call["answer_ms"] <= rule.SHORT_MS
    return counts


def merge(one: Counts, other: Counts) -> Counts:
    """The counts of two windows that become one; only windows of sessions do."""
    return Counts(one.answered + other.answered, one.short + other.short)


def alert(item: Any) -> Any:
    """The message of an alert, if the window is worth one."""
    tenant, (_, counts) = item
    if not rule.exceeds(counts.short, counts.answered):
        return None
    value = {"tenant_id": tenant, "short": counts.short, "answered": counts.answered}
    return KafkaSinkMessage(tenant.encode(), json.dumps(value).encode())


flow = Dataflow("short_calls")
read = kop.input("read", flow, brokers=[rule.ADDRESS], topics=[rule.CALLS])
answered = op.filter_map("answered", read.oks, keyed)
clock = win.EventClock(ts_getter=ended, wait_for_system_duration=timedelta(hours=1))
windower = win.SlidingWindower(
    length=timedelta(seconds=rule.WINDOW_S),
    offset=timedelta(seconds=rule.STEP_S),
    align_to=datetime(2026, 1, 1, tzinfo=UTC),
)
counted = win.fold_window("count", answered, clock, windower, Counts, add, merge)
alerts = op.filter_map("exceeds", counted.down, alert)
kop.output("write", alerts, brokers=[rule.ADDRESS], topic=rule.ALERTS)
