"""The case: what was found, what a verdict will do, and the verdict."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

from fastapi import APIRouter, Depends, Form, Path, Request
from sqlalchemy import Connection, Row
from starlette.responses import RedirectResponse, Response

from monitor.policy.describe import rule_names
from monitor.policy.model import OpenKind
from monitor.report.labels import EVIDENCE
from monitor.text.bilingual import Bilingual
from streams.console import actions
from streams.console.actions import About
from streams.console.cases import claims, queue, reason_texts, verdicts
from streams.console.cases.case_view import CaseView, case_view
from streams.console.cases.claims import CaseRefused
from streams.console.cases.consequences import consequences_of
from streams.console.cases.escalations import TenantViolations, tenant_violations
from streams.console.cases.export import export
from streams.console.cases.history import find_case
from streams.console.cases.reason_texts import FOR_ANY, ReasonText
from streams.console.cases.verdicts import WantedVerdict
from streams.console.evidence.recordings import recording_url
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.queue import (
    POSTPONED,
    Assigner,
    Claimer,
    Context,
    Decider,
    Viewer,
    assignee_of,
    given_before,
    refusal_text,
    rules_of,
)
from streams.console.pages.render import render
from streams.reviews.validation import Verdict

router = APIRouter(include_in_schema=False)

Writer = Annotated[User, Depends(needs(Permission.WRITE_NOTES))]
Approver = Annotated[User, Depends(needs(Permission.APPROVE_BANS))]
Exporter = Annotated[User, Depends(needs(Permission.EXPORT_CASES))]
Number = Annotated[int, Path(ge=0, lt=2**63)]
"""The number of a verdict, as the database can hold it."""

_VERDICTS: Final[Mapping[str, Verdict]] = {each: each for each in get_args(Verdict)}
_KINDS: Final[Mapping[str, OpenKind]] = {each: each for each in get_args(OpenKind)}
_SHOWN: Final = {"cdr": "call_id", "complaint": "complaint_id", "finding": "finding_id"}


@router.get("/cases/{case_id}")
async def case_page(request: Request, case_id: str, user: Viewer, context: Context) -> Response:
    """The page of a case, by any of its ids."""
    shown, own_id = await _read(case_id, context)
    if shown is None:
        if own_id is not None:
            return RedirectResponse(f"/cases/{own_id}", 303)
        return render(request, "case_unknown.html.j2", 404)
    return _page(request, shown, user, context, given=await given_before(request, user, context))


@router.post("/cases/{case_id}/claim")
async def claim(request: Request, case_id: str, user: Claimer, context: Context) -> Response:
    """Claim the case, or renew the claim."""
    last_ms, now_ms = context.settings.console_claim_for_ms, context.clock()
    mine = await context.write(partial(claims.claim, ids=[case_id], by=user, now_ms=now_ms, last_ms=last_ms))
    if not mine:
        return await _refused(request, case_id, user, context, CaseRefused("not_claimed"))
    return _to(case_id)


@router.post("/cases/{case_id}/release")
async def release(case_id: str, user: Claimer, context: Context) -> Response:
    """Give up one's claim."""
    await context.write(partial(claims.release, case_id=case_id, by=user, now_ms=context.clock()))
    return _to(case_id)


@router.post("/cases/{case_id}/postpone")
async def postpone(
    request: Request, case_id: str, user: Claimer, context: Context, until: Annotated[str, Form()]
) -> Response:
    """Postpone the case, or take it back into the queue."""
    now_ms = context.clock()
    until_ms = now_ms + POSTPONED[until] if until in POSTPONED else 0
    work = partial(claims.postpone, ids=[case_id], until_ms=until_ms, by=user, now_ms=now_ms)
    if not await context.write(work):
        return await _refused(request, case_id, user, context, CaseRefused("not_postponed"))
    return await _next(case_id, user, context) if until_ms else _to(case_id)


@router.post("/cases/{case_id}/assign")
async def assign(
    request: Request, case_id: str, user: Assigner, context: Context, to: Annotated[str, Form()]
) -> Response:
    """Assign the case to oneself, to another reviewer, or to nobody."""
    work = partial(claims.assign, ids=[case_id], to=assignee_of(to, user), by=user, now_ms=context.clock())
    return await _written(request, case_id, user, context, work)


@router.post("/cases/{case_id}/notes")
async def note(
    request: Request,
    case_id: str,
    user: Writer,
    context: Context,
    text: Annotated[str, Form()] = "",
    kind: Annotated[str, Form()] = "note",
) -> Response:
    """Add a note, or record an appeal that came by mail."""
    chosen: Literal["note", "appeal"] = "appeal" if kind == "appeal" else "note"
    work = partial(claims.add_note, case_id=case_id, text=text, by=user, now_ms=context.clock(), kind=chosen)
    return await _written(request, case_id, user, context, work, "#notes")


def _wanted_verdict(
    verdict: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    kind: Annotated[str, Form()] = "",
    seen: Annotated[str, Form()] = "",
) -> WantedVerdict | None:
    """The verdict of the form, None if there is none. ``seen``: the decision that the page showed."""
    chosen = _VERDICTS.get(verdict)
    if chosen is None:
        return None
    wanted_kind = _KINDS.get(kind) if chosen == "uphold" else None
    return WantedVerdict(chosen, reason, wanted_kind, frozenset([seen] if seen else ()))


@router.post("/cases/{case_id}/verdict")
async def verdict(
    request: Request,
    case_id: str,
    user: Decider,
    context: Context,
    wanted: Annotated[WantedVerdict | None, Depends(_wanted_verdict)],
) -> Response:
    """Give a verdict, then open the next case."""
    if wanted is None:
        return await _refused(request, case_id, user, context, CaseRefused("no_verdict"))
    work = partial(
        verdicts.give, ids=[case_id], wanted=wanted, by=user, rules=rules_of(context), now_ms=context.clock()
    )
    result = await context.write(work)
    if why := result.refused.get(case_id):
        return await _refused(request, case_id, user, context, why)
    return await _next(case_id, user, context)


@router.post("/cases/{case_id}/verdicts/{number}/cancel")
async def cancel(request: Request, case_id: str, number: Number, user: Decider, context: Context) -> Response:
    """Cancel a verdict that is not sent yet."""
    work = partial(verdicts.cancel, number=number, by=user, now_ms=context.clock())
    return await _written(request, case_id, user, context, work)


@router.post("/cases/{case_id}/verdicts/{number}/approve")
async def approve(
    request: Request,
    case_id: str,
    number: Number,
    user: Approver,
    context: Context,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Agree to a ban as the second person."""
    work = partial(
        verdicts.approve, number=number, by=user, reason=reason, rules=rules_of(context), now_ms=context.clock()
    )
    return await _written(request, case_id, user, context, work)


@router.post("/cases/{case_id}/verdicts/{number}/decline")
async def decline(
    request: Request,
    case_id: str,
    number: Number,
    user: Approver,
    context: Context,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Refuse a ban as the second person."""
    work = partial(verdicts.decline, number=number, by=user, reason=reason, now_ms=context.clock())
    return await _written(request, case_id, user, context, work)


@router.post("/cases/{case_id}/export")
async def export_case(request: Request, case_id: str, user: Exporter, context: Context) -> Response:
    """The case as one file. A POST, since it is recorded who exported it."""
    now_ms = context.clock()

    def work(connection: Connection) -> bytes | None:
        view = case_view(connection, case_id)
        if view is None:
            return None
        about = About(tenant_id=view.row.tenant_id, enforcement_id=case_id)
        actions.record(connection, user, "case_exported", now_ms, about)
        return export(connection, view, now_ms, user.subject)

    body = await context.write(work)
    if body is None:
        return render(request, "case_unknown.html.j2", 404)
    name = "".join(each for each in case_id if each.isascii() and (each.isalnum() or each in "-_"))[:64]
    headers = {"Content-Disposition": f'attachment; filename="case-{name}.json"'}
    return Response(body, media_type="application/json", headers=headers)


class _Shown(NamedTuple):
    """What the page shows. ``record``: the violations of the tenant. ``assignees``, ``reasons``: what forms offer."""

    view: CaseView
    record: TenantViolations
    assignees: list[User]
    reasons: list[ReasonText]


async def _read(case_id: str, context: Context) -> tuple[_Shown | None, str | None]:
    """The case of that id; else, if it is the id of a later decision on a case, the id of that case."""

    def read(connection: Connection) -> tuple[_Shown | None, str | None]:
        view = case_view(connection, case_id)
        if view is None:
            return None, find_case(connection, case_id)
        policy = context.policies.now(connection, context.clock())
        record = tenant_violations(connection, view.row.tenant_id, policy)
        return _Shown(view, record, claims.assignees(connection), reason_texts.reason_texts(connection)), None

    return await context.read(read)


def _page(
    request: Request,
    shown: _Shown,
    user: User,
    context: Context,
    error: str = "",
    status: int = 200,
    given: Row[Any] | None = None,
) -> Response:
    view, now_ms, settings = shown.view, context.clock(), context.settings
    offered = consequences_of(view, shown.record, now_ms)
    taken = view.row.claimed_until_ms > now_ms and view.row.claimed_by not in (None, user.subject)
    values: dict[str, Any] = {
        "view": view,
        "rule_names": rule_names(shown.record.policy),
        "row": view.row,
        "event": view.event,
        "data": view.event.data,
        "verdict": view.verdict,
        "signers": view.signers(context.review_keys),
        "evidence_ids": _unshown_ids(view),
        "error": error,
        "given": given,
        "now_ms": now_ms,
        "claimed_by_other": taken,
        "claimed_by_me": view.row.claimed_until_ms > now_ms and view.row.claimed_by == user.subject,
        "own": view.verdict is not None and view.verdict.subject == user.subject,
        "consequences": offered,
        "assignees": shown.assignees,
        "reasons": [one for one in shown.reasons if one.verdict in (FOR_ANY, *(each.verdict for each in offered))],
        "recording_url": partial(recording_url, settings.console_recording_link),
        "undo_ms": settings.console_undo_for_ms,
        "four_eyes": settings.console_four_eyes == "yes",
        "postponements": tuple(POSTPONED),
    }
    return render(request, "case.html.j2", status, **values)


def _unshown_ids(view: CaseView) -> dict[str, list[str]]:
    """The ids of the evidence, by kind, without those whose record the page shows."""
    records = [each.fields for each in view.records if each.fields is not None]
    shown = {(name, each[name]) for each in records if (name := _SHOWN.get(each["type"])) is not None}
    evidence = view.event.data.evidence
    return {kind: [id for id in getattr(evidence, kind) if (kind[:-1], id) not in shown] for kind in EVIDENCE}


async def _written(
    request: Request, case_id: str, user: User, context: Context, work: Callable[[Connection], object], anchor: str = ""
) -> Response:
    """Do ``work``, and show the case again; or say why it is refused."""
    try:
        await context.write(work)
    except CaseRefused as error:
        return await _refused(request, case_id, user, context, error)
    return _to(case_id, anchor)


async def _refused(
    request: Request, case_id: str, user: User, context: Context, why: Bilingual | CaseRefused
) -> Response:
    """The page again, with why something was refused."""
    shown, _ = await _read(case_id, context)
    if shown is None:
        return render(request, "case_unknown.html.j2", 404)
    said = refusal_text(request, why)
    return _page(request, shown, user, context, said, 409)


async def _next(case_id: str, user: User, context: Context) -> Response:
    found = await context.read(partial(queue.next_after, case_id=case_id, me=user.subject, now_ms=context.clock()))
    return RedirectResponse(f"/cases/{found}?done={case_id}" if found is not None else f"/queue?done={case_id}", 303)


def _to(case_id: str, anchor: str = "") -> Response:
    return RedirectResponse(f"/cases/{case_id}{anchor}", 303)
