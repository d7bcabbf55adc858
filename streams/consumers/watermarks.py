"""How far a reader is behind: its position against the high watermarks that brokers reported."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from streams.kafka.api import TP
from streams.wording.consumer_wording import consumer_text

PATIENCE_S: Final = 5.0
"""How long a position may stay below a high watermark; an open transaction is committed or aborted by then."""
_APART_S: Final = 0.25
_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class LaggingPartition:
    """A partition whose position is below a high watermark that was reported at ``since_s``, by `steady_s`.

    ``in_transaction``: a transaction is open at the position, so no record up to the watermark can be read, nor
    records that other producers commit behind it. Otherwise the records are still to be read and handled.
    """

    tp: TP
    offset: int
    since_s: float
    in_transaction: bool

    def overdue(self, now_s: float) -> bool:
        """Whether it has lagged longer than transactions take, so that an answer may lack committed records."""
        return now_s - self.since_s > PATIENCE_S

    def reason(self, now_s: float) -> str:
        """Why nothing newer is known, as text."""
        log, for_s = f"{self.tp.topic}-{self.tp.partition}", now_s - self.since_s
        code = "open_transaction" if self.in_transaction else "overdue"
        return consumer_text(code, log=log, offset=self.offset, seconds=f"{for_s:.0f}")


@dataclass(slots=True)
class _Reported:
    high_watermark: int
    first_s: float
    last_s: float


class HighWatermarks:
    """The high watermarks of one partition that its reader has not reached yet, in time order.

    A pure function of the reports and positions. At most 64 reports are kept: reports within 0.25 s of each other, and
    those beyond that number, are merged into one with the time of the first.
    """

    def __init__(self) -> None:
        self._ahead: deque[_Reported] = deque()
        self.as_of_s: float | None = None
        """Everything written by then, committed or not, is before the position; None if that is not known."""

    @property
    def since_s(self) -> float | None:
        """When a high watermark above the position was first reported; None if there is none."""
        return self._ahead[0].first_s if self._ahead else None

    def report(self, high_watermark: int, at_s: float) -> None:
        """Record that a broker, asked at ``at_s``, reported this high watermark."""
        for each in reversed(self._ahead):
            if each.high_watermark <= high_watermark:
                break
            each.high_watermark = high_watermark  # the log was truncated to here
        last = self._ahead[-1] if self._ahead else None
        if last is not None and (
            last.high_watermark == high_watermark or at_s - last.first_s < _APART_S or len(self._ahead) == _MOST
        ):
            last.high_watermark, last.last_s = high_watermark, max(last.last_s, at_s)
        else:
            self._ahead.append(_Reported(high_watermark, at_s, at_s))

    def reach(self, position: int) -> None:
        """Record that everything before ``position`` is handled."""
        while self._ahead and self._ahead[0].high_watermark <= position:
            at_s = self._ahead.popleft().last_s
            self.as_of_s = at_s if self.as_of_s is None else max(self.as_of_s, at_s)
