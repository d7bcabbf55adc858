"""Builds a checked `Rule` from the raw fields of a rule: all constraints between its fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from monitor.policy.file.document import CheckedMapping, RawCondition, RawParams, RawSettings, read_mapping, require
from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.policy.file.fault_wording import NO_HINT, enumerated, fault_text
from monitor.policy.file.yaml_source import YamlPath, YamlSource
from monitor.policy.metrics import METRICS
from monitor.policy.model import Behaviour, Condition, Params, Rule
from monitor.text.bilingual import Bilingual
from monitor.text.durations import DAY, HOUR, MINUTE, format_duration
from monitor.text.numbers import number, share_of_percent

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
        whole = require(taken, "condition", faults, "metric")
        ops = [op for op in _OPS if op in taken.given]
        if len(ops) > 1:
            marked = [f"`{op}`" for op in ops]
            names = Bilingual(" 和 ".join(marked), " and ".join(marked))
            faults.append(at.child(ops[1]).key_fault(fault_text("two_comparisons", names=names)))
        elif not ops and not taken.bad:
            faults.append(at.fault(fault_text("no_comparison")))
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
        faults.append(change[other].at.key_fault(fault_text("direction_overridden", was=was, other=other)))
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
            faults.append(cell.at.fault(fault_text("needed_field_removed", name=name)))
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
        faults.append(change[new].at.key_fault(fault_text("second_threshold", old=old, new=new)))
    return merged if len(faults) == before else None


def _at_patch(name: str, cell: Cell, place: YamlPath) -> Cell:
    at = YamlPath(place.source, place.child(name).path, fault_text("inherited", name=name))
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
        faults.append(fields["below"].at.key_fault(fault_text("above_and_below")))
        return None
    if "above" in fields:
        return "above"
    if "below" in fields:
        return "below"
    if not bad & {"above", "below"}:
        faults.append(place.fault(fault_text("no_threshold")))
    return None


def _check_times(fields: Mapping[str, Cell], frame: Frame) -> None:
    window, step, cooldown = fields.get("window"), fields.get("step"), fields.get("cooldown")
    if step is not None:
        _check_step(step, window, frame.faults)
    if window is None:
        return
    if cooldown is not None and cooldown.value < window.value:
        times = {"window": format_duration(window.value), "cooldown": format_duration(cooldown.value)}
        frame.faults.append(cooldown.at.fault(fault_text("short_cooldown", **times)))
    check_retention(window, frame)


def _check_step(step: Cell, window: Cell | None, faults: list[PolicyFault]) -> None:
    shown = format_duration(step.value)
    if step.value % MINUTE or DAY % step.value:
        faults.append(step.at.fault(fault_text("step_of_a_day", step=shown)))
    elif window is not None and window.value > PARTIES_MOST_MS and step.value % HOUR:
        faults.append(step.at.fault(fault_text("step_of_hours", step=shown)))
    if window is not None and window.value % step.value:
        times = {"step": shown, "window": format_duration(window.value)}
        hint = fault_text("swapped", **times) if step.value % window.value == 0 else NO_HINT
        example = _multiple(window.value, step.value)
        faults.append(window.at.fault(fault_text("window_of_steps", example=example, hint=hint, **times)))


def _multiple(window: int, step: int) -> str:
    return format_duration((window // step + 1) * step)


def check_retention(window: Cell, frame: Frame) -> None:
    """Reports a window longer than ``retention``: at the window, or at ``retention`` if the window is inherited."""
    if window.value > frame.retention.value:
        times = {"window": format_duration(window.value), "retention": format_duration(frame.retention.value)}
        inherited = window.at.source is not frame.source
        place = (frame.retention if inherited else window).at
        frame.faults.append(place.fault(fault_text("beyond_retention", **times)))


def _check_distinct_counts(fields: Mapping[str, Cell], faults: list[PolicyFault]) -> None:
    window = fields.get("window")
    if window is None or window.value <= PARTIES_MOST_MS:
        return
    metric = fields.get("metric")
    if metric is not None and METRICS[metric.value].family == "distinct":
        message = fault_text("long_distinct_window", metric=metric.value, window=format_duration(window.value))
        faults.append(window.at.fault(message))
    also = fields.get("also")
    for condition, at in also.value if also else ():
        if METRICS[condition.metric].family == "distinct":
            shown = format_duration(window.value)
            message = fault_text("long_distinct_condition", metric=condition.metric, window=shown)
            faults.append(at.child("metric").fault(message))


def _check_shares(fields: Mapping[str, Cell], direction: str | None, faults: list[PolicyFault]) -> None:
    """A proportion is between 0 and 1: its threshold must leave values on both sides (section 7)."""
    metric, also = fields.get("metric"), fields.get("also")
    for condition, at in also.value if also else ():
        if METRICS[condition.metric].proportion and not 0 <= condition.value <= 1:
            value = condition.value
            message = fault_text(
                "condition_of_share", metric=condition.metric, value=number(value), hint=_as_share(value)
            )
            faults.append(at.child(condition.op).fault(message))
    if metric is None or direction is None or not METRICS[metric.value].proportion:
        return
    cell = fields[direction]
    named = {"metric": metric.value, "value": number(cell.value)}
    if direction == "above" and cell.value >= 1:
        hint = _as_share(cell.value) if cell.value < 100 else fault_text("expected_share")
        faults.append(cell.at.fault(fault_text("share_never_above", hint=hint, **named)))
    elif direction == "above" and cell.value < 0:
        faults.append(cell.at.fault(fault_text("share_always_above", **named)))
    elif direction == "below" and cell.value <= 0:
        faults.append(cell.at.fault(fault_text("share_never_below", **named)))
    elif direction == "below" and cell.value > 1:
        faults.append(cell.at.fault(fault_text("share_always_below", hint=_as_share(cell.value), **named)))
    elif direction == "above" and cell.value == 0 and "min_denominator" not in fields:
        faults.append(cell.at.fault(fault_text("share_above_zero")))


def _as_share(value: float) -> Bilingual:
    """A hint for a percentage written in place of a share."""
    if not 1 < value <= 100:
        return fault_text("expected_share")
    return fault_text("did_you_mean_number", number=share_of_percent(value))


def _check_values(fields: Mapping[str, Cell], direction: str | None, faults: list[PolicyFault]) -> None:
    metric, confidence, recover = fields.get("metric"), fields.get("confidence"), fields.get("recover")
    proportion = metric is None or METRICS[metric.value].proportion
    if metric is not None and confidence is not None and confidence.value is not None and not proportion:
        faults.append(confidence.at.key_fault(fault_text("confidence_of_no_share", metric=metric.value)))
    if recover is None or direction is None:
        return
    threshold = fields[direction].value
    values = {"threshold": number(threshold), "recover": number(recover.value)}
    if direction == "above" and recover.value > threshold:
        faults.append(recover.at.fault(fault_text("recover_above", **values)))
    if direction == "below" and recover.value < threshold:
        faults.append(recover.at.fault(fault_text("recover_below", **values)))


def _check_behaviour(fields: Mapping[str, Cell], frame: Frame) -> None:
    behaviour = fields.get("behaviour")
    if behaviour is None:
        return
    known = frame.behaviours.get(behaviour.value)
    if known is None:
        hint = near_miss(behaviour.value, frame.behaviours)
        frame.faults.append(behaviour.at.fault(fault_text("no_behaviour", behaviour=behaviour.value, hint=hint)))
        return
    mode = fields.get("mode")
    if (mode is None or mode.value == "enforce") and known.tier != "minor":
        minor = enumerated(b.id for b in frame.behaviours.values() if b.tier == "minor")
        message = fault_text("enforces_beyond_minor", minor=minor, behaviour=known.id, tier=known.tier)
        frame.faults.append((mode or behaviour).at.fault(message))
