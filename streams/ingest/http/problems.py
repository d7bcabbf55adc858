"""The error responses: problem details (RFC 9457), in English and Chinese."""

from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from streams.runtime.http_problem import PROBLEM_TYPE, problem_details

_TITLES: Final = {
    "bad-request": (400, "The request cannot be read", "无法读取该请求"),
    "unauthorized": (401, "The token is missing or wrong", "没有令牌或令牌不对"),
    "bad-signature": (401, "The signature is missing or wrong", "没有签名或签名不对"),
    "not-found": (404, "Page not found", "没有这个页面"),
    "method-not-allowed": (405, "Method not allowed", "此处不支持该方法"),
    "key-in-flight": (409, "A request with this key is under way", "使用该键的请求正在处理"),
    "too-large": (413, "The request is too large", "请求过大"),
    "unsupported": (415, "The media type or encoding is not supported", "不支持该媒体类型或编码"),
    "key-reused": (422, "The key was used with another body", "该键已用于其他内容"),
    "fault": (500, "Internal error", "本服务出错"),
    "not-now": (503, "Nothing is accepted now", "暂时无法接收"),
}
_BY_STATUS: Final = {404: "not-found", 405: "method-not-allowed"}

EXPECTED: Final = {
    "Idempotency-Key": "Idempotency-Key: expected 1 to 255 visible ASCII characters",
    "name": "the name of the source: expected 1 to 64 characters",
}
"""What is expected of the parameters of requests, by name."""


class RequestProblem(Exception):
    """Ends a request with the problem ``name``. ``retry_after_s``: when to retry."""

    def __init__(self, name: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.name, self.detail, self.retry_after_s = name, detail, retry_after_s


def response(error: RequestProblem) -> Response:
    """The HTTP response for a problem."""
    status, title, title_zh = _TITLES[error.name]
    body = problem_details(error.name, status, title, error.detail, title_zh=title_zh)
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer, Basic realm="callwarden"'
    return Response(orjson.dumps(body), status, headers, PROBLEM_TYPE)


def install(app: FastAPI) -> None:
    """Make the application answer every error with a problem."""

    async def ours(_: Request, error: Any) -> Response:
        return response(error)

    async def other(_: Request, error: Any) -> Response:
        name = _BY_STATUS.get(error.status_code, "bad-request")
        answer = response(RequestProblem(name, "expected POST /v1/records, or POST /v1/in/NAME"))
        answer.headers.update(error.headers or {})
        return answer

    async def invalid(_: Request, error: Any) -> Response:
        names = {str(each["loc"][-1]) for each in error.errors()}
        return response(RequestProblem("bad-request", "; ".join(EXPECTED.get(name, name) for name in sorted(names))))

    async def unforeseen(_: Request, error: Any) -> Response:
        return response(RequestProblem("fault", "See the log; retry later", 30))

    app.add_exception_handler(RequestProblem, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)
    app.add_exception_handler(Exception, unforeseen)
