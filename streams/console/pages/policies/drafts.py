"""A draft's page: the file with its faults as one types, what it changes, and its check."""

from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from monitor.policy.edit.nodes import NotEditable
from monitor.policy.edit.shadow import NothingToTry, with_shadows
from monitor.policy.load import PolicyError, from_plain
from monitor.policy.serialize import to_plain
from monitor.text.masking import mask_text
from streams.console.pages.policies.forms import (
    Context,
    PolicyEditor,
    PolicyViewer,
    checks_of,
    policy_form,
    refused_of,
    soonest_ms,
)
from streams.console.pages.queue import toast
from streams.console.pages.render import language_of, render
from streams.console.pages.texts import text as t
from streams.console.policies import drafts
from streams.console.policies.check_process import CheckGivenUp
from streams.console.policies.checker import CheckReport, CheckRequest
from streams.console.policies.drafts import Draft, DraftRefused

router = APIRouter(include_in_schema=False)

_STATUS: Final = {"unknown": 404, "not_yours": 403, "stale": 409, "long": 413}
EMPTY: Final = """\
id: house-rules
version: "1"
extends: access-rules
# patch:                        # change single rules; the others stay
#   short-calls: {above: 0.3}
# disable: [one-ring-calls]
# add:                          # new rules
# - {id: night-calls, behaviour: no_consent, metric: out_of_hours_ratio, above: 0.5, window: 24h, step: 1h}
"""


@router.post("/policy/drafts")
async def new_draft(request: Request, user: PolicyEditor, context: Context) -> Response:
    """Begin a draft from the policy that holds, from another version (``base``: its hash), or from a draft."""
    given, now_ms = await policy_form(request), context.clock()
    base, title = given.get("base", ""), given.get("title", "")

    def work(connection: Connection) -> Draft:
        return drafts.create(connection, user, _text_to_begin(connection, context, base, now_ms), title, now_ms)

    try:
        draft = await context.write(work)
    except DraftRefused as refused:
        return RedirectResponse(f"/policy?{urlencode({'refused': refused.key})}", 303)
    return RedirectResponse(f"/policy/drafts/{draft.id}", 303)


@router.get("/policy/drafts/{draft_id}")
async def draft_page(draft_id: str, request: Request, user: PolicyViewer, context: Context) -> Response:
    """The page."""

    def read(connection: Connection) -> dict[str, Any]:
        return {"draft": drafts.get(connection, draft_id), "base": context.policies.newest(connection)}

    found = await context.read(read)
    if found["draft"] is None:
        raise HTTPException(404)
    own = found["draft"].subject == user.subject
    values: dict[str, Any] = {
        "own": own,
        "text": found["draft"].text if own else mask_text(found["draft"].text),
        "most_bytes": drafts.MAX_TEXT_BYTES,
        "refused": refused_of(request),
        "needs_two": context.settings.console_four_eyes == "yes",
        "soon_ms": soonest_ms(context),
        "has_kafka": context.has_kafka,
    }
    response = render(request, "policy/draft.html.j2", **values, **found)
    response.background = BackgroundTask(checks_of(request).warm_up)
    return response


@router.post("/policy/drafts/{draft_id}")
async def save_draft(draft_id: str, request: Request, user: PolicyEditor, context: Context) -> Response:
    """Save it. An editor in a browser stays on its page and gets the new revision."""
    given, now_ms = await policy_form(request), context.clock()
    seen = given.get("revision", "")
    revision = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else 0
    work = partial(
        drafts.save, draft_id=draft_id, by=user, text=given.get("text", ""), revision=revision, now_ms=now_ms
    )
    scripted = request.headers.get("hx-request")
    try:
        draft = await context.write(work)
    except DraftRefused as refused:
        status = _STATUS[refused.key]
        if scripted:
            said = toast(request, "bad", "policy.refused." + refused.key)
            return Response(status_code=status, headers={"HX-Trigger": said})
        raise HTTPException(status) from None
    if scripted:
        response = render(request, "policy/revision.html.j2", draft=draft)
        response.headers["HX-Trigger"] = toast(request, "ok", "policy.saved")
        return response
    return RedirectResponse(f"/policy/drafts/{draft_id}", 303)


@router.post("/policy/drafts/{draft_id}/discard")
async def discard_draft(draft_id: str, user: PolicyEditor, context: Context) -> Response:
    """Delete it."""
    try:
        await context.write(partial(drafts.discard, draft_id=draft_id, by=user))
    except DraftRefused as refused:
        raise HTTPException(_STATUS[refused.key]) from None
    return RedirectResponse("/policy?said=discarded", 303)


@router.post("/policy/drafts/{draft_id}/shadow")
async def draft_in_shadow(draft_id: str, request: Request, user: PolicyEditor, context: Context) -> Response:
    """Begin a draft of the newest policy, in which the changed and new rules of this one are tried in shadow mode."""
    draft = await context.read(partial(drafts.get, draft_id=draft_id))
    if draft is None:
        raise HTTPException(404)
    why = "faulty"
    try:
        report, base = await check_text(request, context, draft.text)
        if (checked := report.policy) is not None:
            text = await context.read(partial(context.policies.text_of, policy=base))
            wanted = from_plain(checked.plain, checked.sha256)
            edited = await run_in_threadpool(with_shadows, text, "policy", wanted)
            title = t(language_of(request), "policy.shadow_of", title=draft.title or draft.id)
            made = await context.write(
                partial(drafts.create, by=user, text=edited.text, title=title, now_ms=context.clock())
            )
            return RedirectResponse(f"/policy/drafts/{made.id}", 303)
    except CheckGivenUp as error:
        why = error.key
    except DraftRefused as error:
        why = error.key
    except NothingToTry:
        why = "nothing_to_try"
    except (NotEditable, PolicyError):
        why = "by_hand"
    return RedirectResponse(f"/policy/drafts/{draft_id}?{urlencode({'refused': why})}", 303)


@router.get("/policy/drafts/{draft_id}/check")
async def check_saved(draft_id: str, request: Request, user: PolicyViewer, context: Context) -> Response:
    """The check of the draft as it was saved, a fragment."""
    draft = await context.read(partial(drafts.get, draft_id=draft_id))
    if draft is None:
        raise HTTPException(404)
    return await _checked(request, context, draft.text)


@router.post("/policy/check")
async def check_typed(request: Request, user: PolicyEditor, context: Context) -> Response:
    """The check of what was typed, a fragment."""
    given = await policy_form(request)
    try:
        text = drafts.fit(given.get("text", ""))
    except DraftRefused:
        return render(request, "policy/check.html.j2", report=None, why="too_large", base=None)
    return await _checked(request, context, text)


async def _checked(request: Request, context: Context, text: str) -> Response:
    report, why, base = None, "", None
    try:
        report, base = await check_text(request, context, text)
    except CheckGivenUp as error:
        why = error.key
    return render(request, "policy/check.html.j2", report=report, why=why, base=base)


async def check_text(request: Request, context: Context, text: str) -> tuple[CheckReport, Any]:
    """The check of a file against the newest policy, and that policy. Raises CheckGivenUp."""
    now_ms = context.clock()
    base = await context.read(context.policies.newest)
    asked = CheckRequest(text, now_ms, now_ms, base.sha256, to_plain(base))
    return await checks_of(request).check(asked), base


def _text_to_begin(connection: Connection, context: Context, base: str, now_ms: int) -> str:
    if base == "empty":
        return EMPTY
    if base.startswith("cwd-"):
        draft = drafts.get(connection, base)
        if draft is None:
            raise DraftRefused("unknown")
        return draft.text
    policies = context.policies
    policy = policies.of(connection, base) if base else policies.now(connection, now_ms)
    if policy is None:
        raise DraftRefused("unknown")
    return policies.text_of(connection, policy)
