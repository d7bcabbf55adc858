"""The progress and the summary of a replay, for a person at a terminal or reading a log."""

import sys
import time
from pathlib import Path
from types import TracebackType

from monitor.decoding import native
from monitor.replay.outcome import Outcome
from monitor.replay.run import ReplayProgress
from monitor.text.display import DEFAULT, Display, ids_in
from monitor.text.masking import visible
from monitor.text.timestamps import rfc3339
from streams.cli.terminal import raw_stream

_EVERY_S = 0.5
_EVERY_S_IN_A_LOG = 10.0
_SHOWN_REJECTIONS = 5
_LOOKED_AT = 8_192  # bytes of a rejected line in which ids are looked for


class Reporter:
    """A line on standard error with the progress: rewritten on a terminal, repeated rarely in a log."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._started = self._spoken = time.monotonic()
        self._decided = 0

    def __enter__(self) -> "Reporter":
        if self._shown and not native.enabled:
            sys.stderr.write("reading without extensions, which takes several times the CPU time\n")
        self._started = self._spoken = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._terminal:
            raw_stream(sys.stderr).write("\r\x1b[K")
            sys.stderr.flush()

    def update(self, progress: ReplayProgress) -> None:
        """Take the replay's progress and say it, if it is time to."""
        self._decided += len(progress.decided)
        now = time.monotonic()
        if not self._shown or now - self._spoken < (_EVERY_S if self._terminal else _EVERY_S_IN_A_LOG):
            return
        self._spoken = now
        rate = progress.read / max(now - self._started, 1e-9)
        upto = "" if progress.watermark_ms is None else f", judged to {rfc3339(progress.watermark_ms)}"
        line = f"{progress.read:,} records, {rate:,.0f}/s{upto}, {self._decided:,} decisions"
        raw_stream(sys.stderr).write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def summary(self, outcome: Outcome, out: Path, display: Display = DEFAULT) -> None:
        """The result, on standard output; the first rejections on standard error."""
        s = outcome.summary
        for one in outcome.rejected[:_SHOWN_REJECTIONS]:
            why = display.text(one.reason, ids_in(one.raw[:_LOOKED_AT].decode(errors="replace")))
            sys.stderr.write(f"{visible(one.file)}:{one.line}: rejected: {why}\n")
        if s.rejected > _SHOWN_REJECTIONS:
            sys.stderr.write(f"... and {s.rejected - _SHOWN_REJECTIONS:,} more in {out / 'rejected.jsonl'}\n")
        print(
            f"read {s.read:,} = accepted {s.accepted:,} + rejected {s.rejected:,}"
            f" + duplicates {s.duplicates:,} + late {s.late:,}"
        )
        span = ""
        if s.last_event_ms is not None:
            span = f", last event {rfc3339(s.last_event_ms)}"
        limit = "" if s.not_after_ms is None else f" (rejected beyond {rfc3339(s.not_after_ms)})"
        print(f"tenants {s.tenants:,}{span}{limit}")
        print(f"enforcement {s.enforcement:,}, shadow {s.shadow:,}, alerts {s.alerts:,}")
        print(f"written to {out}/")
