"""Values as a page shows them: times in the reader's zone, durations, counts, ids, numbers masked."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo, available_timezones

from monitor.report.labels import label
from monitor.report.rejection_wording import rejection_of
from monitor.report.views import duration
from monitor.text.bilingual import Bilingual
from monitor.text.display import Display, party
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import Precision, date_time, in_zone, rfc3339
from schemas.outputs import Alert, Enforcement, Reason
from streams.console.pages.program_sentences import PROGRAM_SENTENCES
from streams.console.pages.texts import Language, text

_ZONE: Final = re.compile(r"[A-Za-z0-9_+\-/]{1,64}")
DEFAULT_ZONE: Final = "UTC"


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def known_zone(name: str) -> str:
    """``name`` if it is a time zone, else UTC. It comes from a cookie."""
    return name if _ZONE.fullmatch(name) and name in _zone_names() else DEFAULT_ZONE


@dataclass(frozen=True, slots=True)
class Formats:
    """How one reader sees values: the language, the time zone, and what of ids is masked."""

    language: Language
    zone: str
    display: Display
    now_ms: int

    @property
    def zone_label(self) -> str:
        """The zone with its offset now: ``Asia/Shanghai (UTC+08:00)``."""
        offset = datetime.fromtimestamp(self.now_ms / 1000, ZoneInfo(self.zone)).strftime("%z")
        return "UTC" if self.zone == DEFAULT_ZONE else f"{self.zone} (UTC{offset[:3]}:{offset[3:5]})"

    def local(self, ms: int, precision: Precision = "seconds") -> str:
        """A time in the reader's zone: ``2026-11-25 09:30:00``."""
        return date_time(ms, ZoneInfo(self.zone), precision)

    def full_time(self, ms: int) -> str:
        """The title of a time: in the reader's zone, with the zone's name, and in UTC."""
        return f"{self.local(ms, 'shortest')} {self.zone} · {rfc3339(ms)}"

    def span(self, ms: float) -> str:
        """A duration in its two largest units; seconds below one minute."""
        if 0 <= ms < 60_000:
            return text(self.language, "base.seconds", n=f"{round(ms / 1000, 1):g}")
        return text(self.language, duration(int(ms)))

    def label(self, table: dict[str, Bilingual], code: str) -> str:
        """The label of a code in the reader's language."""
        return text(self.language, label(table, code))

    def shown(self, identifier: str) -> str:
        """An id: whole, unless it is a telephone number; what acts on a page escaped."""
        return self.display.tenant(identifier)

    def safe_text(self, given: str, ids: tuple[str, ...] = (), limit: int = 600) -> str:
        """Free text of a record: numbers masked, what acts on a page visible, cut to about ``limit`` characters."""
        return self.display.text(given, ids, limit)

    def reason(self, given: Reason, ids: tuple[str, ...] = ()) -> str:
        """The reason of a decision or an alert in the reader's language, numbers masked."""
        return self.sentence(given.zh if self.language == "zh" else given.en, ids)

    def sentence(self, given: str, ids: tuple[str, ...] = (), limit: int = 600) -> str:
        """A reason in one language: numbers masked, its times in the reader's zone."""
        return in_zone(self.display.reason(given, ids, limit), ZoneInfo(self.zone))

    def rejected(self, reason: str) -> str:
        """What the code word means that begins a reason of a rejection; empty if it is not known."""
        meaning = rejection_of(reason)
        return "" if meaning is None else text(self.language, meaning)

    def of_program(self, sentence: str) -> str:
        """A sentence that a program wrote in English, in Chinese; empty if it is not known or not wanted."""
        return PROGRAM_SENTENCES.in_chinese(sentence) or "" if self.language == "zh" else ""

    def event_reason(self, event: Enforcement | Alert) -> str:
        """The reason of this decision or alert in the reader's language and zone; the ids of its record are shown."""
        return self.reason(event.data.reason if isinstance(event, Enforcement) else event.reason, tuple(ids_of(event)))


def seg(part: str) -> str:
    """One segment of a path, percent-encoded: of a tenant's id also ``/``, ``.`` and ``..``."""
    return quote(part, safe="").replace(".", "%2E")


def masked(number: str) -> str:
    """A caller or callee: all hidden but the last two digits."""
    return party(number)


def count(value: float) -> str:
    """A count with thousands grouped; four significant digits of what is not whole."""
    return f"{int(value):,}" if value == int(value) else f"{value:,.4g}"


def utc(ms: int) -> str:
    """A time for machines, RFC 3339 in UTC."""
    return rfc3339(ms)


def now_ms() -> int:
    """The clock of the page."""
    return int(datetime.now(UTC).timestamp() * 1000)
