"""The queue: the cases that wait for a person, soonest to lapse first; claims and verdicts on several at once."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection, Row, select
from starlette.responses import RedirectResponse, Response

from monitor.policy.describe import rule_names
from monitor.policy.model import Policy
from monitor.text.bilingual import Bilingual
from monitor.text.durations import DAY, HOUR
from streams.console.cases import claims, queue, verdicts
from streams.console.cases.claims import AT_ONCE, CaseRefused
from streams.console.cases.history import decision_delay_ms
from streams.console.cases.queue import RECENT_DAYS, VIEWS, BadCursor, QueuedCase, QueueFilter, View, rows_of
from streams.console.cases.verdicts import WantedVerdict
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs, permits
from streams.console.identity.users import User
from streams.console.pages.render import language_of, render
from streams.console.pages.texts import text
from streams.console.queries.cursors import InvalidCursor
from streams.console.queries.recent_verdicts import recent_verdicts
from streams.console.tables import CASES

router = APIRouter(include_in_schema=False)

Context = Annotated[ConsoleContext, Depends(context_of)]
Viewer = Annotated[User, Depends(needs(Permission.VIEW_CASES))]
Decider = Annotated[User, Depends(needs(Permission.DECIDE_CASES))]
Claimer = Annotated[User, Depends(needs(Permission.CLAIM_CASES))]
Assigner = Annotated[User, Depends(needs(Permission.ASSIGN_CASES))]

Chosen = Annotated[list[str], Form(default_factory=list, max_length=AT_ONCE)]
"""The ids of the cases that a form chooses. More of them are refused: none is left out silently."""

AGES: Final[Mapping[str, int]] = {"4h": 4 * HOUR, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY}
POSTPONED: Final[Mapping[str, int]] = {"1h": HOUR, "4h": 4 * HOUR, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY}
VERDICTS_VIEW: Final = "verdicts"
"""The view that lists verdicts instead of cases."""
TIERS: Final = ("severe", "major", "minor")
ME: Final = "me"
NOBODY: Final = "nobody"
"""The choices of a form that assigns cases: to the user itself, to nobody."""


def read_filter(chosen: Mapping[str, str]) -> QueueFilter:
    """The filter of a page's parameters; what is unknown counts as not given."""
    view: View = chosen["view"] if chosen["view"] in VIEWS else "waiting"
    return QueueFilter(
        view=view,
        tier=chosen["tier"] if chosen["tier"] in TIERS else None,
        rule=chosen["rule"][:256] or None,
        tenant=chosen["tenant"][:128] or None,
        min_age_ms=AGES.get(chosen["age"]),
        collapsed=chosen["grouped"] == "1",
    )


@router.get("/queue")
async def queue_page(request: Request, user: Viewer, context: Context) -> Response:
    """The queue's page, filtered by ``view``, ``tier``, ``rule``, ``tenant``, ``age`` and ``grouped``."""
    given = request.query_params
    if given.get("view") == VERDICTS_VIEW:
        return await _verdicts(request, user, context)
    chosen = {name: given.get(name, "") for name in ("view", "tier", "rule", "tenant", "age", "grouped")}
    wanted, now_ms, after = read_filter(chosen), context.clock(), given.get("after") or None

    def read(connection: Connection) -> dict[str, Any]:
        return {
            "page": queue.page(connection, wanted, user.subject, now_ms, after),
            "counts": queue.counts(connection, user.subject, now_ms, request.app.state.changes.counts),
            "rules": queue.rules_waiting(connection),
            "rule_names": rule_names(context.policies.now(connection, now_ms)),
            "assignees": claims.assignees(connection) if permits(user, Permission.ASSIGN_CASES) else [],
        }

    try:
        found = await context.read(read)
    except BadCursor:
        return RedirectResponse("/queue", 303)
    found["given"] = await given_before(request, user, context)
    return render(
        request,
        "queue.html.j2",
        **found,
        wanted=wanted,
        chosen=chosen,
        first=after is None,
        ages=tuple(AGES),
        postponements=tuple(POSTPONED),
    )


async def _verdicts(request: Request, user: User, context: ConsoleContext) -> Response:
    """The view of recent verdicts; with ``mine`` those of the reader."""
    given, now_ms = request.query_params, context.clock()
    mine, after = given.get("mine") == "1", given.get("after") or None

    def read(connection: Connection) -> dict[str, Any]:
        found, following = recent_verdicts(connection, now_ms, user.subject if mine else None, after)
        return {
            "verdicts": found,
            "following": following,
            "counts": queue.counts(connection, user.subject, now_ms, request.app.state.changes.counts),
            "rule_names": rule_names(context.policies.now(connection, now_ms)),
            "delay_ms": decision_delay_ms(connection),
        }

    try:
        values = await context.read(read)
    except InvalidCursor:
        return RedirectResponse("/queue", 303)
    return render(
        request,
        "queue_verdicts.html.j2",
        **values,
        view=VERDICTS_VIEW,
        mine=mine,
        first=after is None,
        days=RECENT_DAYS,
    )


async def given_before(request: Request, user: User, context: ConsoleContext) -> Row[Any] | None:
    """The verdict that led to this page: the case of the parameter ``done``."""
    case_id = request.query_params.get("done", "")[:128]
    if not case_id:
        return None
    return await context.read(partial(verdicts.just_given, case_id=case_id, by=user))


@router.get("/queue/counts")
async def queue_counts(request: Request, user: Viewer, context: Context, view: str = "waiting") -> Response:
    """The counts of the views, a fragment that the page asks for when they change."""
    shared = request.app.state.changes.counts
    counted = await context.read(partial(queue.counts, me=user.subject, now_ms=context.clock(), shared=shared))
    known = view if view in (*VIEWS, VERDICTS_VIEW) else "waiting"
    return render(request, "queue_tabs.html.j2", counts=counted, view=known)


@router.get("/queue/next")
async def queue_next(user: Viewer, context: Context, case: Annotated[str, Query(alias="after")] = "") -> Response:
    """The case to open next."""
    found = await context.read(partial(queue.next_after, case_id=case, me=user.subject, now_ms=context.clock()))
    return RedirectResponse(f"/cases/{found}" if found is not None else "/queue", 303)


@router.post("/queue/claim")
async def claim_some(request: Request, user: Claimer, context: Context, ids: Chosen) -> Response:
    """Claim the chosen cases."""
    last_ms, now_ms = context.settings.console_claim_for_ms, context.clock()
    mine = await context.write(partial(claims.claim, ids=ids, by=user, now_ms=now_ms, last_ms=last_ms))
    return _back(
        request, "ok" if len(mine) == len(set(ids)) else "warn", "queue.claimed", n=len(mine), of=len(set(ids))
    )


@router.post("/queue/assign")
async def assign_some(
    request: Request,
    user: Assigner,
    context: Context,
    ids: Chosen,
    to: Annotated[str, Form()],
) -> Response:
    """Assign the chosen cases to oneself, to another reviewer, or to nobody."""
    work = partial(claims.assign, ids=ids, to=assignee_of(to, user), by=user, now_ms=context.clock())
    try:
        count = await context.write(work)
    except CaseRefused:
        return _back(request, "warn", "queue.no_assignee")
    return _back(request, "ok", "queue.assigned", n=count)


def assignee_of(to: str, user: User) -> str | None:
    """The subject that a form's choice names; None for nobody."""
    # No choice is an empty text: FastAPI treats that as a field that is missing.
    return user.subject if to == ME else None if to == NOBODY else to


@router.post("/queue/postpone")
async def postpone_some(
    request: Request,
    user: Claimer,
    context: Context,
    ids: Chosen,
    until: Annotated[str, Form()],
) -> Response:
    """Postpone the chosen cases, or take them back."""
    now_ms = context.clock()
    until_ms = now_ms + POSTPONED[until] if until in POSTPONED else 0
    count = await context.write(partial(claims.postpone, ids=ids, until_ms=until_ms, by=user, now_ms=now_ms))
    kind: Literal["ok", "warn"] = "ok" if count == len(set(ids)) else "warn"
    return _back(request, kind, "queue.postponed", n=count, of=len(set(ids)))


@router.post("/queue/preview")
async def preview(
    request: Request,
    user: Decider,
    context: Context,
    ids: Chosen,
    verdict: Annotated[str, Form()],
) -> Response:
    """What one verdict on all chosen cases would do, before it is given."""
    chosen: Literal["uphold", "overturn"] = "uphold" if verdict == "uphold" else "overturn"

    def read(connection: Connection) -> tuple[list[QueuedCase], Policy]:
        return chosen_cases(connection, ids), context.policies.now(connection, context.clock())

    rows, policy = await context.read(read)
    names = rule_names(policy)
    return render(request, "queue_preview.html.j2", rows=rows, rule_names=names, verdict=chosen)


@router.post("/queue/verdict")
async def give_some(
    request: Request,
    user: Decider,
    context: Context,
    ids: Chosen,
    verdict: Annotated[str, Form()],
    seen: Chosen,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Give the same verdict on all chosen cases. ``seen``: the decisions that the preview showed."""
    if verdict not in ("uphold", "overturn"):
        return RedirectResponse("/queue", 303)
    wanted = WantedVerdict("uphold" if verdict == "uphold" else "overturn", reason, seen=frozenset(seen))
    work = partial(verdicts.give, ids=ids, wanted=wanted, by=user, rules=rules_of(context), now_ms=context.clock())
    result = await context.write(work)
    rows = await context.read(partial(chosen_cases, ids=list(result.refused)))
    return render(
        request,
        "queue_given.html.j2",
        given=len(result.given),
        verdict=verdict,
        undo_ms=context.settings.console_undo_for_ms,
        refused=[(row, refusal_text(request, result.refused[row.case.id])) for row in rows],
    )


def chosen_cases(connection: Connection, ids: list[str]) -> list[QueuedCase]:
    """The rows of these cases."""
    some = sorted(set(ids))
    query = select(CASES).where(CASES.c.id.in_(some)).order_by(CASES.c.order_ms, CASES.c.id)
    return rows_of(connection, connection.execute(query).all()) if some else []


def rules_of(context: ConsoleContext) -> verdicts.VerdictRules:
    """How verdicts wait, as the settings say."""
    settings = context.settings
    return verdicts.VerdictRules(
        settings.console_undo_for_ms, settings.console_claim_for_ms, settings.console_four_eyes == "yes"
    )


def refusal_text(request: Request, refused: Bilingual | CaseRefused) -> str:
    """Why something cannot be done with a case, in the reader's language."""
    if isinstance(refused, Bilingual):
        return text(language_of(request), refused)
    return text(language_of(request), "case.refused." + refused.key, **refused.values)


def toast(request: Request, kind: str, key: str, **values: object) -> str:
    """The header `HX-Trigger` of a message to the reader."""
    said = text(language_of(request), key, **values)
    return json.dumps({"toast": {"kind": kind, "text": said}}, ensure_ascii=True)


def _back(request: Request, kind: str, key: str, **values: object) -> Response:
    """Back to the queue as it was filtered, with a message."""
    if request.headers.get("hx-request"):
        return Response(
            status_code=204, headers={"HX-Trigger": toast(request, kind, key, **values), "HX-Refresh": "true"}
        )
    return RedirectResponse(f"/queue?{urlencode({'said': key})}", 303)
