"""One rule in Faust as its documentation teaches it: the ratio of short calls, counted in windowed tables.

Only ``BENCH_...``, `report` and the timer belong to the bench. Run as ``python -m bench.faust_app worker``.
"""

import json
import os
import sys
from typing import Any, Optional

import faust

WINDOW_S, STEP_S, KEEP_S = 4 * 3600, 15 * 60, 24 * 3600
SHORT_MS, RATIO, LEAST = 6_000, 0.25, 30

app = faust.App(
    os.environ["BENCH_APP"],
    broker=f"kafka://{os.environ['CALLWARDEN_BOOTSTRAP_SERVERS']}",
    store="memory://",
    topic_partitions=int(os.environ["CALLWARDEN_PARTITIONS"]),
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
        return table.hopping(WINDOW_S, STEP_S, expires=KEEP_S).relative_to(ended_s)
    return table.tumbling(WINDOW_S, expires=KEEP_S).relative_to(ended_s)


calls = app.topic(f"{os.environ['CALLWARDEN_INPUT_PREFIX']}cdr", key_type=str, value_type=Call)
alerts = app.topic(f"{os.environ['BENCH_APP']}-alerts", key_type=str, value_type=ShortCalls)
answered, short = windowed("answered"), windowed("short")


@app.agent(calls)
async def judge(stream: Any) -> None:
    """Count a call, and alert when too many were short."""
    async for call in stream:
        if call.direction != "outbound" or call.answer_ms is None:
            continue
        answered[call.tenant_id] += 1
        if 0 < call.end_ms - call.answer_ms <= SHORT_MS:
            short[call.tenant_id] += 1
        few, many = short[call.tenant_id].value(), answered[call.tenant_id].value()
        if many >= LEAST and few / many > RATIO:
            await alerts.send(key=call.tenant_id, value=ShortCalls(call.tenant_id, few, many))


def report(event: str, **more: object) -> None:
    """Report to the bench. Faust's own output redirection would turn printed lines into log warnings."""
    print(json.dumps({"event": event, **more}), file=sys.__stdout__, flush=True)


@app.task
async def ready() -> None:
    """The tables are recovered, and reading begins."""
    report("ready")


@app.timer(0.1)
async def report_progress() -> None:
    """Report the progress."""
    report("read", records=app.monitor.events_total)


if __name__ == "__main__":
    app.main()
