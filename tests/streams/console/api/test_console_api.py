"""`/v1`: what it answers, its cursors, its OpenAPI document, and that it reveals no number."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, HOSTILE, HOSTILE_ID, NUMBER, alerted, decided, pages_of, reviewed, tenant
from oracle.ledger import T0
from schemas import codec
from schemas.measures import RuleMeasure, TenantHour
from schemas.outputs import Evidence, Reason
from streams.console.pages.path_ids import tenant_path
from streams.console.queries.cursors import encode_cursor


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[ConsoleHarness]:
    async with console_at(tmp_path) as made:
        made.now_ms = T0 + 10 * DAY_MS
        yield made


@pytest.fixture
async def client(console: ConsoleHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with pages_of(console) as made:
        yield made


async def everything(client: httpx.AsyncClient, path: str) -> list[Any]:
    """All items of a list, read page by page."""
    items: list[Any] = []
    after = ""
    while True:
        answer = (await client.get(f"{path}&after={after}")).json()
        items += answer["items"]
        after = answer["next"]
        if after is None:
            return items


async def test_tenants_and_one_of_them(console: ConsoleHarness, client: httpx.AsyncClient) -> None:
    await console.put(*[tenant(f"t-{n:03}", T0, f"Company {n}", "owner-1" if n < 3 else None) for n in range(7)])
    event = decided(1, "t-000", T0, tier="severe")
    await console.put(event, alerted("t-000", T0))
    items = await everything(client, "/v1/tenants?limit=3")
    assert [one["tenant_id"] for one in items] == [f"t-{n:03}" for n in range(7)]
    one = (await client.get("/v1/tenants/t-000")).json()
    assert (one["standing"], one["violations"], one["alerts"]) == ("banned", 1, 1)
    assert [case["case_id"] for case in one["open_cases"]] == [event.id]
    assert [sibling["tenant_id"] for sibling in one["siblings"]] == ["t-001", "t-002"]
    assert (await client.get("/v1/tenants/nobody")).status_code == 404


@pytest.mark.parametrize("character", ["\x01", "\\", "\u202e", "\U0010ffff"])
async def test_no_id_of_a_tenant_hides_those_behind_it(
    console: ConsoleHarness, client: httpx.AsyncClient, character: str
) -> None:
    ids = sorted(["0", character * 128, character * 127 + "~", "\U0010fffe" * 127])
    await console.put(*[tenant(each, T0) for each in ids])
    assert [one["tenant_id"] for one in await everything(client, "/v1/tenants?limit=1")] == ids


@pytest.mark.parametrize("tenant_id", ["a/b", "..", "租户 1", "a?b#c"])
async def test_an_id_of_any_form(console: ConsoleHarness, client: httpx.AsyncClient, tenant_id: str) -> None:
    await console.put(decided(1, tenant_id, T0))
    answer = await client.get(tenant_path(tenant_id, "/v1/tenants/"))
    assert answer.json()["tenant_id"] == tenant_id


async def test_cases_and_decisions_by_filter_and_cursor(console: ConsoleHarness, client: httpx.AsyncClient) -> None:
    events = [decided(n, f"t-{n % 2}", T0 + n // 10, rule_id=f"rule-{n % 3}") for n in range(50)]
    reversal = decided(90, "t-0", T0 + DAY_MS, kind="reversal", reverses=events[0].id, refunds="released")
    await console.put(*events, reversal)
    assert len({one["case_id"] for one in await everything(client, "/v1/cases?limit=7")}) == 50
    assert len(await everything(client, "/v1/decisions?limit=7")) == 51
    assert len(await everything(client, "/v1/decisions?limit=7&tenant_id=t-0")) == 26
    assert len(await everything(client, f"/v1/decisions?limit=7&from_ms={T0 + 4}")) == 11
    assert len(await everything(client, "/v1/cases?limit=50&tenant_id=t-1&rule_id=rule-1")) == 9
    assert [one["case_id"] for one in await everything(client, "/v1/cases?limit=9&status=reversed")] == [events[0].id]


async def test_one_case_by_any_of_its_ids(console: ConsoleHarness, client: httpx.AsyncClient) -> None:
    waits = decided(1, "acme", T0, tier="severe", status="pending_review")
    upheld = decided(
        2, "acme", T0 + 5, tier="severe", supersedes=waits.id, evidence=Evidence(review_ids=(f"review-{T0}",))
    )
    await console.put(waits, reviewed(waits, T0, "uphold", f"heard {NUMBER}"), upheld, tenant("acme", T0))
    given = await client.post(f"/cases/{waits.id}/verdict", data={"verdict": "overturn", "reason": f"call {NUMBER}"})
    assert given.status_code == 303
    for event_id in (waits.id, upheld.id):
        answer = await client.get(f"/v1/cases/{event_id}")
        one = answer.json()
        assert (one["case_id"], one["status"], one["event"]["id"]) == (waits.id, "final", upheld.id)
        assert [each["id"] for each in one["events"]] == [waits.id, upheld.id]
        assert [(each["verdict"], each["reviewer"]) for each in one["reviews"]] == [("uphold", "local:li")]
        assert [(each["verdict"], each["state"], each["subject"]) for each in one["verdicts"]] == [
            ("overturn", "waiting", "local:li")
        ]
        assert "12345678" not in answer.text
    assert (await client.get("/v1/cases/cwe-none")).status_code == 404


async def test_measures(console: ConsoleHarness, client: httpx.AsyncClient) -> None:
    await console.put(decided(1, "acme", T0), alerted("acme", T0 - 5))
    found = await everything(client, "/v1/measures?tenant_id=acme&limit=1")
    points = [(item["at_ms"], one["rule_id"], one["numerator"]) for item in found for one in item["measures"]]
    assert points == [(T0, "short-calls-day", 200), (T0 - 5, "short-calls-day", 180)]


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
async def test_measures_are_read_a_page_at_a_time_and_none_is_missed(
    console: ConsoleHarness, client: httpx.AsyncClient, limit: int
) -> None:
    hour_ms, times = 3_600_000, set[int]()
    first_ms = T0 // hour_ms * hour_ms
    for n in (*range(20), 100, 101, 200):  # with gaps that are longer than a page
        rules = RuleMeasure("short-calls", n, 100, n / 100, None, 0.25, 20), RuleMeasure("gone", 1, 2, 0.5, None, 0.9)
        value = codec.encode(TenantHour("acme", first_ms + n * hour_ms, "short-calls", 0.5, rules))
        console.held.put("callwarden.measures", 0, value, key=b"acme")
        times.add(first_ms + (n + 1) * hour_ms)
    for n in range(12):
        at_ms = first_ms + 5 * hour_ms + n * 60_000
        await console.put(decided(n, "acme", at_ms, rule_id="short-calls"))
        times.add(at_ms)
    await console.put(alerted("acme", first_ms + 50 * hour_ms), alerted("other", first_ms + 51 * hour_ms))
    times.add(first_ms + 50 * hour_ms)
    console.now_ms = first_ms + 201 * hour_ms
    found = await everything(client, f"/v1/measures?tenant_id=acme&limit={limit}")
    assert [item["at_ms"] for item in found] == sorted(times, reverse=True)
    measured = {item["at_ms"]: item["measures"] for item in found}
    (one,) = measured[first_ms + hour_ms]  # of rules that the policy has
    assert (one["rule_id"], one["min_denominator"]) == ("short-calls", 20)
    (one,) = measured[first_ms + 6 * hour_ms]
    assert one["numerator"] == 5
    (one,) = measured[first_ms + 5 * hour_ms]  # measured by the hour, and decided on: as decided, in full
    assert (one["numerator"], one["min_denominator"]) == (200, 20)
    recent = await everything(client, f"/v1/measures?tenant_id=acme&days=1&limit={limit}")
    assert [item["at_ms"] for item in recent] == [first_ms + 201 * hour_ms]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/tenants?after=x", 400), ("/v1/cases?after=WzFd", 400), ("/v1/cases?status=odd", 422),
        ("/v1/cases?stats=final", 422), ("/v1/tenants?limit=201", 422), ("/v1/measures", 422),
        ("/v1/measures?tenant_id=a&after=x", 400),
        (f"/v1/measures?tenant_id=a&after={encode_cursor(-1)}", 400),
        (f"/v1/measures?tenant_id=a&after={encode_cursor(-(2**63) + 2)}", 400),
        (f"/v1/measures?tenant_id=a&after={encode_cursor(2**53 + 1)}", 400),
        (f"/v1/measures?tenant_id=a&after={encode_cursor(2**53)}", 200),
        ("/v1/measures?tenant_id=a&limit=201", 422),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_refused(client: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await client.get(path)).status_code == status


async def test_no_answer_reveals_a_number(console: ConsoleHarness, client: httpx.AsyncClient) -> None:
    await console.put(tenant(HOSTILE_ID, T0, HOSTILE, "owner-1", (HOSTILE,)), tenant("b", T0, NUMBER, "owner-1"))
    await console.put(decided(1, HOSTILE_ID, T0, reason=Reason(HOSTILE, HOSTILE)))
    paths = ("/v1/tenants", tenant_path(HOSTILE_ID, "/v1/tenants/"), "/v1/cases", "/v1/decisions")
    for path in paths:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert "12345678" not in answer.text


async def test_the_openapi_document_has_each_route(client: httpx.AsyncClient) -> None:
    document = (await client.get("/v1/openapi.json")).json()
    assert set(document["paths"]) == {
        "/v1/tenants",
        "/v1/tenants/{tenant_id}",
        "/v1/cases",
        "/v1/cases/{case_id}",
        "/v1/decisions",
        "/v1/measures",
    }
    for path, methods in document["paths"].items():
        assert set(methods) == {"get"}, path
    assert document["security"] == [{"token": []}]
