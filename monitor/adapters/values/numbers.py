"""Converts telephone numbers to E.164 where possible, and keeps the others unchanged."""

import re
from typing import Final
from urllib.parse import unquote

import phonenumbers

from monitor.adapters.values.patterns import LinearPattern

_US_TEN: Final = re.compile(r"[2-9][0-9]{2}[2-9][0-9]{6}")
# Letters are dialled on a keypad, so the library would read a masked `130xxxxxxxx` as 13099999999.
_DIALLED: Final = re.compile(r"\+?[0-9(][0-9 ().\-/]*")
# What the library makes of these is known: mobile numbers of China, and complete numbers of North America.
_CN_MOBILE: Final = re.compile(r"(?:\+86)?1(?:[3-689][0-9]|7[0-8])[0-9]{8}")
_NANP: Final = re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}")
# RFC 3966 and RFC 3261: a number as an address of a telephone or a switch, whose user part may be percent-encoded.
_ADDRESS: Final = re.compile(r"(?:tel|sips?):([^@;?]+)[@;?]?.*", re.IGNORECASE | re.DOTALL)
# The user part of such an address alone, with its parameters: `+12025550123;npdi;rn=+12025550000` (RFC 4694).
_WITH_PARAMETERS: Final = re.compile(r"([^@;:]+)(?:;[A-Za-z][^;]*)+", re.DOTALL)
_REMEMBERED: Final = 65_536
_LONGEST: Final = 256

INTERNATIONAL: Final = "+"
"""The region of numbers that begin with the code of their country, with or without a `+`."""


def is_region(name: str) -> bool:
    """Whether ``name`` is a region (two letters, ISO 3166) that has a numbering plan, or `INTERNATIONAL`."""
    return name == INTERNATIONAL or name in phonenumbers.SUPPORTED_REGIONS


class NumberWriter:
    """Converts a number as written in a file to E.164; a number without a prefix belongs to ``region``.

    A number is converted if its length is possible in its country (in North America also if area code and exchange
    begin with 2 to 9), not only if it is assigned: assignments change with each edition of the library's tables, and
    the names of tenants and callees would change with them. Others are kept: short codes, pseudonyms, masked and
    impossible numbers. With ``only``, numbers that this pattern does not fully match are kept too. Of `tel:` and
    `sip:` addresses, and of texts with parameters as these have them, the number is taken, if it is one.
    """

    def __init__(self, region: str, only: LinearPattern | None = None) -> None:
        self._region = region
        self._only = only
        self._quick = region == "US"
        self._china = region == "CN"
        self._seen: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        found = self._seen.get(text)
        if found is not None:
            return found
        if len(text) > _LONGEST or (self._only is not None and not self._only.fullmatch(text)):
            return text
        # Parsing takes 30 us. For ten digits in the US it only puts +1 in front.
        if self._quick and _US_TEN.fullmatch(text):
            return "+1" + text
        if _CN_MOBILE.fullmatch(text):
            if text[0] == "+":
                return text
            if self._china:
                return "+86" + text
        elif _NANP.fullmatch(text):
            return text
        found = e164(text, self._region)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[text] = found
        return found


def e164(text: str, region: str) -> str:
    """``text`` in E.164 if it is a possible number of its country, else unchanged."""
    written = _of_address(text, region) if ":" in text or ";" in text else _possible(text, region)
    return text if written is None else written


def _possible(text: str, region: str) -> str | None:
    """``text`` in E.164, or None if it is not a possible number of its country."""
    if not _DIALLED.fullmatch(text):
        return None
    try:
        if region == INTERNATIONAL:
            number = phonenumbers.parse(f"+{text.removeprefix('+')}", None)
        else:
            number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    # Not `is_possible_number`, which also accepts numbers without their area code.
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    written = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if number.country_code == 1 and not _NANP.fullmatch(written):
        return None
    # In most countries each reading takes a leading zero for the prefix of a trunk call. In Italy it is part of the
    # number.
    if number.italian_leading_zero and phonenumbers.parse(written, None) != number:
        return None
    return written


def _of_address(text: str, region: str) -> str | None:
    """The number in an address, or before parameters, in E.164; of an address also a short code as it is. Else None."""
    address = _ADDRESS.fullmatch(text)
    found = address or _WITH_PARAMETERS.fullmatch(text)
    number = unquote(found[1]) if found else ""
    written = _possible(number, region)
    return number if written is None and address and _DIALLED.fullmatch(number) else written
