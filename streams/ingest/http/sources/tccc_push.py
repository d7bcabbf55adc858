"""Tencent Cloud Contact Center's data push: `POST URL?action=cdr&version=1`, answered with `{"ErrCode": 0}`.

Any other answer makes TCCC push again, up to three times. `X-TCCC-PUSH-UUID` is the same in each repetition.
https://www.tencentcloud.com/document/product/1229/59640
"""

from collections.abc import Mapping
from typing import Final

import orjson
from starlette.responses import Response

from streams.ingest.http import problems
from streams.ingest.http.problems import RequestProblem

_ACTION, _VERSION = "cdr", "1"
_UUID: Final = "x-tccc-push-uuid"
_LONGEST: Final = 255
_HEADERS: Final = {"Cache-Control": "no-store"}


def must_be_calls(query: Mapping[str, str]) -> None:
    """Raises RequestProblem for a push of something else, such as recordings."""
    if query.get("action") != _ACTION or query.get("version") != _VERSION:
        raise RequestProblem("bad-request", f"expected a push of calls: ?action={_ACTION}&version={_VERSION}")


def push_id(headers: Mapping[str, str]) -> str | None:
    """What identifies a push in its repetitions; None if it says nothing."""
    return headers.get(_UUID, "")[:_LONGEST] or None


def taken() -> Response:
    """The answer once each record, or the dead letter of a rejected one, is in Kafka: a repetition changes nothing."""
    return Response(b'{"ErrCode":0}', 200, _HEADERS, "application/json")


def not_taken(error: RequestProblem) -> Response:
    """A problem as an answer that makes TCCC push again."""
    answer = problems.response(error)
    body = {"ErrCode": answer.status_code, "ErrMsg": error.detail} | orjson.loads(answer.body)
    headers = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
    return Response(orjson.dumps(body), answer.status_code, headers, "application/json")
