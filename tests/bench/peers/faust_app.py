"""One rule in Faust as its documentation teaches it: the ratio of short calls, counted in windowed tables.

Only ``BENCH_WINDOWS``, `ready` and `report_progress` belong to the bench. Run as
``python -m bench.peers.faust_app worker``.
"""

import os
from typing import Any, Optional

import faust

from bench.peers import rule

app = faust.App(
    rule.APPLICATION,
    broker=f"kafka://{rule.ADDRESS}",
    store="memory://",
    topic_partitions=rule.PARTITIONS,
)


class Call(faust.Record, serializer="json"):
    """The fields of a call that the rule needs."""

    tenant_id: str
    direction: str
    outcome: str
    end_ms: int
    answer_ms: Optional[int] = None  # noqa: UP045 - Faust supports no other syntax


class ShortCalls(faust.Record, serializer="json"):
    """An alert."""

    tenant_id: str
    short: int
    answered: int


def ended_s(event: Any) -> float:
    """The event time."""
    return float(event.value.end_ms / 1000)


def windowed(name: str) -> Any:
    """A count for each tenant and window: for all windows of the rule, or for consecutive ones."""
    table = app.Table(name, default=int)
    if os.environ["BENCH_WINDOWS"] == "hopping":
        return table.hopping(rule.WINDOW_S, rule.STEP_S, expires=rule.KEEP_S).relative_to(ended_s)
    return table.tumbling(rule.WINDOW_S, expires=rule.KEEP_S).relative_to(ended_s)


calls = app.topic(rule.CALLS, key_type=str, value_type=Call)
alerts = app.topic(rule.ALERTS, key_type=str, value_type=ShortCalls)
answered, short = windowed("answered"), windowed("short")


@app.agent(calls)
async def judge(stream: Any) -> None:
    """Count a call, and alert when too many were short."""
    async for call in stream:
        if call.direction != "outbound" or call.answer_ms is None:
            continue
        answered[call.tenant_id] += 1
        if 0 < call.end_ms - call.answer_ms <= rule.SHORT_MS:
            short[call.tenant_id] += 1
        few, many = short[call.tenant_id].value(), answered[call.tenant_id].value()
        if rule.exceeds(few, many):
            await alerts.send(key=call.tenant_id, value=ShortCalls(call.tenant_id, few, many))


@app.task
async def ready() -> None:
    """The tables are recovered, and reading begins."""
    rule.report("ready")


@app.timer(0.1)
async def report_progress() -> None:
    """Report the progress."""
    rule.report("read", records=app.monitor.events_total)


if __name__ == "__main__":
    app.main()
