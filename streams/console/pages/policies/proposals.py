"""Proposals to apply or withdraw a policy: propose, and decide as the second person."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from monitor.policy.diff import changes
from monitor.policy.timeline import next_change_ms
from streams.console import four_eyes
from streams.console.four_eyes import ProposalKind, ProposalStep
from streams.console.pages.formats import known_zone
from streams.console.pages.policies.drafts import check_text
from streams.console.pages.policies.forms import (
    Context,
    PolicyApprover,
    PolicyEditor,
    PolicyViewer,
    policy_form,
    refused_of,
    soonest_ms,
    time_of,
)
from streams.console.pages.render import render
from streams.console.policies import drafts, proposals
from streams.console.policies.check_process import CheckGivenUp
from streams.console.policies.proposals import Approval, ChangeRefused, PolicyProposals, ProposedChange
from streams.console.policies.requests import RequestedChange
from streams.console.policies.sending import as_soon_ms
from streams.console.previews import store as previews
from streams.console.previews.result import PreviewResult
from streams.console.previews.store import Preview

router = APIRouter(include_in_schema=False)


def proposals_of(context: Context) -> PolicyProposals:
    """The steps of proposals, as the settings say."""
    settings = context.settings
    return PolicyProposals(context.policies, settings.console_four_eyes == "yes", as_soon_ms(settings.max_ahead_ms))


@router.post("/policy/drafts/{draft_id}/propose")
async def propose(draft_id: str, request: Request, user: PolicyEditor, context: Context) -> Response:
    """Propose the draft as it was saved."""
    given, back = await policy_form(request), f"/policy/drafts/{draft_id}"
    draft = await context.read(partial(drafts.get, draft_id=draft_id))
    if draft is None:
        raise HTTPException(404)
    if draft.subject != user.subject:
        raise HTTPException(403)
    try:
        _must_have_kafka(context)
        from_ms = _time_given(request, given)
        if given.get("revision") != str(draft.revision):
            raise ChangeRefused("stale")
        report, _ = await check_text(request, context, draft.text)
        if (checked := report.policy) is None:
            raise ChangeRefused("faulty")
        wanted = RequestedChange("apply", (checked.sha256,), from_ms, given.get("reason", ""))
        steps, now_ms = proposals_of(context), context.clock()

        def work(connection: Connection) -> str | None:
            if not steps.needs_two:
                proposals.must_be_previewed(connection, wanted.sha256s[0], "without_preview" in given)
            return steps.propose(connection, user, draft, checked, wanted, now_ms)

        proposed = await context.write(work)
    except (ChangeRefused, CheckGivenUp) as refused:
        return RedirectResponse(f"{back}?{urlencode({'refused': refused.key})}", 303)
    return RedirectResponse("/policy?said=approved" if proposed is None else f"/policy/proposals/{proposed}", 303)


@router.post("/policy/withdraw")
async def propose_withdrawal(request: Request, user: PolicyEditor, context: Context) -> Response:
    """Propose to withdraw a policy that is scheduled."""
    given, now_ms, steps = await policy_form(request), context.clock(), proposals_of(context)
    work = partial(
        steps.propose_withdrawal,
        by=user,
        sha256=given.get("sha256", ""),
        reason=given.get("reason", ""),
        now_ms=now_ms,
    )
    try:
        _must_have_kafka(context)
        proposed = await context.write(work)
    except ChangeRefused as refused:
        return RedirectResponse(f"/policy?{urlencode({'refused': refused.key})}", 303)
    return RedirectResponse("/policy?said=approved" if proposed is None else f"/policy/proposals/{proposed}", 303)


@router.get("/policy/proposals/{proposal_id}")
async def proposal_page(proposal_id: str, request: Request, user: PolicyViewer, context: Context) -> Response:
    """What is proposed: its file, what it changes of the policy that holds now, and by whom."""
    now_ms, policies = context.clock(), context.policies

    def read(connection: Connection) -> dict[str, Any] | None:
        proposal = four_eyes.proposal_of(connection, proposal_id)
        if proposal is None or proposal.kind is not ProposalKind.POLICY:
            return None
        change, base = proposals.change_of(proposal), policies.newest(connection)
        policy = policies.of(connection, change.sha256s[0])
        pending = proposal.state is four_eyes.ProposalState.PENDING and now_ms < proposal.expires_ms
        # A decided one keeps showing what was decided on.
        shown = base if pending else policies.of(connection, change.base_sha256)
        compared = [] if policy is None or shown is None else changes(shown, policy)
        return {
            "proposal": proposal,
            "change": change,
            "policy": policy,
            "base": shown,
            "moved": pending and base.sha256 != change.base_sha256,
            "changes": compared,
            "preview": _preview(connection, change, now_ms),
            "pending": pending,
            "refusals": {
                step.value: four_eyes.refusal(proposal, user, step, now_ms)
                for step in (ProposalStep.APPROVE, ProposalStep.WITHDRAW)
            },
        }

    found = await context.read(read)
    if found is None:
        raise HTTPException(404)
    return render(request, "policy/proposal.html.j2", refused=refused_of(request), soon_ms=soonest_ms(context), **found)


@router.post("/policy/proposals/{proposal_id}/approve")
async def approve(proposal_id: str, request: Request, user: PolicyApprover, context: Context) -> Response:
    """Approve it as the second person; ``seen`` is the policy that the page compared with. Without a preview, that
    must be confirmed (``without_preview``).
    """
    given, now_ms = await policy_form(request), context.clock()
    approval = Approval(given.get("seen", ""), given.get("reason", ""), "without_preview" in given)
    work = partial(proposals_of(context).approve, by=user, proposal_id=proposal_id, given=approval, now_ms=now_ms)
    return await _step(context, proposal_id, work, "/policy?said=approved")


@router.post("/policy/proposals/{proposal_id}/decline")
async def decline(proposal_id: str, request: Request, user: PolicyApprover, context: Context) -> Response:
    """Refuse it as the second person."""
    given, now_ms = await policy_form(request), context.clock()
    work = partial(proposals.decline, by=user, proposal_id=proposal_id, reason=given.get("reason", ""), now_ms=now_ms)
    return await _step(context, proposal_id, work, "/policy?said=declined")


@router.post("/policy/proposals/{proposal_id}/withdraw")
async def take_back(proposal_id: str, user: PolicyEditor, context: Context) -> Response:
    """Withdraw one's own proposal."""
    work = partial(proposals.take_back, by=user, proposal_id=proposal_id, now_ms=context.clock())
    return await _step(context, proposal_id, work, "/policy?said=taken_back")


async def _step(context: Context, proposal_id: str, work: "partial[None]", done: str) -> Response:
    try:
        _must_have_kafka(context)
        await context.write(work)
    except ChangeRefused as refused:
        query = urlencode({"refused": refused.key})
        return RedirectResponse(
            f"/policy?{query}" if refused.key == "unknown" else f"/policy/proposals/{proposal_id}?{query}", 303
        )
    return RedirectResponse(done, 303)


def _preview(connection: Connection, change: ProposedChange, now_ms: int) -> tuple[Preview, PreviewResult] | None:
    """The newest finished preview of exactly the policy that is proposed, with its result."""
    preview_id = previews.done_with(connection, change.sha256s[0]) if change.kind == "apply" else None
    if preview_id is None:
        return None
    preview, result = previews.preview_of(connection, preview_id, now_ms), previews.result_of(connection, preview_id)
    return None if preview is None or result is None else (preview, result)


def _must_have_kafka(context: Context) -> None:
    if not context.has_kafka:
        raise ChangeRefused("no_kafka")


def _time_given(request: Request, given: dict[str, str]) -> int | None:
    if given.get("when") != "at":
        return None
    at_ms = time_of(given.get("from", ""), known_zone(request.cookies.get("zone", "")))
    if at_ms is None:
        raise ChangeRefused("no_time")
    return next_change_ms(at_ms)
