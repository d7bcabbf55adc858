"""How many messages are sent, and when. docs/guides/notify.md states the defaults."""

from dataclasses import dataclass

from monitor.text.durations import DAY, MINUTE
from streams.consumers.notify.messages.message import Severity


@dataclass(frozen=True, slots=True)
class Throttle:
    """``least``: the least severity of an alert that anybody hears of. ``delay_ms``: an alert that is over within it
    is not told. ``quiet_ms``: for so long the same is not told again of one behaviour of one tenant, but counted in
    the summary of the day. ``before_lapse_ms``: how long before a decision lapses people are told.
    """

    least: Severity = "warning"
    delay_ms: int = 5 * MINUTE
    quiet_ms: int = 7 * DAY
    before_lapse_ms: int = DAY
