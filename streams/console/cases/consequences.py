"""What each verdict on a case will do: its kind, its actions, the refunds."""

from typing import NamedTuple

from streams.console.cases.case_view import CaseView


class Consequence(NamedTuple):
    """One verdict that can be given. ``kinds``: what an uphold may choose, the present one first.

    ``actions``: what is in force then. ``refunds``: frozen, released or unaffected. ``final``: nothing undoes it.
    """

    verdict: str
    kinds: tuple[str, ...]
    actions: tuple[str, ...]
    refunds: str
    final: bool
    violations: int


def consequences_of(view: CaseView) -> list[Consequence]:
    """The verdicts that can be given on the case now."""
    data = view.event.data
    if not view.stands or view.row.verdict is not None:
        return []
    if data.kind == "admission_review":
        return [
            Consequence("approve", (), ("approve_numbers",), "unaffected", False, data.violations_on_record),
            Consequence("reject", (), ("reject_numbers",), "unaffected", False, data.violations_on_record),
        ]
    found, on_record = [], data.violations_on_record
    others = tuple(kind for kind in view.kinds if kind != data.kind)
    if view.waits:
        kinds = (data.kind, *others)
        after = on_record + 1
        found.append(Consequence("uphold", kinds, data.proposed_actions, _refunds(data.refunds), False, after))
    elif others:
        found.append(
            Consequence("uphold", others, data.actions, _refunds(data.refunds), False, data.violations_on_record)
        )
    before = max(0, on_record - (0 if view.waits else 1))
    released = "released" if data.refunds == "frozen" else "unaffected"
    found.append(Consequence("overturn", (), (), released, True, before))
    return found


def _refunds(now: str) -> str:
    return "frozen" if now == "frozen" else "unaffected"
