"""The HTTP API: whether a tenant may be refunded and may cancel its orders, for the payment and order systems."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from streams.consumers.billing import problems
from streams.consumers.billing.api_models import EXAMPLES, Answer, NotNow, Problem, answer_of, hold_of
from streams.consumers.billing.holds import RefundHold
from streams.consumers.billing.openapipage import page
from streams.consumers.billing.problems import ProblemError
from streams.consumers.billing.tenant_path import in_path, in_query
from streams.consumers.billing.tokens import Tokens
from streams.consumers.billing.unread import AnswerWithheld
from streams.consumers.follower import DatabaseRolledBack, FollowerProgress
from streams.consumers.watermarks import LaggingPartition
from streams.kafka.api import TransientError
from streams.runtime.http_problem import PROBLEM_TYPE
from streams.runtime.monotonic import steady_s

_RETRY_AFTER_S: Final = "2"
_WITHHELD_RETRY_AFTER_S: Final = "300"  # an operator must act
_PATIENCE_S: Final = 2.0
_ABOUT: Final = (
    "Whether a tenant's orders of packages and seats may be refunded (`refundable`, 退款) and cancelled "
    "(`cancellable`, 退订), and which decisions forbid it. The access rules forbid both together: the two fields "
    "always have the same value. An answer includes every decision that was in the topic a few seconds ago; if that "
    "is not certain, the response is 503. A 503, another error, or an answer without the field does not mean yes: "
    "retry, and until then do not refund or cancel."
)
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "The token is missing or wrong."},
    422: {"model": Problem, "description": "Not a tenant id."},
    503: {
        "model": NotNow,
        "description": "No reliable answer now; `Retry-After` says when to retry.",
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
    },
}


_LOST: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": Problem, "description": "Page not found: clients and proxies remove `.` and `..` from a path."}
}


class _AnyText(Convertor[str]):
    """Any text in a path: Starlette's own convertor rejects line breaks, which ids may contain."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _AnyText())


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """The sources of answers. ``progress``: the follower's progress, with times by ``now_s``."""

    holds: Callable[[str], Awaitable[list[RefundHold]]]
    progress: Callable[[], FollowerProgress]
    stale_after_ms: int
    now_s: Callable[[], float] = steady_s


def make(sources: AnswerSources, tokens: Tokens | None, routes: Sequence[BaseRoute]) -> FastAPI:
    """The application, with additional ``routes``. ``tokens``: None disables authentication."""
    app = FastAPI(
        title="Callwarden: refunds and cancellations",
        version="1",
        description=_ABOUT,
        routes=list(routes),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    bearer = HTTPBearer(auto_error=False, description="One of the tokens of this service.")

    # Not a plain function: FastAPI would call it in a thread, which takes longer than the rest of the request.
    async def known(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if tokens is not None and (given is None or not tokens.is_accepted(given.credentials)):
            raise ProblemError(
                401,
                "expected the header `Authorization: Bearer TOKEN` with a token of this service",
                "请求头应为 `Authorization: Bearer 令牌`，令牌须是为本服务设置的令牌",
                {"WWW-Authenticate": "Bearer"},
            )

    guarded = [Depends(known)] if tokens is not None else []
    one = {"min_length": 1, "max_length": 128, "description": "The tenant's id, percent-encoded once."}

    @app.get("/v1/refunds/{tenant_id:id}", response_model=Answer, dependencies=guarded, responses=_REFUSALS | _LOST)
    async def refunds(request: Request, tenant_id: Annotated[str, Path(**one)]) -> Response:
        """Whether the tenant may be refunded and may cancel its orders. For an unknown tenant both are true."""
        return await _answer(sources, in_path(request))

    @app.get("/v1/refunds", response_model=Answer, dependencies=guarded, responses=_REFUSALS)
    async def refunds_of(request: Request, tenant_id: Annotated[str, Query(**one)]) -> Response:
        """The same, for ids that do not survive in a path, such as `.` and `..`."""
        return await _answer(sources, in_query(request))

    problems.install(app)

    # Made when they are first asked for: that takes longer than the rest of this function.
    @cache
    def openapi_text() -> bytes:
        return orjson.dumps(_document(app))

    @cache
    def docs_html() -> str:
        return page(_document(app))

    async def openapi(_: Request) -> Response:
        return Response(openapi_text(), media_type="application/json")

    async def docs(_: Request) -> Response:
        return HTMLResponse(docs_html())

    app.add_route("/openapi.json", openapi)
    app.add_route("/docs", docs)
    return app


async def _answer(sources: AnswerSources, tenant_id: str) -> Response:
    # Read before the database is: the database may then be newer, never older.
    progress = sources.progress()
    as_of_s = progress.as_of_s
    away = False
    holds: list[RefundHold] | None = None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            holds = await sources.holds(tenant_id)
    except DatabaseRolledBack:
        raise _not_now(
            "The database was restored from a backup: the missing records are being read again",
            "数据库已被回退，正在重新读取缺失的记录",
            None,
            None,
        ) from None
    except AnswerWithheld as error:
        raise _withheld(error) from None
    except (TransientError, TimeoutError):
        away = True
    now_s = sources.now_s()
    age_s = math.inf if as_of_s is None else now_s - as_of_s
    as_of_ms = None if as_of_s is None else round((time.time() - age_s) * 1000)
    if (overdue := progress.overdue(now_s)) is not None:
        reason = overdue.reason(now_s)
        raise _not_now(reason[0].upper() + reason[1:], _overdue_zh(overdue), as_of_ms, holds)
    if age_s * 1000 > sources.stale_after_ms:
        raise _not_now("The topic is not read to its end yet", "尚未读到主题的最新位置", as_of_ms, holds)
    if away or holds is None:
        raise _not_now("The database does not respond", "数据库没有响应", as_of_ms, None)
    return Response(orjson.dumps(answer_of(holds)), 200, {"Cache-Control": "no-store"}, "application/json")


def _withheld(error: AnswerWithheld) -> ProblemError:
    where = f"{error.topic}-{error.partition} 位移 {error.offset}"
    return ProblemError(
        503,
        f"A decision cannot be read, and may concern this tenant ({error.topic}-{error.partition}, offset "
        f"{error.offset}). There is no answer until an operator has checked it: do not refund or cancel",
        f"有一条可能涉及该租户的决定无法读取（{where}）。在运维人员处理之前没有答案：请勿退款或退订",
        {"Retry-After": _WITHHELD_RETRY_AFTER_S},
        name="unread-decision",
        as_of_ms=None,
        holds=None,
    )


def _overdue_zh(overdue: LaggingPartition) -> str:
    where = f"{overdue.tp.topic}-{overdue.tp.partition} 的位移 {overdue.offset}"
    if overdue.in_transaction:
        return f"{where} 处有事务未结束，其后已提交的记录尚不可读"
    return f"{where} 之后的记录尚未处理"


def _not_now(why: str, why_zh: str, as_of_ms: int | None, holds: list[RefundHold] | None) -> ProblemError:
    return ProblemError(
        503,
        f"{why}: retry, and until then do not refund or cancel",
        f"{why_zh}：请稍后再问，在此之前请勿退款或退订",
        {"Retry-After": _RETRY_AFTER_S},
        as_of_ms=as_of_ms,
        holds=None if holds is None else [hold_of(hold) for hold in holds],
    )


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for path in document["paths"].values():
        for operation in path.values():
            # Not by FastAPI, which drops the nulls of an example.
            operation["responses"]["200"]["content"]["application/json"]["examples"] = EXAMPLES
            for status, answer in operation["responses"].items():
                if status >= "400":
                    answer["content"] = {PROBLEM_TYPE: answer["content"]["application/json"]}
    return document
