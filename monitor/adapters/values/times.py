"""Parses times as files write them: formats in a time zone, or numbers since the epoch."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.mapping_wording import listed, mapping_text
from monitor.text.bilingual import Bilingual, BilingualError

EPOCH_S: Final = "epoch_s"
EPOCH_MS: Final = "epoch_ms"
EPOCH_US: Final = "epoch_us"
EPOCH_NS: Final = "epoch_ns"
ISO: Final = "iso8601"
EPOCHS: Final = {EPOCH_S: 3, EPOCH_MS: 0, EPOCH_US: -3, EPOCH_NS: -6}
"""The formats that are numbers since the epoch, and the decimal places from their unit to the millisecond."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_NUMBER: Final = re.compile(r"([+-]?)([0-9]{1,21})(?:\.([0-9]{1,9}))?")
# From 3.14 on, Python reads the hour 24 as the next midnight; the records must not depend on its version.
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?!24)[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(.*)")
_YEAR: Final = re.compile(r"%[YyGcxD]")
_WHOLE_DIGITS: Final = 15
_REMEMBERED: Final = 65_536
_LONGEST_REMEMBERED: Final = 64  # a format takes any amount of white space, so a sender could fill the memory


def zone(name: str) -> tzinfo:
    """The IANA zone ``name``. Raises BilingualError if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BilingualError(mapping_text("no_zone", name=quoted_value(name))) from None


def format_fault(form: str) -> Bilingual | None:
    """What is wrong with a time format, and what is expected; None if it is valid."""
    if form in EPOCHS or form == ISO:
        return None
    right = mapping_text("time_forms", epochs=listed(EPOCHS))
    if "%" not in form:
        return mapping_text("no_time_form", form=quoted_value(form), right=right)
    try:
        datetime.strptime("", form)
    except ValueError as error:
        if "bad directive" in str(error) or "stray %" in str(error):
            return mapping_text(
                "wrong_time_form", form=quoted_value(form), why=mapping_text("bad_directive", why=error), right=right
            )
    except re.error:
        return mapping_text("part_twice", form=quoted_value(form), right=right)
    if not _YEAR.search(form):
        return mapping_text("no_year", form=quoted_value(form))
    return None


class TimeReader:
    """Text to epoch ms by the first of ``forms`` that fits; a time without an offset is local time of ``local``.

    A local time that occurs twice (clocks set back) is the first of the two; one that is skipped (clocks set forward)
    is read with the offset before the change, so 02:30 in a gap of one hour becomes 03:30, as with ``fold=0`` in PEP
    495. Fractions of a millisecond are truncated. With ``local`` None a time must carry an offset. Raises `Reject`.
    """

    def __init__(self, forms: tuple[str, ...], local: tzinfo | None) -> None:
        self.forms = forms
        self._local = local
        self._seen: dict[str, int] = {}
        # Whole numbers since the epoch need neither be parsed nor remembered.
        self._unit_ms = {EPOCH_MS: 1, EPOCH_S: 1000}.get(forms[0], 0)

    def __call__(self, text: str) -> int:
        if self._unit_ms and len(text) <= _WHOLE_DIGITS and text.isascii() and text.isdigit():
            return int(text) * self._unit_ms
        found = self._seen.get(text)
        if found is None:
            found = self._read(text)
            if len(text) > _LONGEST_REMEMBERED:
                return found
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[text] = found
        return found

    def _read(self, text: str) -> int:
        for form in self.forms:
            try:
                return self._read_as(text, form)
            except (ValueError, OverflowError):
                continue
        forms = " or ".join(self.forms)
        raise Reject(f"{RowErrorCode.UNREADABLE_TIME}: {quoted_value(text)} is no time of the form {forms}")

    def _read_as(self, text: str, form: str) -> int:
        if form in EPOCHS:
            return _epoch(text, EPOCHS[form])
        return to_ms(_iso(text) if form == ISO else _formatted(text, form), self._local)


def to_ms(time: datetime, local: tzinfo | None) -> int:
    """Epoch ms of ``time``, taken as local time of ``local`` if it carries no offset.

    Raises OverflowError at the ends of the calendar, ValueError if there is neither offset nor zone.
    """
    if time.tzinfo is None:
        if local is None:
            raise ValueError("a time without an offset and without a zone")
        time = time.replace(tzinfo=local)
    return (time - _EPOCH) // _MS


def _epoch(text: str, places: int) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(text)
    sign, whole, part = found.groups()
    if len(whole) > 15 - min(places, 0):
        raise ValueError(text)
    ms = int(whole + (part or "").ljust(places, "0")[:places]) if places >= 0 else int(whole) // 10**-places
    return -ms if sign == "-" else ms


def _iso(text: str) -> datetime:
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return datetime.fromisoformat(text.replace(",", "."))


def _formatted(text: str, form: str) -> datetime:
    # strptime takes 7 us, fromisoformat 0.1; the two agree on text of exactly this shape.
    if form == "%Y-%m-%d %H:%M:%S" and len(text) == 19 and text[4] == text[7] == "-" and text[13] == text[16] == ":":
        if text[10] != " " or text[11:13] == "24":  # see _ISO
            raise ValueError(text)
        return datetime.fromisoformat(text)
    if form == "%Y-%m-%d" and len(text) == 10 and text[4] == text[7] == "-":
        return datetime.fromisoformat(text)
    return datetime.strptime(text, form)
