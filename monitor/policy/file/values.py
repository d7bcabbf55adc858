"""The values of a policy file, each validated strictly: numbers, texts, durations, times, enumerated names."""

import math
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from monitor.policy.catalogue import is_comparable
from monitor.policy.file.errors import near_miss
from monitor.policy.file.fault_wording import NO_HINT, THINGS, fault_text, quoted_value
from monitor.policy.file.yaml_source import plain_scalar
from monitor.policy.metrics import METRICS
from monitor.text.bilingual import Bilingual, BilingualError
from monitor.text.durations import parse_duration
from monitor.text.numbers import share_of_percent
from monitor.text.timestamps import parse_instant

_LARGEST = 2**53 - 1
"""Every whole number up to this one is a double."""


def _wrong(code: str, **values: object) -> PydanticCustomError:
    return _worded(fault_text(code, **values))


def _worded(message: Bilingual) -> PydanticCustomError:
    return PydanticCustomError("policy", "{message}", {"message": message})


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        percent = isinstance(value, str) and value.endswith("%")
        hint = fault_text("write_a_share") if percent else _unquoted(value, int, float)
        raise _wrong("no_number", value=quoted_value(value), hint=hint)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong("not_finite", value=quoted_value(value))
    return number + 0.0  # -0.0 becomes 0.0


def _unquoted(value: object, *kinds: type) -> Bilingual:
    """A hint for a text that is one of these kinds of values without its quotes."""
    plain = plain_scalar(value) if isinstance(value, str) else None
    return fault_text("remove_quotes") if type(plain) in kinds else NO_HINT


def _integer(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise _wrong("not_whole", value=quoted_value(value))
    return int(number)


def _at_least_one(value: object) -> int:
    number = _integer(value)
    if number < 1:
        raise _wrong("below_one", value=quoted_value(value))
    if number > _LARGEST:
        raise _wrong("above_largest", most=_LARGEST, value=quoted_value(value))
    return number


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("no_truth", value=quoted_value(value), hint=_unquoted(value, bool))
    return value


def _string(value: object, most: int) -> str:
    if not isinstance(value, str):
        if value is None or isinstance(value, (dict, list)):
            raise _wrong("no_text", value=quoted_value(value))
        raise _wrong("truth_as_text" if isinstance(value, bool) else "number_as_text", value=quoted_value(value))
    if not 1 <= len(value) <= most:
        raise _wrong("text_length", most=most, count=len(value))
    return value


def _id(value: object) -> str:
    return _string(value, 128)


def _text(value: object) -> str:
    text = _string(value, 4096)
    if not text.strip():
        raise _wrong("blank_text")
    return text


def _term(value: object) -> str:
    term = _text(value)
    if not is_comparable(term):
        raise _wrong("empty_term", value=quoted_value(term))
    return term


def _duration(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        raise _wrong("no_unit", value=quoted_value(value), number=value)
    if not isinstance(value, str):
        raise _wrong("no_duration", value=quoted_value(value))
    try:
        return parse_duration(value)
    except BilingualError as error:
        raise _worded(error.message) from None


def _span(value: object) -> int:
    ms = _duration(value)
    if ms == 0:
        raise _wrong("zero_duration", value=quoted_value(value))
    return ms


def _instant(value: object) -> int:
    if not isinstance(value, str):
        raise _wrong("no_time", value=quoted_value(value))
    try:
        return parse_instant(value)
    except BilingualError as error:
        raise _worded(error.message) from None


def _seconds_ms(value: object) -> int:
    """Seconds to ms: the nearest ms if it is within 1e-6 (6.001 is not exact in binary), else the ms below."""
    ms = min(max(_number(value), 0), 1e6) * 1000  # clamped, since a larger value is invalid and may overflow
    near = round(ms)
    whole = near if abs(ms - near) <= 1e-6 else math.floor(ms)
    if not 1 <= whole <= 86_400_000:
        raise _wrong("no_seconds", value=quoted_value(value))
    return whole


def _confidence(value: object) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if not 0.5 <= number < 1:
        near = 50 < number < 100
        hint = fault_text("did_you_mean_number", number=share_of_percent(number)) if near else NO_HINT
        raise _wrong("no_confidence", value=quoted_value(value), hint=hint)
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
        hint = fault_text("did_you_mean", word=guess) if guess else fault_text("zones")
        raise _wrong("no_zone", value=quoted_value(zone), hint=hint)
    return zone


def one_of(what: str, *known: str) -> BeforeValidator:
    """Validates one of ``known``; ``what`` is the kind of value, a key of `THINGS`."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            hint = near_miss(value, known)
            raise _wrong("not_one_of", what=THINGS[what], value=quoted_value(value), hint=hint)
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
MetricName = Annotated[str, one_of("metric", *METRICS)]
RuleMode = Annotated[Literal["enforce", "review", "shadow"], one_of("rule_mode", "enforce", "review", "shadow")]
EscalationMode = Annotated[
    Literal["review", "enforce"], one_of("escalation_mode", "review", "enforce")
]  # fmt: skip
EscalationTier = Annotated[Literal["major", "severe"], one_of("escalation_tier", "major", "severe")]
Confidence = Annotated[float | None, BeforeValidator(_confidence)]
SecondsMs = Annotated[int, BeforeValidator(_seconds_ms)]
Timezone = Annotated[str, BeforeValidator(_timezone)]
Counted = Annotated[str, one_of("counted", "violations")]
AdmissionsName = Annotated[
    Literal["refuse_only", "review"], one_of("admissions", "refuse_only", "review")
]  # fmt: skip
KindName = Annotated[Literal["termination", "ban"], one_of("decision_kind", "termination", "ban")]
Extended = Annotated[str, one_of("extended", "access-rules", "none")]
