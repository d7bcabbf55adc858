"""Any request to `/v1` gets an answer that its OpenAPI document declares: the requests are made from the document."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.console_harness import console_at
from helpers.console_pages import DAY_MS, HOSTILE, HOSTILE_ID, alerted, decided, pages_of, reviewed, tenant
from helpers.thorough import thorough
from oracle.ledger import T0
from schemas.outputs import Reason

CASE = decided(1, HOSTILE_ID, T0, reason=Reason(HOSTILE, HOSTILE))
KNOWN = ("acme", HOSTILE_ID, CASE.id, "rule-1", "short-calls-day")
ODD = (
    "",
    "0",
    "-1",
    "1e9",
    "9" * 30,
    "null",
    "\0",
    "\ud83d\ude00",
    "..",
    "%",
    "a/b",
    "[]",
    "WzFd",
    "WzEsImEiXQ",
    "x" * 2_000,
)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """`/v1` of a console that knows some tenants and decisions."""
    async with console_at(folder) as console:
        console.now_ms = T0 + 10 * DAY_MS
        await console.put(tenant(HOSTILE_ID, T0, HOSTILE, "owner-1", (HOSTILE,)), tenant("acme", T0, "Acme", "owner-1"))
        await console.put(*[decided(n, "acme", T0 + n, rule_id=f"rule-{n % 3}") for n in range(2, 9)], CASE)
        await console.put(alerted("acme", T0), reviewed(CASE, T0 + 1, "uphold", HOSTILE))
        async with pages_of(console) as client:
            yield client


@contextmanager
def api_of(folder: Path) -> Iterator[Callable[[str], httpx.Response]]:
    """Sends a request to it and returns the answer."""
    with asyncio.Runner() as runner:
        site = opened(folder)
        client = runner.run(site.__aenter__())
        try:
            yield lambda url: runner.run(client.get(url))
        finally:
            runner.run(site.__aexit__(None, None, None))


def value_of(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    """Values of a parameter: those that its schema allows, those of others, and texts of all kinds."""
    allowed = []
    for one in schema.get("anyOf", [schema]):
        if "enum" in one:
            allowed += [st.sampled_from(one["enum"])]
        elif one.get("type") == "integer":
            allowed += [st.integers(one.get("minimum", 0), one.get("maximum", 2**53)).map(str), st.integers().map(str)]
        elif one.get("type") == "string":
            allowed += [st.text(max_size=one.get("maxLength", 50) + 1), st.sampled_from(KNOWN)]
    return st.one_of(*allowed, st.sampled_from(ODD), st.text(st.characters(codec="utf-8"), max_size=20))


def requests_of(document: dict[str, Any]) -> st.SearchStrategy[tuple[str, str]]:
    """A path of the document, and an address of it."""
    made = []
    for path, operations in document["paths"].items():
        parameters = operations["get"].get("parameters", [])
        inside = {one["name"]: value_of(one["schema"]) for one in parameters if one["in"] == "path"}
        # FastAPI does not list the tenant's id, which the route reads by itself. Without a case's id it is the list.
        ids = value_of({"type": "string"}).filter(lambda value: value not in ("", ".", ".."))
        inside |= {name: ids for name in ("tenant_id", "case_id") if f"{{{name}}}" in path}
        query = [st.tuples(st.just(one["name"]), value_of(one["schema"])) for one in parameters if one["in"] == "query"]
        query.append(st.tuples(st.sampled_from(["id", "odd", "limit", "after"]), st.sampled_from(ODD)))
        pairs = st.lists(st.one_of(query), max_size=4)
        made.append(
            st.builds(
                lambda path, inside, pairs: (path, address_of(path, inside, pairs)),
                st.just(path),
                st.fixed_dictionaries(inside),
                pairs,
            )
        )
    return st.one_of(made)


def address_of(path: str, inside: dict[str, str], pairs: list[tuple[str, str]]) -> str:
    """The address with these values."""
    for name, value in inside.items():
        path = path.replace(f"{{{name}}}", quote(value, safe="", errors="replace"))
    return path + (f"?{urlencode(pairs, errors='replace')}" if pairs else "")


def fault_of(document: dict[str, Any], path: str, answer: httpx.Response) -> str | None:
    """What is wrong with an answer."""
    declared = document["paths"][path]["get"]["responses"].get(str(answer.status_code))
    if declared is None:
        return f"{answer.status_code} is not declared: {answer.text[:200]}"
    content = declared.get("content")
    if content is None:
        return None
    kind = answer.headers["content-type"].partition(";")[0]
    if kind not in content:
        return f"{answer.status_code}: {kind} is not declared"
    schema = {**content[kind].get("schema", {}), "components": document["components"]}
    errors = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(answer.json())]
    return f"{answer.status_code}: {errors[0]}" if errors else None


@pytest.mark.parametrize("number", thorough([150, 400], 1), ids="{} examples".format)
def test_any_request_gets_an_answer_that_is_declared(tmp_path: Path, number: int) -> None:
    with api_of(tmp_path) as ask:
        document = ask("/v1/openapi.json").json()
        statuses: set[int] = set()

        @settings(max_examples=number, suppress_health_check=[HealthCheck.too_slow])
        @given(requests_of(document))
        def each(request: tuple[str, str]) -> None:
            path, address = request
            answer = ask(address)
            statuses.add(answer.status_code)
            assert fault_of(document, path, answer) is None, (address, fault_of(document, path, answer))
            assert "12345678" not in answer.text

        each()
        assert {200, 404, 422} <= statuses


@pytest.mark.parametrize("body", [{"detail": 1}, {}])
def test_the_check_finds_what_is_not_declared(body: Any) -> None:
    schema = {"type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}}}
    responses = {"200": {"content": {"application/json": {"schema": schema}}}}
    document: dict[str, Any] = {"paths": {"/v1/x": {"get": {"responses": responses}}}, "components": {}}
    headers = {"content-type": "application/json"}
    assert fault_of(document, "/v1/x", httpx.Response(200, content=json.dumps(body), headers=headers))
    assert fault_of(document, "/v1/x", httpx.Response(500, content="{}", headers=headers))
    assert fault_of(document, "/v1/x", httpx.Response(200, content='{"detail": ""}', headers=headers)) is None
