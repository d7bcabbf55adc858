"""The rule that every peer evaluates, its settings, and how it reports to the bench.

It imports the standard library only: each peer runs in an environment of its own.

A tenant breaks it if more than a quarter of its answered outbound calls within 4 hours, at least 30 of them, end
within 6 seconds. The windows begin every 15 minutes. It is a rule of one metric, `short_call_ratio`; each built-in rule
has several.
"""

import json
import os
import sys
import threading
import time

WINDOW_S, STEP_S, KEEP_S = 4 * 3600, 15 * 60, 24 * 3600
SHORT_MS, RATIO, LEAST = 6_000, 0.25, 30

APPLICATION = os.environ["BENCH_APP"]
ADDRESS = os.environ["CALLWARDEN_BOOTSTRAP_SERVERS"]
PARTITIONS = int(os.environ["CALLWARDEN_PARTITIONS"])
FOLDER = os.environ["BENCH_FOLDER"]
CALLS, ALERTS = f"{os.environ['CALLWARDEN_INPUT_PREFIX']}cdr", f"{APPLICATION}-alerts"
_REPORT_S = 0.1


def exceeds(short: int, answered: int) -> bool:
    """Whether the counts of a window are worth an alert."""
    return answered >= LEAST and short / answered > RATIO


def report(event: str, **more: object) -> None:
    """Print a line of JSON. A framework that redirects output would turn it into a log message."""
    print(json.dumps({"event": event, **more}), file=sys.__stdout__, flush=True)


class Progress:
    """The number of records read: "ready" at the first, and the number ten times a second."""

    def __init__(self) -> None:
        self.records = 0
        threading.Thread(target=self._report, daemon=True).start()

    def _report(self) -> None:
        while not self.records:
            time.sleep(_REPORT_S / 10)
        report("ready")
        while True:
            report("read", records=self.records)
            time.sleep(_REPORT_S)
