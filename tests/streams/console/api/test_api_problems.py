"""Each route of `/v1` answers each status that its OpenAPI document declares, always with the same body."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from helpers.console_harness import console_at
from helpers.console_identity import NOON_MS
from helpers.console_pages import pages_of
from streams.console.context import ConsoleContext
from streams.console.identity import accounts, api_tokens
from streams.console.identity.users import Role, User
from streams.consumers.database import Database
from streams.kafka.api import TransientError
from streams.runtime.http_problem import PROBLEM_TYPE, problem_body

NUMBER = "+8613812345678"
ADDRESS = {
    "/v1/tenants": "/v1/tenants?", "/v1/tenants/{tenant_id}": "/v1/tenants/acme?", "/v1/cases": "/v1/cases?",
    "/v1/cases/{case_id}": "/v1/cases/cwe-1?", "/v1/decisions": "/v1/decisions?",
    "/v1/measures": "/v1/measures?tenant_id=acme&",
}  # fmt: skip


def fault(document: dict[str, Any], path: str, answer: httpx.Response) -> str | None:
    """What differs between an answer and the document."""
    declared = document["paths"][path]["get"]["responses"][str(answer.status_code)]
    if answer.headers["content-type"] != PROBLEM_TYPE or list(declared["content"]) != [PROBLEM_TYPE]:
        return answer.headers["content-type"]
    schema = declared["content"][PROBLEM_TYPE]["schema"] | {"components": document["components"]}
    errors = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(answer.json())]
    if errors or answer.json()["status"] != answer.status_code:
        return f"{errors} {answer.text}"
    return None


def failing(error: Exception) -> Callable[..., Any]:
    async def read(_: ConsoleContext, __: object) -> None:
        raise error

    return read


async def test_each_route_answers_each_declared_status_with_the_same_body(  # type: ignore[no-untyped-def]
    browsers, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browsers()
    client._transport.raise_app_exceptions = False  # a server logs the error that follows the answer
    tokens = {}
    for roles in ((Role.VIEWER,), ()):
        user = User(f"local:user-{len(roles)}", "user", frozenset(roles))
        tokens[roles] = await database.run(partial(add_token, user=user))
    permitted = {"authorization": f"Bearer {tokens[(Role.VIEWER,)]}"}
    document = (await client.get("/v1/openapi.json", headers=permitted)).json()
    assert set(document["paths"]) == set(ADDRESS)
    for path, address in ADDRESS.items():
        operation = document["paths"][path]["get"]
        answers = {
            401: await client.get(address),
            403: await client.get(address, headers={"authorization": f"Bearer {tokens[()]}"}),
            400: await client.get(address, headers=permitted | {"host": "evil.example"}),
        }
        parameters = {one["name"] for one in operation.get("parameters", ())}
        if "after" in parameters:
            cursor = await client.get(f"{address}after=x", headers=permitted)
            assert (cursor.status_code, fault(document, path, cursor)) == (400, None)
        if "limit" in parameters:
            answers[422] = await client.get(f"{address}limit=201&from_ms={NUMBER}", headers=permitted)
            assert "limit: Input should be less than or equal to 200" in answers[422].json()["detail"]
        elif "422" in operation["responses"]:
            pytest.fail(f"{path}: 422 is declared, and no parameter can be wrong")
        if "404" in operation["responses"]:
            answers[404] = await client.get(address, headers=permitted)
        for status, error in ((503, TransientError("the database is away at 10.0.0.7")), (500, ValueError("secret"))):
            with monkeypatch.context() as patched:
                patched.setattr(ConsoleContext, "read", failing(error))
                answers[status] = await client.get(address, headers=permitted)
        for status, answer in answers.items():
            assert (answer.status_code, fault(document, path, answer)) == (status, None), (path, answer.text)
            assert not [one for one in ("12345678", "10.0.0.7", "secret") if one in answer.text]
        assert answers[401].headers["www-authenticate"] == "Bearer"
        assert answers[503].headers["retry-after"].isdigit()
        too_large = httpx.Response(413, content=problem_body(413, "x", "x"), headers={"content-type": PROBLEM_TYPE})
        assert fault(document, path, too_large) is None  # of the server, before any route: test_malformed_requests.py
        assert {str(status) for status in answers} | {"200", "413"} == set(operation["responses"]), path
    for method, path in (("POST", "/v1/tenants"), ("GET", "/v1/nothing")):
        answer = await client.request(method, path, headers=permitted)
        assert answer.status_code in (404, 405)
        assert (answer.headers["content-type"], answer.json()["status"]) == (PROBLEM_TYPE, answer.status_code)


def add_token(connection: Connection, user: User) -> str:
    """A token of a new account."""
    accounts.add_without_password(connection, user, NOON_MS)
    return api_tokens.make(connection, user, "test", NOON_MS + 1_000, NOON_MS) or ""


@pytest.mark.parametrize(("language", "said"), [("zh", "数据库或 Kafka 暂时没有响应"), ("en", "does not respond")])
async def test_a_person_gets_a_page_in_the_own_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    async with console_at(tmp_path) as console, pages_of(console) as client:
        client.cookies.set("lang", language)
        missing = await client.get("/cases/no/such")
        assert (missing.status_code, "<h1" in missing.text, "Not Found" in missing.text) == (404, True, False)
        assert (await client.get("/tenants/acme?after=x")).status_code == 400
        assert (await client.get("/quality?days=x")).headers["content-type"].startswith("text/html")
        monkeypatch.setattr(ConsoleContext, "read", failing(TransientError("away")))
        away = await client.get("/search?q=x")
    assert (away.status_code, said in away.text, away.headers["retry-after"]) == (503, True, "2")


@pytest.mark.parametrize(("sqlstate", "status"), [(None, 422), ("22021", 422), ("22003", 500)])
async def test_a_value_that_the_database_cannot_hold_is_refused_and_other_faults_of_data_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlstate: str | None, status: int
) -> None:
    cause = Exception("the driver's")
    cause.sqlstate = sqlstate  # type: ignore[attr-defined]  # as psycopg's errors have it
    async with console_at(tmp_path) as console, pages_of(console) as client:
        client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
        monkeypatch.setattr(ConsoleContext, "read", failing(DataError("SELECT", {}, cause)))
        assert (await client.get("/search?q=x")).status_code == status
