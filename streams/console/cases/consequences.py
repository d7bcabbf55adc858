"""What each verdict on a case will do: its kind, its actions, the refunds, the violations and escalations."""

from typing import NamedTuple

from monitor.core.decisions.consequences import with_kind
from schemas.outputs import Action
from streams.console.cases.case_view import CaseView
from streams.console.cases.escalations import EscalationEffect, TenantViolations


class Consequence(NamedTuple):
    """One verdict that can be given. ``kinds``: what an uphold may choose, the present one first.

    ``actions``: what is in force then, each with the kind that must be chosen for it; None: whatever is chosen.
    ``refunds``: frozen, released or unaffected. ``final``: nothing undoes it. ``violations``: how many are on record
    then.
    """

    verdict: str
    kinds: tuple[str, ...]
    actions: tuple[tuple[str | None, str], ...]
    refunds: str
    final: bool
    violations: int
    escalations: tuple[EscalationEffect, ...] = ()


def consequences_of(view: CaseView, record: TenantViolations, now_ms: int) -> list[Consequence]:
    """The verdicts that can be given on the case now. ``record``: the violations of its tenant."""
    data, on_record = view.event.data, record.on_record
    if not view.stands or view.row.verdict is not None:
        return []
    if data.kind == "admission_review":
        return [
            Consequence("approve", (), ((None, "approve_numbers"),), "unaffected", False, on_record),
            Consequence("reject", (), ((None, "reject_numbers"),), "unaffected", False, on_record),
        ]
    found = []
    others = tuple(kind for kind in view.kinds if kind != data.kind)
    if view.waits:
        actions, escalations = data.proposed_actions, tuple(record.of_uphold(view.event, view.row.id, now_ms))
        after = on_record + ("record_violation" in actions)
        kinds = (data.kind, *others)
        shown, refunds = _by_kind(actions, kinds), _refunds(actions)
        found.append(Consequence("uphold", kinds, shown, refunds, False, after, escalations))
    elif others:
        shown, refunds = _by_kind(data.actions, others), _refunds(data.actions)
        found.append(Consequence("uphold", others, shown, refunds, False, on_record))
    before = max(0, on_record - (not view.waits and "record_violation" in data.actions))
    released = "released" if data.refunds == "frozen" else "unaffected"
    escalations = tuple(record.of_overturn(view.event, view.row.id))
    found.append(Consequence("overturn", (), (), released, True, before, escalations))
    return found


def _by_kind(actions: tuple[Action, ...], kinds: tuple[str, ...]) -> tuple[tuple[str | None, str], ...]:
    """The actions of an uphold that chooses one of these kinds, in their order."""
    of_kinds = [with_kind(actions, kind) for kind in kinds]
    found: list[tuple[str | None, str]] = []
    for each in zip(*of_kinds, strict=True):
        same = len(set(each)) == 1
        found += [(None, each[0])] if same else list(zip(kinds, each, strict=True))
    return tuple(found)


def _refunds(actions: tuple[str, ...]) -> str:
    """Those of a final decision follow its actions; a pending one may leave them as they are."""
    return "frozen" if "forbid_refunds" in actions else "unaffected"
