"""A replay seen live: progress, decisions by tier, the last ones with their reasons; plain lines without a terminal."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.report import labels
from monitor.report.labels import label
from monitor.text.display import DEFAULT, Display
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import date_time, month_day_time
from schemas.outputs import Enforcement
from streams.cli.styles import STYLES

# The newest decisions on a terminal: as many as its height holds, about so many lines each at 120 columns.
_LAST = 8
_LINES_EACH = 4
_LINES_ELSE = 8
# Without a terminal: a line of progress at most this often.
_EVERY_S = 5.0


class LiveView:
    """Shows a replay on ``console`` while it runs; give it to replay's progress as ``update``.

    ``total`` is the number of input rows where it is known. On a terminal a panel is redrawn four times a second;
    elsewhere (a pipe, a log) plain lines come, the first ``plain_decisions`` decisions among them.
    """

    def __init__(
        self,
        console: Console,
        total: int | None = None,
        plain_decisions: int = 40,
        clock: Callable[[], float] = time.monotonic,
        display: Display = DEFAULT,
    ) -> None:
        self._display = display
        self._console, self._total, self._clock = console, total, clock
        self._live: Live | None = None
        self._started = self._spoken = clock()
        self._read, self._left_to_print = 0, plain_decisions
        self._watermark_ms: int | None = None
        self._tiers: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._last: deque[Enforcement] = deque(maxlen=_LAST)

    def __enter__(self) -> "LiveView":
        self._started = self._spoken = self._clock()
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        else:
            self._console.print(self._progress())

    def update(self, read: int, watermark_ms: int | None, decisions: Sequence[Enforcement]) -> None:
        """Rows read so far, the watermark (None leaves it as it was), and what was decided since the last call."""
        self._read, self._watermark_ms = read, watermark_ms or self._watermark_ms
        for event in decisions:
            self._tiers[event.data.tier or "none"] += event.data.kind not in ("reversal", "lapse")
            self._statuses[event.data.kind if event.data.kind in ("reversal", "lapse") else event.data.status] += 1
            self._last.append(event)
        if self._live is None:
            self._say(decisions)

    def __rich__(self) -> Panel:
        """The panel; rich calls this at each redraw."""
        tiers = Table.grid(padding=(0, 3))
        tiers.add_row(*(self._tier(tier) for tier in labels.TIERS))
        last = Table.grid(padding=(0, 1))
        room = max(1, (self._console.height - _LINES_ELSE) // _LINES_EACH)
        for event in list(self._last)[-room:]:
            last.add_row(*decision_cells(event, 160, self._display))
        body = Group(self._progress(), Text(), tiers, Text(), last) if self._last else Group(self._progress(), tiers)
        return Panel(body, title="Callwarden", border_style="blue")

    def _tier(self, tier: str) -> Text:
        name = label(labels.TIERS, tier)
        return Text(f"{name.zh} {name.en} {self._tiers[tier]}", style=STYLES[tier])

    def _progress(self) -> Text:
        elapsed = max(self._clock() - self._started, 1e-3)
        share = f" ({100 * self._read / self._total:.0f} %)" if self._total else ""
        at = ""
        if self._watermark_ms is not None and self._watermark_ms > 0:
            at = f" · {date_time(self._watermark_ms, precision='minutes')} UTC"
        counts = " · ".join(f"{name.zh} {name.en} {self._statuses[key]}" for key, name in _SHOWN.items())
        return Text(f"已读 read {self._read:,}{share} · {self._read / elapsed:,.0f}/s{at} · {counts}")

    def _say(self, decisions: Sequence[Enforcement]) -> None:
        for event in decisions[: self._left_to_print]:
            self._console.print(decision_line(event, display=self._display), soft_wrap=True)
            self._left_to_print -= 1
            if not self._left_to_print:
                self._console.print("… 其余决定只计数 / further decisions are counted only")
        if self._clock() - self._spoken >= _EVERY_S:
            self._spoken = self._clock()
            self._console.print(self._progress(), soft_wrap=True)


_SHOWN = labels.STATUSES | {kind: labels.KINDS[kind] for kind in ("reversal", "lapse")}


def decision_cells(event: Enforcement, limit: int = 240, display: Display = DEFAULT) -> tuple[Text, Text, Text]:
    """A decision as time and tenant, tier and kind, and its reason in both languages, each of ``limit`` characters."""
    data, ids = event.data, ids_of(event)
    tier, kind, status = data.tier or "none", label(labels.KINDS, data.kind), label(labels.STATUSES, data.status)
    at = month_day_time(data.decided_ms, "minutes")
    name = label(labels.TIERS, tier).zh if data.tier else ""
    pending = data.status == "pending_review"
    zh, en = (f"{kind.zh} {status.zh}", f"{kind.en} ({status.en.lower()})") if pending else (kind.zh, kind.en)
    return (
        Text(f"{at}\n{display.id(event.subject)}"),
        Text(f"{name} {zh}\n{en}".strip(), style=STYLES[tier]),
        Text(f"{display.reason(data.reason.zh, ids, limit)}\n{display.reason(data.reason.en, ids, limit)}"),
    )


def decision_line(event: Enforcement, limit: int = 240, display: Display = DEFAULT) -> Text:
    """A decision as three lines of text: who and what, and the reason in each language."""
    when, what, why = (cell.plain.split("\n") for cell in decision_cells(event, limit, display))
    text = Text(f"{when[0]} UTC  {when[1]}  ")
    text.append(" / ".join(what), style=STYLES[event.data.tier or "none"])
    return text.append(f"\n    {why[0]}\n    {why[1]}")
