"""The shapes of a policy file: which keys, which types. What the values mean together is checked later.

Every field may be missing here, so that one wrong field hides no fault of the others; `take` reports what is
wrong, drops it, and says which keys it dropped. What is required is checked where it is used.
"""

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from monitor.metrics import METRICS
from monitor.policy.catalogue import normalise
from monitor.policy.durations import parse_duration, parse_instant
from monitor.policy.errors import Fault, did_you_mean
from monitor.policy.source import Place


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("policy", "{message}", {"message": message})


def _shown(value: object) -> str:
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
            hint = "; write a share of one, like 0.15 for 15 %"
        raise _wrong(f"a number is wanted, not {_shown(value)}{hint}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(f"a finite number is wanted, not {_shown(value)}")
    return number + 0.0  # -0.0 becomes 0.0


def _integer(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise _wrong(f"a whole number is wanted, not {_shown(value)}")
    return int(number)


def _at_least_one(value: object) -> int:
    number = _integer(value)
    if not 1 <= number < 2**53:
        raise _wrong(f"a whole number of at least 1 is wanted, not {_shown(value)}")
    return number


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(f"true or false is wanted, not {_shown(value)}")
    return value


def _string(value: object, most: int) -> str:
    if not isinstance(value, str):
        if value is None or isinstance(value, (dict, list)):
            raise _wrong(f"text is wanted, not {_shown(value)}")
        raise _wrong(f"text is wanted, not the {'truth value' if isinstance(value, bool) else 'number'} "
                     f"{_shown(value)}: write it in quotes")  # fmt: skip
    if not 1 <= len(value) <= most:
        raise _wrong(f"text of 1 to {most} characters is wanted, not of {len(value)}")
    return value


def _id(value: object) -> str:
    return _string(value, 128)


def _text(value: object) -> str:
    text = _string(value, 4096)
    if not text.strip():
        raise _wrong("text is wanted, not white space alone")
    return text


def _term(value: object) -> str:
    term = _text(value)
    if not normalise(term):
        raise _wrong(f"{_shown(term)} has no letter or digit, so it would be in every text")
    return term


def _duration(value: object) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise _wrong(f"{_shown(value)} has no unit: write `{value}s`, or another of s, m, h, d")
    if not isinstance(value, str):
        raise _wrong(f"a duration like `90s`, `5m`, `24h`, `30d` is wanted, not {_shown(value)}")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _span(value: object) -> int:
    ms = _duration(value)
    if ms == 0:
        raise _wrong(f"{_shown(value)} is no time at all: a duration above zero is wanted")
    return ms


def _instant(value: object) -> int:
    if not isinstance(value, str):
        raise _wrong(f"a date like `2027-01-01` or a time like `2027-01-01T08:00:00Z` is wanted, not {_shown(value)}")
    try:
        return parse_instant(value)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _short_call_ms(value: object) -> int:
    """Seconds to ms: the nearest ms when it is meant (6.001 is not exact in binary), else the ms below."""
    ms = _number(value) * 1000
    near = round(ms)
    whole = near if abs(ms - near) <= 1e-6 else math.floor(ms)
    if not 1 <= whole <= 86_400_000:
        raise _wrong(f"seconds from 0.001 to 86400 are wanted, not {_shown(value)}")
    return whole


def _confidence(value: object) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if not 0.5 <= number < 1:
        hint = f"; did you mean {number / 100:g}?" if 50 < number < 100 else ""
        raise _wrong(f"a confidence lies from 0.5 to below 1, not {_shown(value)}{hint}")
    return number


@cache
def timezones() -> frozenset[str]:
    """The IANA zones of the installed `tzdata`, so that a policy is right or wrong on every machine alike."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


def _timezone(value: object) -> str:
    zone = _id(value)
    if zone not in timezones():
        near = {name.rsplit("/", 1)[-1].lower(): name for name in sorted(timezones())}
        guess = near.get(zone.rsplit("/", 1)[-1].lower().replace(" ", "_"))
        hint = f"; did you mean `{guess}`?" if guess else ", like `Asia/Shanghai` or `UTC`"
        raise _wrong(f"{_shown(zone)} is no IANA time zone{hint}")
    return zone


def _one_of(what: str, *known: str) -> BeforeValidator:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise _wrong(f"{_shown(value)} is no {what}{did_you_mean(value, known)}")
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
MetricName = Annotated[str, _one_of("metric", *METRICS)]
RuleMode = Annotated[Literal["enforce", "review", "shadow"], _one_of("mode", "enforce", "review", "shadow")]
EscalationMode = Annotated[
    Literal["review", "enforce"], _one_of("mode of an escalation", "review", "enforce")
]  # fmt: skip
EscalationTier = Annotated[Literal["major", "severe"], _one_of("tier of an escalation", "major", "severe")]


class Raw(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RawParams(Raw):
    """``with``, and a part of ``defaults``. ``short_call_s`` is read into ms."""

    short_call_s: Annotated[int, BeforeValidator(_short_call_ms)] | None = None
    callee_limit: Count | None = None
    timezone: Annotated[str, BeforeValidator(_timezone)] | None = None


class RawDefaults(RawParams):
    """``defaults``; durations in ms."""

    lateness: Duration | None = None
    review_within: Span | None = None
    retention: Span | None = None


class RawCondition(Raw):
    """One condition of ``also``."""

    metric: MetricName | None = None
    above: Number | None = None
    below: Number | None = None
    at_least: Number | None = None
    at_most: Number | None = None


class RawSettings(Raw):
    """What of a rule an override may change."""

    above: Number | None = None
    below: Number | None = None
    min_denominator: Count | None = None
    confidence: Annotated[float | None, BeforeValidator(_confidence)] = None
    also: list[Any] | None = None
    cooldown: Span | None = None
    recover: Number | None = None
    mode: RuleMode | None = None
    freeze: Truth | None = None
    with_: dict[str, Any] | None = None


class RawRule(RawSettings):
    """A rule."""

    id: Id | None = None
    behaviour: Id | None = None
    metric: MetricName | None = None
    window: Span | None = None
    step: Span | None = None


class RawOverride(RawSettings):
    """An override."""

    tenant: Id | None = None
    rule: Id | None = None
    owner: Text | None = None
    reason: Text | None = None
    expires: Instant | None = None


class RawExemption(Raw):
    """An exemption."""

    tenant: Id | None = None
    rules: list[Id] | None = None
    owner: Text | None = None
    reason: Text | None = None
    expires: Instant | None = None


class RawEscalation(Raw):
    """An escalation."""

    id: Id | None = None
    count: Annotated[str, _one_of("thing to count", "violations")] | None = None
    at_least: Count | None = None
    window: Span | None = None
    tier: EscalationTier | None = None
    mode: EscalationMode | None = None
    freeze: Truth | None = None


class RawBehaviour(Raw):
    """A behaviour. A policy may change ``zh``, ``en`` and ``freeze`` alone."""

    clause: Count | None = None
    tier: Id | None = None
    zh: Text | None = None
    en: Text | None = None
    freeze: Truth | None = None


class RawTier(Raw):
    """A tier. A policy may change ``zh``, ``en`` and ``freeze`` alone."""

    zh: Text | None = None
    en: Text | None = None
    kind: Id | None = None
    actions: list[Id] | None = None
    freeze: Truth | None = None


class RawRow(Raw):
    """A row of the prohibited catalogue."""

    key: Id | None = None
    zh: Text | None = None
    en: Text | None = None
    terms: list[Term] | None = None
    unless: list[Term] | None = None


class RawHead(Raw):
    """The top of a file; its parts are read one by one."""

    id: Id | None = None
    version: Id | None = None
    extends: Annotated[str, _one_of("policy to extend", "access-rules", "none")] | None = None
    defaults: Any = None
    tiers: Any = None
    behaviours: Any = None
    rules: Any = None
    escalations: Any = None
    overrides: Any = None
    exemptions: Any = None
    prohibited_businesses: Any = None


M = TypeVar("M", bound=Raw)


@dataclass(frozen=True, slots=True)
class Taken(Generic[M]):
    """A mapping read as ``model``. ``bad`` are the keys that were dropped as faulty, ``given`` those that stand."""

    model: M
    place: Place
    given: frozenset[str]
    bad: frozenset[str]

    def missing(self, *names: str) -> list[str]:
        """Those of ``names`` that the file does not have at all."""
        return [name for name in names if name not in self.given and name not in self.bad]


def take(model: type[M], data: Any, place: Place, faults: list[Fault], fixed: dict[str, str] | None = None) -> Taken[M]:
    """Read ``data``, a mapping at ``place``. ``fixed`` are keys that exist elsewhere, with what to say of them here."""
    if not isinstance(data, dict):
        faults.append(place.fault(f"a mapping of keys is wanted here, not {_shown(data)}"))
        return Taken(model(), place, frozenset(), frozenset(model.model_fields))
    names = [name.rstrip("_") for name in model.model_fields]
    clean: dict[str, Any] = {}
    bad: set[str] = set()
    for key, value in data.items():
        at = place.child(key)
        if key not in names:
            faults.append(at.key_fault((fixed or {}).get(key) or f"unknown key `{key}`{did_you_mean(key, names)}"))
            bad.add(key)
        elif value is None and key != "confidence":
            faults.append(at.key_fault(f"`{key}` has no value: give one, or take the key out"))
            bad.add(key)
        else:
            clean["with_" if key == "with" else key] = value
    try:
        read = model.model_validate(clean)
    except ValidationError as error:
        for problem in error.errors():
            where = problem["loc"]
            name = str(where[0])
            at = place.child(name.rstrip("_"), *where[1:])
            faults.append(at.fault(_said(problem["type"], problem["msg"], problem["input"])))
            bad.add(name.rstrip("_"))
            clean.pop(name, None)
        read = model.model_validate(clean)
    given = frozenset(name.rstrip("_") for name in read.model_fields_set)
    return Taken(read, place, given, frozenset(bad))


def _said(kind: str, message: str, value: object) -> str:
    if kind == "list_type":
        return f"a list is wanted, not {_shown(value)}: write it in [ ]"
    if kind == "dict_type":
        return f"a mapping is wanted, not {_shown(value)}: write it in {{ }}"
    return message


def require(taken: Taken[Any], what: str, faults: list[Fault], *names: str) -> bool:
    """Whether all of ``names`` can be read; a fault names those that the file does not have."""
    lacking = taken.missing(*names)
    if lacking:
        words = ", ".join(f"`{name}`" for name in lacking)
        faults.append(taken.place.fault(f"{what} needs {words}"))
    return not lacking and not taken.bad & set(names)
