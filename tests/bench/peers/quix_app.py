"""The rule in Quix Streams, as its manual teaches it: a hopping window, reduced, and its final values.

Only `Progress` belongs to the bench. Run as ``python -m bench.peers.quix_app``.
"""

from datetime import timedelta
from typing import Any

from quixstreams import Application

from bench.peers import rule

progress = rule.Progress()
app = Application(
    broker_address=rule.ADDRESS,
    consumer_group=rule.APPLICATION,
    auto_offset_reset="earliest",
    state_dir=rule.FOLDER,
    loglevel="ERROR",
)


def ended_ms(value: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
    """The event time."""
    return int(value["end_ms"])


calls = app.topic(rule.CALLS, key_deserializer="str", value_deserializer="json", timestamp_extractor=ended_ms)
alerts = app.topic(rule.ALERTS, key_serializer="str", value_serializer="json")


def is_answered(call: Any) -> bool:
    """Whether the rule counts the call."""
    progress.records += 1
    return call["direction"] == "outbound" and call.get("answer_ms") is not None


def first(call: Any) -> dict[str, int]:
    """The counts of a window with this call."""
    return add({"answered": 0, "short": 0}, call)


def add(counts: dict[str, int], call: Any) -> dict[str, int]:
    """The counts with one more call."""
    is_short = 0 < call["end_ms"] - call["answer_ms"] <= rule.SHORT_MS
    return {"answered": counts["answered"] + 1, "short": counts["short"] + is_short}


windows = (
    app.dataframe(calls)
    .filter(is_answered)
    .hopping_window(
        timedelta(seconds=rule.WINDOW_S), timedelta(seconds=rule.STEP_S), grace_ms=timedelta(hours=1), name="counts"
    )
    .reduce(reducer=add, initializer=first)
    .final()
)
windows.filter(lambda window: rule.exceeds(window["value"]["short"], window["value"]["answered"])).to_topic(alerts)

if __name__ == "__main__":
    app.run()
