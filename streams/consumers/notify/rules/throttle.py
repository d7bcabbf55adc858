"""How many messages are sent, and when. docs/guides/notify.md states the defaults."""

from dataclasses import dataclass

from monitor.text.durations import DAY, MINUTE
from streams.consumers.notify.messages.message import Severity


@dataclass(frozen=True, slots=True)
class Throttle:
    """``least``: the minimum severity of an alert that is sent. ``delay_ms``: an alert that ends within it is not sent.
    ``quiet_ms``: how long a repetition for one behaviour of one tenant is not sent, only counted in the daily
    summary. ``before_lapse_ms``: how long before a decision lapses people are notified.
    """

    least: Severity = "warning"
    delay_ms: int = 5 * MINUTE
    quiet_ms: int = 7 * DAY
    before_lapse_ms: int = DAY
