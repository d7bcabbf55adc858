"""What each verdict on a case will do: its kind, its actions, the refunds, the violations and escalations."""

from typing import NamedTuple

from streams.console.cases.case_view import CaseView
from streams.console.cases.escalations import EscalationEffect, TenantViolations


class Consequence(NamedTuple):
    """One verdict that can be given. ``kinds``: what an uphold may choose, the present one first.

    ``actions``: what is in force then. ``refunds``: frozen, released or unaffected. ``final``: nothing undoes it.
    ``violations``: how many are on record then.
    """

    verdict: str
    kinds: tuple[str, ...]
    actions: tuple[str, ...]
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
            Consequence("approve", (), ("approve_numbers",), "unaffected", False, on_record),
            Consequence("reject", (), ("reject_numbers",), "unaffected", False, on_record),
        ]
    found = []
    others = tuple(kind for kind in view.kinds if kind != data.kind)
    if view.waits:
        actions, escalations = data.proposed_actions, tuple(record.of_uphold(view.event, view.row.id, now_ms))
        after = on_record + ("record_violation" in actions)
        found.append(Consequence("uphold", (data.kind, *others), actions, _refunds(actions), False, after, escalations))
    elif others:
        found.append(Consequence("uphold", others, data.actions, _refunds(data.actions), False, on_record))
    before = max(0, on_record - (not view.waits and "record_violation" in data.actions))
    released = "released" if data.refunds == "frozen" else "unaffected"
    escalations = tuple(record.of_overturn(view.event, view.row.id))
    found.append(Consequence("overturn", (), (), released, True, before, escalations))
    return found


def _refunds(actions: tuple[str, ...]) -> str:
    """Those of a final decision follow its actions; a pending one may leave them as they are."""
    return "frozen" if "forbid_refunds" in actions else "unaffected"
