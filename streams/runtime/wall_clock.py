"""The host's wall clock. It can be set: durations are measured by `streams.runtime.monotonic`."""

import time


def epoch_ms() -> int:
    """The present, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
