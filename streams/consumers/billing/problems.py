"""The API's error responses: problem details (RFC 9457), in English and Chinese."""

from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from streams.runtime.http_problem import PROBLEM_TYPE, problem_details

_TITLES: Final = {
    401: ("unauthorized", "The token is missing or wrong", "没有令牌或令牌不对"),
    404: ("not-found", "Page not found", "没有这个页面"),
    405: ("method-not-allowed", "Method not allowed", "此处不支持该方法"),
    422: ("no-tenant-id", "Not a tenant id", "这不是租户标识"),
    500: ("fault", "Internal error", "本服务出错"),
    503: ("not-now", "No reliable answer now", "目前没有可靠的答案"),
}


_NAMED: Final = {"unread-decision": ("A decision cannot be read", "有一条决定无法读取")}
"""Problems that share their status with another problem."""


class ProblemError(Exception):
    """Ends a request with the problem of its status or ``name``; ``more`` are extension members."""

    def __init__(
        self,
        status: int,
        detail: str,
        detail_zh: str,
        headers: dict[str, str] | None = None,
        *,
        name: str | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.status, self.detail, self.detail_zh, self.headers, self.more = status, detail, detail_zh, headers, more


def response(error: ProblemError) -> Response:
    """The HTTP response for a problem."""
    name, title, title_zh = _TITLES.get(error.status, ("refused", "The request cannot be served", "无法处理该请求"))
    if error.name is not None:
        name, (title, title_zh) = error.name, _NAMED[error.name]
    in_chinese = {"title_zh": title_zh, "detail_zh": error.detail_zh}
    body = problem_details(name, error.status, title, error.detail, **in_chinese, **error.more)
    headers = {"Cache-Control": "no-store", **(error.headers or {})}
    return Response(orjson.dumps(body), error.status, headers, PROBLEM_TYPE)


def install(app: FastAPI) -> None:
    """Make the application answer every error with a problem."""

    async def ours(_: Request, error: Any) -> Response:
        return response(error)

    async def invalid(_: Request, error: Any) -> Response:
        return response(no_tenant_id("; ".join(each["msg"] for each in error.errors())))

    async def other(_: Request, error: Any) -> Response:
        title, title_zh = _TITLES.get(error.status_code, ("", str(error.detail), "无法处理该请求"))[1:]
        headers = dict(error.headers or {})
        right, right_zh = "expected GET /v1/refunds/{tenant_id}", "应为 GET /v1/refunds/{tenant_id}"
        return response(ProblemError(error.status_code, f"{title}; {right}", f"{title_zh}；{right_zh}", headers))

    async def unforeseen(_: Request, error: Any) -> Response:
        return response(ProblemError(500, "See the log; retry later", "详情见日志；请稍后再试"))

    app.add_exception_handler(ProblemError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)
    app.add_exception_handler(Exception, unforeseen)


def no_tenant_id(why: str) -> ProblemError:
    """A request with an invalid tenant id."""
    return ProblemError(
        422,
        f"tenant_id: {why}; expected 1 to 128 code points of UTF-8, percent-encoded once",
        "tenant_id 不合要求；应为 1 至 128 个字符，以 UTF-8 编码并做一次百分号转义",
    )
