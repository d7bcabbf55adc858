"""The routes of `/v1`. Each one reads; each answer is bounded, and its cursor is opaque."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.openapi.utils import get_openapi
from sqlalchemy import Connection, Row
from starlette.responses import JSONResponse

from monitor.text.display import RECORDS
from monitor.text.record_ids import ids_of
from schemas import codec
from schemas.outputs import Enforcement
from streams.console.api.models import (
    ApiProblem,
    CaseDetail,
    CaseItem,
    CaseListQuery,
    CasePage,
    DecisionPage,
    MeasuredItem,
    MeasureItem,
    MeasuresPage,
    RecordItem,
    ReviewItem,
    SignatureItem,
    TenantDetail,
    TenantItem,
    TenantPage,
    VerdictItem,
)
from streams.console.cases.case_view import CaseView, case_view
from streams.console.cases.history import find_case
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.pages.path_ids import segments_after, tenant_id_of
from streams.console.queries.cursors import LIMIT, LONGEST, MOST, InvalidCursor
from streams.console.queries.events import list_events
from streams.console.queries.measured import MeasuredInstant, measured_page
from streams.console.queries.search import CaseFilter, list_cases
from streams.console.queries.tenants import TenantIdentity, TenantStatus, list_tenants, tenant_overview
from streams.runtime.http_problem import PROBLEM_TYPE

T = TypeVar("T")

_PROBLEM: Final[dict[str, Any]] = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_RETRY_AFTER: Final[dict[str, Any]] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
Answers = dict[int | str, dict[str, Any]]
_ANY: Final[Answers] = {
    400: {"description": "The host name is not the console's."},
    401: {"description": "There is no token, or it is not valid any more."},
    403: {"description": "The user of the token has no role."},
    413: {"description": "The request has a body above the limit; these requests need none."},
    500: {"description": "An error of the console, which is in its log."},
    503: {"description": "The database cannot be reached now: ask again after `Retry-After`.", "headers": _RETRY_AFTER},
}
_BAD_CURSOR: Final[Answers] = {
    400: {"description": "`after` is not the `next` of an earlier answer of this list, or the host name is wrong."}
}
_NO_TENANT: Final[Answers] = {404: {"description": "The console has seen no record of this tenant."}}
_NO_CASE: Final[Answers] = {404: {"description": "The console has seen no such decision."}}

router = APIRouter(prefix="/v1", tags=["v1"], dependencies=[Depends(needs(Permission.USE_API))], responses=_ANY)

Context = Annotated[ConsoleContext, Depends(context_of)]
After = Annotated[str | None, Query(max_length=LONGEST, description="`next` of the preceding answer.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many items.")]
Id = Annotated[str | None, Query(min_length=1, max_length=256)]
Ms = Annotated[int | None, Query(ge=0, lt=2**53, description="Epoch ms UTC.")]
_DAY_MS: Final = 86_400_000


@router.get("/tenants", response_model=TenantPage, responses=_BAD_CURSOR)
async def tenants(context: Context, after: After = None, limit: Limit = LIMIT) -> Any:
    """All tenants that a tenant record names, by id."""
    found, following = await _read(context, lambda connection: list_tenants(connection, after, limit))
    return TenantPage(items=[_tenant(*one) for one in found], next=following)


@router.get("/tenants/{tenant_id:path}", response_model=TenantDetail, responses=_NO_TENANT)
async def tenant(request: Request, context: Context) -> Any:
    """One tenant. Percent-encode the id, slashes too; an id of dots alone: `/v1/tenants/?id=..`."""
    first, *more = segments_after(request, "/v1/tenants/")
    if more:
        raise HTTPException(404, "no such address; percent-encode a slash of the id as %2F")
    tenant_id = tenant_id_of(request, first)
    overview = await _read(context, lambda connection: tenant_overview(connection, tenant_id))
    if not overview.is_known:
        raise HTTPException(404, "the console has seen no record of this tenant")
    return TenantDetail(
        **_tenant(overview.identity, overview.status).model_dump(),
        open_cases=[CaseItem(case_id=c.case_id, status=c.status, event=_event(c.event)) for c in overview.open_cases],
        siblings=[_tenant(*one) for one in overview.siblings],
    )


@router.get("/cases", response_model=CasePage, responses=_BAD_CURSOR)
async def cases(
    context: Context,
    wanted: Annotated[CaseListQuery, Query()],
) -> Any:
    """Decisions and what became of them, the newest first; every filter that is given must hold."""
    chosen = CaseFilter(**wanted.model_dump(exclude={"after", "limit"}))
    found, following = await _read(
        context, lambda connection: list_cases(connection, chosen, wanted.after, wanted.limit)
    )
    items = [CaseItem(case_id=one.case_id, status=one.status, event=_event(one.event)) for one in found]
    return CasePage(items=items, next=following)


@router.get("/cases/{case_id}", response_model=CaseDetail, responses=_NO_CASE)
async def case(context: Context, case_id: str) -> Any:
    """One case, by the id of any of its events."""

    def read(connection: Connection) -> CaseView | None:
        return case_view(connection, case_id) or case_view(connection, find_case(connection, case_id) or "")

    view = await context.read(read)
    if view is None:
        raise HTTPException(404, "the console has seen no such decision")
    return _case(view, context.review_keys)


@router.get("/decisions", response_model=DecisionPage, responses=_BAD_CURSOR)
async def decisions(
    context: Context, tenant_id: Id = None, from_ms: Ms = None, after: After = None, limit: Limit = LIMIT
) -> Any:
    """Enforcement events, the newest first, of one tenant or of all, decided at ``from_ms`` or later."""
    found, following = await _read(
        context, lambda connection: list_events(connection, tenant_id, from_ms, after, limit)
    )
    return DecisionPage(items=[_event(one) for one in found], next=following)


@router.get("/measures", response_model=MeasuresPage, responses=_BAD_CURSOR)
async def measures(
    context: Context,
    tenant_id: Annotated[str, Query(min_length=1, max_length=128)],
    days: Annotated[int, Query(ge=1, le=90)] = 30,
    after: After = None,
    limit: Limit = LIMIT,
) -> Any:
    """What the rules measured of a tenant in the last ``days``: at the ends of hours, at decisions and alerts. The
    newest first."""
    now_ms = context.clock()

    def read(connection: Connection) -> tuple[list[MeasuredInstant], str | None]:
        policy = context.policies.now(connection, now_ms)
        return measured_page(connection, tenant_id, now_ms - days * _DAY_MS, policy, after, limit)

    found, following = await _read(context, read)
    return MeasuresPage(items=[_measured(one) for one in found], next=following)


@router.get("/openapi.json", include_in_schema=False)
async def openapi() -> JSONResponse:
    """The OpenAPI document of `/v1`."""
    return JSONResponse(_document())


@cache
def _document() -> dict[str, Any]:
    document = get_openapi(title="Callwarden console", version="1", routes=router.routes)
    components = document["components"]
    components.setdefault("securitySchemes", {})["token"] = {"type": "http", "scheme": "bearer"}
    # FastAPI knows none of these schemas: it would describe each problem as `application/json`, and 422 as its own.
    components["schemas"]["Problem"] = ApiProblem.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        answers = operation["responses"]
        if all(each["in"] == "path" for each in operation.get("parameters", ())):
            answers.pop("422", None)  # any text is an id
        for status, answer in answers.items():
            if status != "200":
                answer["content"] = _PROBLEM
        if "422" in answers:
            answers["422"]["description"] = "A parameter is not valid; `detail` names it."
    document["security"] = [{"token": []}]
    return document


async def _read(context: ConsoleContext, query: Callable[[Connection], T]) -> T:
    try:
        return await context.read(query)
    except InvalidCursor as error:
        raise HTTPException(400, f"after: {error}") from None


def _tenant(identity: TenantIdentity, status: TenantStatus) -> TenantItem:
    return TenantItem(
        tenant_id=identity.tenant_id,
        name=None if identity.name is None else RECORDS.text(identity.name, limit=4_096),
        owner_id=identity.owner_id,
        declared_businesses=[RECORDS.text(one, limit=4_096) for one in identity.businesses],
        standing=status.standing,
        violations=status.violations,
        pending=status.pending,
        alerts=status.alerts,
    )


def _measured(instant: MeasuredInstant) -> MeasuredItem:
    measures = [
        MeasureItem(rule_id=rule_id, min_denominator=point.least, **msgspec.to_builtins(point.measure))
        for rule_id, point in sorted(instant.points.items())
    ]
    return MeasuredItem(at_ms=instant.at_ms, measures=measures)


def _case(view: CaseView, keys: Mapping[str, str] | None) -> CaseDetail:
    ids, signers = (*view.case.ids, view.row.tenant_id), view.signers(keys)
    reviews = [
        ReviewItem(
            review_id=one.review_id,
            enforcement_id=one.enforcement_id,
            verdict=one.verdict,
            kind=one.kind or None,
            reviewer=RECORDS.text(one.reviewer, (*ids, one.review_id), 1_024),
            reason=RECORDS.text(one.reason, (*ids, one.review_id), 8_192),
            updated_ms=one.updated_ms,
            signatures=[
                SignatureItem(key=RECORDS.text(signer.name, limit=256) or None, state=signer.state)
                for signer in signers.get(codec.encode(one), ())
            ],
        )
        for one in view.reviews
    ]
    verdicts = [
        VerdictItem(
            **{name: getattr(row, name) for name in VerdictItem.model_fields}
            | {"reason": _said(row.reason, row, ids), "why": None if row.why is None else _said(row.why, row, ids)}
        )
        for row in view.verdicts
    ]
    return CaseDetail(
        case_id=view.row.id,
        status=view.row.status,
        event=_event(view.event),
        tenant_id=view.row.tenant_id,
        assignee=view.row.assignee,
        events=[_event(one) for one in view.case.events],
        reviews=reviews,
        verdicts=verdicts,
        records=[RecordItem(**one._asdict()) for one in view.records],
    )


def _said(text: str, row: Row[Any], ids: Sequence[str]) -> str:
    return RECORDS.text(text, (*ids, row.review_id), 8_192)


def _event(event: Enforcement) -> dict[str, Any]:
    """The event with its ids whole and the numbers in its reason masked, also those that a reviewer wrote."""
    made: dict[str, Any] = msgspec.to_builtins(event)
    ids = ids_of(event)
    made["data"]["reason"] = {
        language: RECORDS.reason(text, ids, limit=8_192) for language, text in made["data"]["reason"].items()
    }
    return made
