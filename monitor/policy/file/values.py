"""The values of a policy file, each validated strictly: numbers, texts, durations, times, enumerated names."""

import math
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from monitor.policy.catalogue import normalise
from monitor.policy.file.errors import did_you_mean
from monitor.policy.metrics import METRICS
from monitor.text.durations import parse_duration
from monitor.text.timestamps import parse_instant


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("policy", "{message}", {"message": message})


def quoted_value(value: object) -> str:
    """A value as a fault message quotes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value)
    return f"`{text[:60]}...`" if len(text) > 63 else f"`{text}`"


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        hint = ""
        if isinstance(value, str) and value.endswith("%"):
            hint = "; write a share of one, such as 0.15 for 15 %"
        raise _wrong(f"expected a number, got {quoted_value(value)}{hint}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(f"expected a finite number, got {quoted_value(value)}")
    return number + 0.0  # -0.0 becomes 0.0


def _integer(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise _wrong(f"expected a whole number, got {quoted_value(value)}")
    return int(number)


def _at_least_one(value: object) -> int:
    number = _integer(value)
    if not 1 <= number < 2**53:
        raise _wrong(f"expected a whole number of at least 1, got {quoted_value(value)}")
    return number


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(f"expected true or false, got {quoted_value(value)}")
    return value


def _string(value: object, most: int) -> str:
    if not isinstance(value, str):
        if value is None or isinstance(value, (dict, list)):
            raise _wrong(f"expected text, got {quoted_value(value)}")
        raise _wrong(f"expected text, got the {'truth value' if isinstance(value, bool) else 'number'} "
                     f"{quoted_value(value)}: write it in quotes")  # fmt: skip
    if not 1 <= len(value) <= most:
        raise _wrong(f"expected text of 1 to {most} characters, got {len(value)}")
    return value


def _id(value: object) -> str:
    return _string(value, 128)


def _text(value: object) -> str:
    text = _string(value, 4096)
    if not text.strip():
        raise _wrong("expected text, got only white space")
    return text


def _term(value: object) -> str:
    term = _text(value)
    if not normalise(term):
        raise _wrong(f"{quoted_value(term)} has no letter or digit, so it would match every text")
    return term


def _duration(value: object) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise _wrong(f"{quoted_value(value)} has no unit: write `{value}s`, or use another of s, m, h, d")
    if not isinstance(value, str):
        raise _wrong(f"expected a duration such as `90s`, `5m`, `24h` or `30d`, got {quoted_value(value)}")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _span(value: object) -> int:
    ms = _duration(value)
    if ms == 0:
        raise _wrong(f"expected a duration above zero, got {quoted_value(value)}")
    return ms


def _instant(value: object) -> int:
    if not isinstance(value, str):
        raise _wrong(
            f"expected a date such as `2027-01-01` or a time such as `2027-01-01T08:00:00Z`, got {quoted_value(value)}"
        )
    try:
        return parse_instant(value)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _seconds_ms(value: object) -> int:
    """Seconds to ms: the nearest ms if it is within 1e-6 (6.001 is not exact in binary), else the ms below."""
    ms = min(max(_number(value), 0), 1e6) * 1000  # clamped, since a larger value is invalid and may overflow
    near = round(ms)
    whole = near if abs(ms - near) <= 1e-6 else math.floor(ms)
    if not 1 <= whole <= 86_400_000:
        raise _wrong(f"expected seconds from 0.001 to 86400, got {quoted_value(value)}")
    return whole


def _confidence(value: object) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if not 0.5 <= number < 1:
        hint = f"; did you mean {number / 100:g}?" if 50 < number < 100 else ""
        raise _wrong(f"expected a confidence from 0.5 to below 1, got {quoted_value(value)}{hint}")
    return number


@cache
def timezones() -> frozenset[str]:
    """The IANA zones of the installed `tzdata`, so that a policy is valid on every machine or on none."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


def _timezone(value: object) -> str:
    zone = _id(value)
    if zone not in timezones():
        near = {name.rsplit("/", 1)[-1].lower(): name for name in sorted(timezones())}
        guess = near.get(zone.rsplit("/", 1)[-1].lower().replace(" ", "_"))
        hint = f"; did you mean `{guess}`?" if guess else ", such as `Asia/Shanghai` or `UTC`"
        raise _wrong(f"expected an IANA time zone, got {quoted_value(zone)}{hint}")
    return zone


def one_of(what: str, *known: str) -> BeforeValidator:
    """Validates one of ``known``; ``what`` names the kind of value in a fault, with its article."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise _wrong(f"expected {what}, got {quoted_value(value)}{did_you_mean(value, known)}")
        return value

    return BeforeValidator(check)


Number = Annotated[float, BeforeValidator(_number)]
Count = Annotated[int, BeforeValidator(_at_least_one)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Id = Annotated[str, BeforeValidator(_id)]
Text = Annotated[str, BeforeValidator(_text)]
Term = Annotated[str, BeforeValidator(_term)]
Duration = Annotated[int, BeforeValidator(_duration)]
Span = Annotated[int, BeforeValidator(_span)]
Instant = Annotated[int, BeforeValidator(_instant)]
MetricName = Annotated[str, one_of("a metric", *METRICS)]
RuleMode = Annotated[Literal["enforce", "review", "shadow"], one_of("a mode", "enforce", "review", "shadow")]
EscalationMode = Annotated[
    Literal["review", "enforce"], one_of("a mode of an escalation", "review", "enforce")
]  # fmt: skip
EscalationTier = Annotated[Literal["major", "severe"], one_of("a tier of an escalation", "major", "severe")]
Confidence = Annotated[float | None, BeforeValidator(_confidence)]
SecondsMs = Annotated[int, BeforeValidator(_seconds_ms)]
Timezone = Annotated[str, BeforeValidator(_timezone)]
Counted = Annotated[str, one_of("what to count", "violations")]
AdmissionsName = Annotated[
    Literal["refuse_only", "review"], one_of("how applications are admitted", "refuse_only", "review")
]  # fmt: skip
KindName = Annotated[Literal["termination", "ban"], one_of("a kind of decision", "termination", "ban")]
Extended = Annotated[str, one_of("a policy to extend", "access-rules", "none")]
