"""The HTTP API: records of other systems in, an answer for each of them out."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final

import msgspec
import orjson
from fastapi import FastAPI, Header, Path, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import Response
from starlette.routing import BaseRoute

from schemas.json_schema import INPUTS
from schemas.json_schema import components as record_schemas
from streams.ingest.http import formats, problems
from streams.ingest.http.answer import IngestAnswer
from streams.ingest.http.intake import Intake
from streams.ingest.http.problems import RequestProblem
from streams.ingest.http.request import IngestRequest, TokenHider, hidden_target
from streams.ingest.http.sources import tccc_push
from streams.ingest.http.sources.access import Access
from streams.runtime.http_problem import PROBLEM_TYPE

_ABOUT: Final = (
    "Takes calls, complaints, findings, tenants, applications and reviews, and writes them to Kafka. A 202 says that "
    "Kafka has acknowledged every accepted record. After a 503, 408 or a lost connection, send the same request again: "
    "with an `Idempotency-Key` nothing is written twice."
)


class RejectedRecordModel(BaseModel):
    """A record that was not written to its topic."""

    index: Annotated[int, Field(description="Its place among the records of the request, from 0.")]
    code: Annotated[str, Field(description="The error code; it never changes its meaning.")]
    reason: Annotated[str, Field(description="Which field, which value, and what was expected.")]


class DecidedBetweenModel(BaseModel):
    """When everything up to the newest event time of the request is decided."""

    earliest: Annotated[str, Field(description="Not before, RFC 3339.", json_schema_extra={"format": "date-time"})]
    latest: Annotated[
        str | None,
        Field(
            description="Not after, while workers keep up and no source delivers old records; null if not known.",
            json_schema_extra={"format": "date-time"},
        ),
    ]
    why: Annotated[str, Field(description="What the decisions wait for.")]
    command: Annotated[str | None, Field(description="The operator's command that brings them forward.")]


class RecordsAnswer(BaseModel):
    """What became of the records. Each that is not among the rejections was accepted."""

    received: Annotated[int, Field(description="The number of records of the request.")]
    accepted: Annotated[int, Field(description="Those that were written.")]
    rejected: Annotated[int, Field(description="Those that were not.")]
    rejections: Annotated[list[RejectedRecordModel], Field(description="The reason of each rejected record.")]
    decided: Annotated[
        DecidedBetweenModel | SkipJsonSchema[None],
        Field(default=None, description="Absent while it is not known, for example because no worker runs."),
    ]


class PushAnswer(BaseModel):
    """The answer of Tencent Cloud Contact Center's push protocol."""

    ErrCode: Annotated[int, Field(description="0: the push is taken. Any other code: push again.")]


class IngestProblem(BaseModel):
    """An error (RFC 9457)."""

    type: Annotated[str, Field(description="The problem's URN.")]
    title: Annotated[str, Field(description="The problem's name.")]
    title_zh: Annotated[str, Field(description="The same in Chinese.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong, and what was expected.")]


_REF: Final = "#/components/schemas/{name}"
_RETRY: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": IngestProblem, "description": "The body as a whole cannot be read."},
    401: {"model": IngestProblem, "description": "The token is missing or wrong."},
    409: {"model": IngestProblem, "description": "A request with this key is under way.", "headers": _RETRY},
    413: {"model": IngestProblem, "description": "The body is too large, or has too many records."},
    415: {"model": IngestProblem, "description": "The media type or the content encoding is not supported."},
    422: {"model": RecordsAnswer, "description": "All records were rejected; or the key was used with another body."},
    503: {"model": IngestProblem, "description": "Nothing can be written now; retry.", "headers": _RETRY},
}
_FOREIGN_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "Whatever the source's mapping reads, whatever its Content-Type.",
    "content": {
        "application/json": {"schema": {}},
        "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
        "text/csv": {"schema": {"type": "string"}},
    },
}


def make(intake: Intake, access: Access, routes: Sequence[BaseRoute]) -> FastAPI:
    """The application, with additional ``routes``."""
    app = FastAPI(
        title="Callwarden: ingest",
        version="1",
        description=_ABOUT,
        routes=list(routes),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    key = {
        "alias": "Idempotency-Key",
        "description": "Unique for each request and token. A repeated request gets the first one's answer for a day.",
        "min_length": 1,
        "max_length": 255,
        "pattern": "^[!-~]+$",
    }

    @app.post(
        "/v1/records",
        status_code=202,
        response_model=RecordsAnswer,
        responses={202: {"description": "Some or all records are accepted, and acknowledged by Kafka."}, **_REFUSALS},
        openapi_extra={"requestBody": _request_body()},
    )
    async def records(request: Request, idempotency_key: Annotated[str | None, Header(**key)] = None) -> Response:
        """Write records to their topics."""
        answer = await intake.take(IngestRequest(_headers(request), request.stream()))
        return _response(answer)

    @app.post(
        "/v1/in/{name}",
        status_code=202,
        response_model=RecordsAnswer,
        responses={
            200: {"model": PushAnswer, "description": "The answer to a push, where the sender's protocol asks for it."},
            202: {"description": "Some or all rows are accepted, or left out on purpose; acknowledged by Kafka."},
            404: {"model": IngestProblem, "description": "There is no source of this name."},
            **_REFUSALS,
        },
        openapi_extra={"requestBody": _FOREIGN_BODY},
    )
    async def foreign_records(
        request: Request,
        name: Annotated[str, Path(description="The name of a source.", min_length=1, max_length=64)],
        idempotency_key: Annotated[str | None, Header(**key)] = None,
    ) -> Response:
        """Map records of another system to ours, and write them to their topics.

        The token can also be in the path: `/v1/in/NAME/TOKEN`.
        """
        asked = IngestRequest(_headers(request), request.stream(), name, hidden_target(request.scope))
        source = access.source(asked)
        is_push = source is not None and source.protocol == "tccc"
        try:
            answer = await intake.take(asked)
        except RequestProblem as error:
            if is_push:
                return tccc_push.not_taken(error)
            raise
        return tccc_push.taken() if is_push else _response(answer)

    problems.install(app)
    app.add_middleware(TokenHider)

    @cache  # made when it is first asked for: that takes longer than the rest of this function
    def openapi_text() -> bytes:
        return orjson.dumps(_document(app, with_tokens=access.tokens is not None))

    async def openapi(_: Request) -> Response:
        return Response(openapi_text(), media_type="application/json")

    app.add_route("/openapi.json", openapi)
    return app


def _headers(request: Request) -> Mapping[str, str]:
    """The headers of a request; of a repeated Idempotency-Key all values, as HTTP joins them, which are no key."""
    keys = request.headers.getlist("idempotency-key")
    return request.headers if len(keys) < 2 else {**request.headers, "idempotency-key": ", ".join(keys)}


def _response(answer: IngestAnswer) -> Response:
    status = 202 if answer.fulfilled else 422
    return Response(msgspec.json.encode(answer), status, {"Cache-Control": "no-store"}, "application/json")


def _request_body() -> dict[str, Any]:
    one = {"oneOf": [{"$ref": _REF.format(name=struct.__name__)} for struct in INPUTS.values()]}
    event = {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1},
            "source": {"type": "string", "minLength": 1},
            "type": {"enum": list(formats.EVENT_TYPES)},
            "data": one,
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]}},
            formats.LINES[0]: {"schema": {"type": "string"}},
            formats.EVENT[0]: {"schema": event},
            formats.EVENTS[0]: {"schema": {"type": "array", "items": event, "minItems": 1}},
        },
    }


def _document(app: FastAPI, *, with_tokens: bool) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document["components"]
    inputs = {struct.__name__ for struct in INPUTS.values()}
    components["schemas"] |= {name: one for name, one in record_schemas(_REF).items() if name in inputs}
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                given = answer["content"]["application/json"]
                if status == "422":
                    problem = {"schema": {"$ref": "#/components/schemas/IngestProblem"}}
                    answer["content"] = {"application/json": given, PROBLEM_TYPE: problem}
                elif status >= "400":
                    answer["content"] = {PROBLEM_TYPE: given}
            if with_tokens:
                operation["security"] = [{"bearer": []}, {"basic": []}]
    if with_tokens:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "One of the tokens."},
            "basic": {"type": "http", "scheme": "basic", "description": "The token is the password."},
        }
    return document
