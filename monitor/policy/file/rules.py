"""Builds a checked `Rule` from the raw fields of a rule: all constraints between its fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from monitor.policy.file.document import CheckedMapping, RawCondition, RawParams, RawSettings, read_mapping, require
from monitor.policy.file.errors import PolicyFault, did_you_mean
from monitor.policy.file.yaml_source import YamlPath, YamlSource
from monitor.policy.metrics import METRICS
from monitor.policy.model import Behaviour, Condition, Params, Rule
from monitor.text.durations import DAY, HOUR, MINUTE, format_duration

PARTIES_MOST_MS = 48 * HOUR
"""The keys of callees, callers and consents are kept for 48 hours; contract, section 7."""

_NEEDED = ("id", "behaviour", "metric", "window", "step")
_OPS = ("above", "below", "at_least", "at_most")


@dataclass(frozen=True, slots=True)
class Cell:
    """A field's value and its position."""

    value: Any
    at: YamlPath


@dataclass(frozen=True, slots=True)
class Frame:
    """The context of rule checks: the defaults, the behaviours, and the file in which faults are reported."""

    params: Params
    retention: Cell
    behaviours: Mapping[str, Behaviour]
    source: YamlSource
    faults: list[PolicyFault]


def cells(taken: CheckedMapping[Any], frame: Frame, nulls: bool = False) -> tuple[dict[str, Cell], set[str]]:
    """The valid fields, with ``also`` as conditions and ``with`` as parameters; and the faulty keys.

    ``nulls``: whether a parameter may be null.
    """
    found: dict[str, Cell] = {}
    bad = set(taken.bad)
    for name in taken.given:
        at = taken.place.child(name)
        value = getattr(taken.model, "with_" if name == "with" else name)
        before = len(frame.faults)
        if value is None:
            pass
        elif name == "also":
            value = _conditions(value, at, frame.faults)
        elif name == "with":
            params = read_mapping(RawParams, value, at, frame.faults, nulls=nulls)
            value = {key: getattr(params.model, key) for key in params.given}
        if len(frame.faults) > before:
            bad.add(name)
        else:
            found[name] = Cell(value, at)
    return found, bad


def _conditions(items: list[Any], place: YamlPath, faults: list[PolicyFault]) -> list[tuple[Condition, YamlPath]]:
    read = []
    for n, item in enumerate(items):
        at = place.child(n)
        taken = read_mapping(RawCondition, item, at, faults)
        whole = require(taken, "a condition of `also`", faults, "metric")
        ops = [op for op in _OPS if op in taken.given]
        if len(ops) > 1:
            words = " and ".join(f"`{op}`" for op in ops)
            faults.append(
                at.child(ops[1]).key_fault(f"expected one comparison in a condition, got {words}: write two conditions")
            )
        elif not ops and not taken.bad:
            faults.append(
                at.fault("a condition of `also` needs a comparison: one of `above`, `below`, `at_least`, `at_most`")
            )
        elif whole and ops:
            op = cast(Literal["above", "below", "at_least", "at_most"], ops[0])
            read.append((Condition(str(taken.model.metric), op, getattr(taken.model, op)), at))
    return read


def overridden(
    base: Mapping[str, Cell], change: Mapping[str, Cell], faults: list[PolicyFault]
) -> dict[str, Cell] | None:
    """The rule ``base`` with the fields of ``change``; None, with a fault, if the direction would be reversed."""
    merged = dict(base)
    was = "above" if "above" in base else "below"
    other = "below" if was == "above" else "above"
    if other in change:
        message = f"an override cannot change `{was}` into `{other}`: write `{was}`, or add another rule"
        faults.append(change[other].at.key_fault(message))
        return None
    for name in RawSettings.model_fields:
        key = name.rstrip("_")
        if key not in change:
            continue
        if key == "with" and "with" in base:
            merged[key] = Cell({**base[key].value, **change[key].value}, change[key].at)
        else:
            merged[key] = change[key]
    if was in change and "recover" not in change:
        merged.pop("recover", None)
    return merged


def patched(
    base: Mapping[str, Cell], change: Mapping[str, Cell], place: YamlPath, faults: list[PolicyFault]
) -> dict[str, Cell] | None:
    """The inherited rule ``base`` with the fields of ``change``, which stand at ``place``; null removes a field.

    Every field gets a position in the file that patches. None, with a fault, if what is left cannot be a rule.
    """
    before = len(faults)
    merged = {name: _at_patch(name, cell, place) for name, cell in base.items()}
    for name, cell in change.items():
        if cell.value is None and name in _NEEDED:
            faults.append(cell.at.fault(f"a rule needs `{name}`, so it cannot be taken away: write a value"))
        elif cell.value is None:
            merged.pop(name, None)
        elif name == "with":
            values = {**(base["with"].value if "with" in base else {}), **cell.value}
            merged[name] = Cell({key: value for key, value in values.items() if value is not None}, cell.at)
        else:
            merged[name] = cell
    both = {"above", "below"}
    if both <= set(merged) and not both <= set(change):
        new, old = ("above", "below") if "above" in change else ("below", "above")
        said = f"the inherited rule has `{old}`, and a rule has one threshold: add `{old}: null` beside `{new}`"
        faults.append(change[new].at.key_fault(said))
    return merged if len(faults) == before else None


def _at_patch(name: str, cell: Cell, place: YamlPath) -> Cell:
    hint = f" (`{name}` is inherited: change it in this patch, too)"
    at = YamlPath(place.source, place.child(name).path, hint)
    if name == "also":
        return Cell([(condition, at) for condition, _ in cell.value], at)
    return Cell(cell.value, at)


def build(fields: Mapping[str, Cell], bad: set[str], place: YamlPath, frame: Frame) -> Rule | None:
    """The rule of ``fields``; None if anything is wrong, with every fault added to the frame."""
    before = len(frame.faults)
    direction = _direction(fields, bad, place, frame.faults)
    _check_times(fields, frame)
    _check_distinct_counts(fields, frame.faults)
    _check_shares(fields, direction, frame.faults)
    _check_values(fields, direction, frame.faults)
    _check_behaviour(fields, frame)
    if len(frame.faults) > before or bad or direction is None or any(name not in fields for name in _NEEDED):
        return None

    def get(name: str, default: Any) -> Any:
        return fields[name].value if name in fields else default

    threshold = fields[direction].value
    given = get("with", {})
    return Rule(
        id=fields["id"].value,
        behaviour=fields["behaviour"].value,
        metric=fields["metric"].value,
        direction=direction,
        threshold=threshold,
        window_ms=fields["window"].value,
        step_ms=fields["step"].value,
        min_denominator=get("min_denominator", 1),
        confidence=get("confidence", None),
        also=tuple(condition for condition, _ in get("also", [])),
        cooldown_ms=get("cooldown", fields["window"].value),
        recover=get("recover", threshold),
        mode=get("mode", "enforce"),
        freeze=get("freeze", False),
        params=Params(
            given.get("short_call_s", frame.params.short_call_ms),
            given.get("callee_limit", frame.params.callee_limit),
            given.get("timezone", frame.params.timezone),
            given.get("short_ring_s", frame.params.short_ring_ms),
        ),
        first_ms=get("first", None),
    )


def _direction(
    fields: Mapping[str, Cell], bad: set[str], place: YamlPath, faults: list[PolicyFault]
) -> Literal["above", "below"] | None:
    if "above" in fields and "below" in fields:
        faults.append(fields["below"].at.key_fault("expected `above` or `below`, got both: keep one of them"))
        return None
    if "above" in fields:
        return "above"
    if "below" in fields:
        return "below"
    if not bad & {"above", "below"}:
        faults.append(place.fault("a rule needs a threshold: add `above` or `below`"))
    return None


def _check_times(fields: Mapping[str, Cell], frame: Frame) -> None:
    window, step, cooldown = fields.get("window"), fields.get("step"), fields.get("cooldown")
    if step is not None:
        if step.value % MINUTE or DAY % step.value:
            said = "`step`: expected whole minutes that divide a day, such as 1m, 5m, 1h or 24h, "
            said += f"got {format_duration(step.value)}"
            frame.faults.append(step.at.fault(said))
        elif window is not None and window.value > PARTIES_MOST_MS and step.value % HOUR:
            said = "`step`: expected whole hours for a window above 48h, "
            said += f"got {format_duration(step.value)}: write `step: 1h`"
            frame.faults.append(step.at.fault(said))
        if window is not None and window.value % step.value:
            said = f"`window`: expected a whole multiple of the step {format_duration(step.value)}, such as "
            said += f"{_multiple(window.value, step.value)}, got {format_duration(window.value)}"
            if step.value % window.value == 0:
                said += f"; did you mean `window: {format_duration(step.value)}` and "
                said += f"`step: {format_duration(window.value)}`?"
            frame.faults.append(window.at.fault(said))
    if window is None:
        return
    if cooldown is not None and cooldown.value < window.value:
        said = (
            f"`cooldown`: expected at least the window, {format_duration(window.value)}, so that a call counts once; "
        )
        said += f"got {format_duration(cooldown.value)}"
        frame.faults.append(cooldown.at.fault(said))
    check_retention(window, frame)


def _multiple(window: int, step: int) -> str:
    return format_duration((window // step + 1) * step)


def check_retention(window: Cell, frame: Frame) -> None:
    """Reports a window longer than ``retention``: at the window, or at ``retention`` if the window is inherited."""
    if window.value > frame.retention.value:
        said = f"a window of {format_duration(window.value)} is longer than `retention`, "
        said += f"{format_duration(frame.retention.value)}: shorten the window or increase `retention`"
        inherited = window.at.source is not frame.source
        frame.faults.append((frame.retention if inherited else window).at.fault(said))


def _check_distinct_counts(fields: Mapping[str, Cell], faults: list[PolicyFault]) -> None:
    window = fields.get("window")
    if window is None or window.value <= PARTIES_MOST_MS:
        return
    metric = fields.get("metric")
    if metric is not None and METRICS[metric.value].family == "distinct":
        said = f"expected a window of at most 48h for `{metric.value}`, which counts callees, callers or consents; "
        faults.append(window.at.fault(f"{said}got {format_duration(window.value)}"))
    also = fields.get("also")
    for condition, at in also.value if also else ():
        if METRICS[condition.metric].family == "distinct":
            said = f"expected a window of at most 48h with `{condition.metric}`, which counts callees, callers or "
            faults.append(at.child("metric").fault(f"{said}consents; got {format_duration(window.value)}"))


def _check_shares(fields: Mapping[str, Cell], direction: str | None, faults: list[PolicyFault]) -> None:
    """A proportion is between 0 and 1: its threshold must leave values on both sides (section 7)."""
    metric, also = fields.get("metric"), fields.get("also")
    for condition, at in also.value if also else ():
        if METRICS[condition.metric].proportion and not 0 <= condition.value <= 1:
            value = condition.value
            said = f"`{condition.metric}` is a share between 0 and 1, got {value:g}{_as_share(value)}"
            faults.append(at.child(condition.op).fault(said))
    if metric is None or direction is None or not METRICS[metric.value].proportion:
        return
    cell, name = fields[direction], metric.value
    value = cell.value
    if direction == "above" and value >= 1:
        faults.append(cell.at.fault(f"`{name}` is a share, never above {value:g}{_as_share(value)}"))
    elif direction == "above" and value < 0:
        faults.append(
            cell.at.fault(f"`{name}` is a share, always above {value:g}: expected a number from 0 to below 1")
        )
    elif direction == "below" and value <= 0:
        faults.append(
            cell.at.fault(f"`{name}` is a share, never below {value:g}: expected a number above 0, at most 1")
        )
    elif direction == "below" and value > 1:
        faults.append(cell.at.fault(f"`{name}` is a share, always below {value:g}{_as_share(value)}"))
    elif direction == "above" and value == 0 and "min_denominator" not in fields:
        said = "`above: 0` is true of each tenant with one such event: add `min_denominator`, or write a share "
        faults.append(cell.at.fault(f"{said}above 0, such as 0.15 for 15 %"))


def _as_share(value: float) -> str:
    """A hint for a percentage written in place of a share."""
    if not 1 < value <= 100:
        return ": expected a number between 0 and 1, such as 0.15 for 15 %"
    return f"; did you mean {f'{value / 100:.10f}'.rstrip('0'):0<4}?"


def _check_values(fields: Mapping[str, Cell], direction: str | None, faults: list[PolicyFault]) -> None:
    metric, confidence, recover = fields.get("metric"), fields.get("confidence"), fields.get("recover")
    proportion = metric is None or METRICS[metric.value].proportion
    if metric is not None and confidence is not None and confidence.value is not None and not proportion:
        said = f"`{metric.value}` is not a proportion, so it has no confidence: remove `confidence`"
        faults.append(confidence.at.key_fault(said))
    if recover is None or direction is None:
        return
    threshold = fields[direction].value
    if direction == "above" and recover.value > threshold:
        said = f"`recover`: expected at most `above`, {threshold:g}, got {recover.value:g}: the alert would flap"
        faults.append(recover.at.fault(said))
    if direction == "below" and recover.value < threshold:
        said = f"`recover`: expected at least `below`, {threshold:g}, got {recover.value:g}: the alert would flap"
        faults.append(recover.at.fault(said))


def _check_behaviour(fields: Mapping[str, Cell], frame: Frame) -> None:
    behaviour = fields.get("behaviour")
    if behaviour is None:
        return
    known = frame.behaviours.get(behaviour.value)
    if known is None:
        hint = did_you_mean(behaviour.value, frame.behaviours)
        said = f"`{behaviour.value}` is not a behaviour of the access rules{hint}"
        frame.faults.append(behaviour.at.fault(said))
        return
    mode = fields.get("mode")
    if (mode is None or mode.value == "enforce") and known.tier != "minor":
        minor = ", ".join(f"`{b.id}`" for b in frame.behaviours.values() if b.tier == "minor")
        said = f"expected a behaviour of tier minor ({minor}) in a measured rule that enforces; `{known.id}` is of "
        said += f"tier {known.tier}: write `mode: review`"
        frame.faults.append((mode or behaviour).at.fault(said))
