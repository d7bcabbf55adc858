"""A clock that nobody sets: it goes on while this process or this machine sleeps, and never back."""

import sys
import time

if sys.platform == "linux":

    def steady_s() -> float:
        """Seconds since this machine started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)  # time.monotonic stands still while the machine sleeps

else:

    def steady_s() -> float:
        """Seconds since some moment."""
        return time.monotonic()
