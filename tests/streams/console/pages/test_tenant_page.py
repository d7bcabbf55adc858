"""A tenant's page: its standing, cases, measures, siblings and history; ids of any form; nothing runs, no number."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import DAY_MS, HOSTILE, HOSTILE_ID, NUMBER, alerted, decided, pages_of, reviewed, tenant
from oracle.ledger import T0
from schemas import codec
from schemas.measures import RuleMeasure, TenantHour
from schemas.outputs import Measure, Reason
from streams.console.queries.cursors import encode_cursor
from streams.console.tables import MEASURES

HOUR_MS = 3_600_000
POLICY = """id: house
version: "1"
overrides:
- {tenant: acme, rule: short-calls, above: 0.6, mode: shadow, owner: ops, reason: surveys, expires: 2099-01-01}
- {tenant: other, rule: out-of-hours-weak-signs, above: 0.7, owner: ops, reason: of-another, expires: 2099-01-01}
exemptions:
- {tenant: acme, rules: [out-of-hours], owner: ops, reason: night clinic, expires: 2099-01-01}
- {tenant: acme, rules: [invalid-numbers], owner: ops, reason: over-and-done, expires: 2020-01-01}
profiles:
  schools: {exempt: [short-calls-of-few], tenants: [acme], owner: ops, reason: a school, expires: 2099-01-01}
"""


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[ConsoleHarness]:
    async with console_at(tmp_path) as made:
        made.now_ms = T0 + 10 * DAY_MS
        yield made


async def page(client: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await client.get(path, headers={"accept-language": "en"})
    assert answer.status_code == status
    return answer.text


async def test_the_page_shows_standing_cases_and_history(console: ConsoleHarness) -> None:
    ban = decided(1, "acme", T0 + DAY_MS, tier="severe", rule_id="verified_fraud_complaint")
    warning = decided(2, "acme", T0 + 2 * DAY_MS)
    await console.put(tenant("acme", T0, "Acme Ltd", "owner-1", ("loans",)), tenant("other", T0, "Other", "owner-1"))
    await console.put(ban, warning, alerted("acme", T0 + 3 * DAY_MS), reviewed(ban, T0 + 4 * DAY_MS))
    async with pages_of(console) as client:
        text = await page(client, "/tenants/acme")
    for shown in ("Acme Ltd", "Banned", "Refunds frozen", "owner-1", 'href="/tenants/other"', "Review: overturned"):
        assert shown in text
    assert f'href="/cases/{warning.id}"' in text
    assert "19.4 %" in text
    assert text.index("Review: overturned") < text.index("too many short calls") < text.rindex("200 of 1,031")


async def test_the_history_says_what_became_of_a_decision(console: ConsoleHarness) -> None:
    wrong, right = decided(1, "acme", T0), decided(2, "acme", T0 + 1)
    reversal = decided(9, "acme", T0 + DAY_MS, kind="reversal", reverses=wrong.id, refunds="released")
    await console.put(wrong, right, reversal)
    async with pages_of(console) as client:
        text = await page(client, "/tenants/acme")
    newest, *others = text[text.index('id="history"') :].split("data-row>")[1:]
    assert ["reversed since" in each for each in (newest, *others)] == [False, False, True]


async def test_the_history_is_read_a_page_at_a_time_and_misses_nothing(console: ConsoleHarness) -> None:
    # Many have one time: the cursor must not skip any of them.
    events = [decided(n, "acme", T0 + n // 40 * 1_000) for n in range(90)]
    await console.put(*events, *[alerted("acme", T0, alert_id=f"alert-{n}") for n in range(30)])
    await console.put(*[reviewed(events[n], T0) for n in range(20)])
    seen, path, pages = [], "/tenants/acme", 0
    async with pages_of(console) as client:
        while path:
            text = await page(client, path)
            history = text[text.index('id="history"') :]
            seen += history.split("data-row>")[1:]
            following = history.split('rel="next" href="')[1:]
            path = following[0].split('"')[0].replace("&amp;", "&") if following else ""
            pages += 1
    assert (len(seen), pages) == (140, 3)
    assert len(set(seen)) >= 90 + 20 + 1  # the alerts differ in nothing that is shown


@pytest.mark.parametrize("tenant_id", ["a/b", "..", ".", "a?b#c", "租户 1", "a%2Fb", "x" * 128])
async def test_an_id_of_any_form_has_its_page(console: ConsoleHarness, tenant_id: str) -> None:
    from streams.console.pages.path_ids import tenant_path

    await console.put(decided(1, tenant_id, T0))
    async with pages_of(console) as client:
        text = await page(client, tenant_path(tenant_id))
        path = tenant_path(tenant_id)
        charts = await client.get(f"{path}&measures" if "?" in path else f"{path}/measures")
    assert "The console has seen no record" not in text
    assert charts.json()["series"][0]["value"] == [200 / 1_031]


def hour(tenant_id: str, hour_ms: int, *rules: RuleMeasure) -> bytes:
    return codec.encode(TenantHour(tenant_id, hour_ms, rules[0].rule_id if rules else None, 0.5, rules))


def distances(page: str) -> dict[str, str]:
    """Of each rule what its row says, without its name and the time."""
    rows = re.findall(r'rule=([a-z-]+)#days".*?</td>(.*?)<td data-label="Window end">', page, re.S)
    return {rule: " ".join(re.sub(r"<[^>]*>", " ", row).split()) for rule, row in rows}


@pytest.mark.parametrize(
    ("rule_id", "measure", "said"),
    [
        ("short-calls", Measure("short_call_ratio", 40, 100, 0.4, 0.25, 0.3), "5 percentage points beyond"),
        ("short-calls", Measure("short_call_ratio", 40, 100, 0.4, 0.25, 0.25), "0 percentage points to go"),
        ("short-calls", Measure("short_call_ratio", 40, 100, 0.4, 0.25, 0.24), "1 percentage point to go"),
        ("padded-talk", Measure("median_talk_s", 4_500, 100, 4.5, 10.0, None), "5.5 s beyond"),
        ("padded-talk", Measure("median_talk_s", 12_500, 100, 12.5, 10.0, None), "2.5 s to go"),
        ("callee-called-all-day", Measure("callee_peak", 7, None, 7, 20.0, None), "13 to go"),
        ("callee-called-all-day", Measure("callee_peak", 27, None, 27, 20.0, None), "7 beyond"),
        ("no-longer-there", Measure("short_call_ratio", 40, 100, 0.4, 0.25, 0.3), "5 percentage points beyond"),
    ],
)
async def test_the_distance_says_how_much_is_missing_or_too_much(
    console: ConsoleHarness, rule_id: str, measure: Measure, said: str
) -> None:
    await console.put(decided(1, "acme", T0, rule_id=rule_id, measure=measure))
    async with pages_of(console) as client:
        row = distances(await page(client, "/tenants/acme"))[rule_id]
        chinese = (await client.get("/tenants/acme", headers={"accept-language": "zh"})).text
        full = '<meter min="0" max="1" high="0.99" optimum="0" value="1"' in chinese
    assert said in row
    assert ("已超出" in chinese, "还差" in chinese, full) == (
        (True, False, True) if "beyond" in said else (False, True, False)
    )


async def test_measures_of_hours_make_charts_and_distances_the_nearest_first(console: ConsoleHarness) -> None:
    last_ms = T0 // HOUR_MS * HOUR_MS + 9 * DAY_MS
    for n in range(48):
        at_ms = last_ms - n * HOUR_MS
        rules = (
            RuleMeasure("short-calls", 10 + n, 100, (10 + n) / 100, (5 + n) / 100, 0.25),
            RuleMeasure("consent-coverage", 90, 100, 0.9, 0.84, 0.7),
            RuleMeasure("callee-hang-ups", 9, 100, 0.09, 0.08, 0.35),
            RuleMeasure("one-ring-calls", 55, 60, 0.916667, 0.8, 0.5, 100),  # too few calls to be judged
            RuleMeasure("gone", 1, 2, 0.5, None, 0.9),  # the policy has no such rule
        )
        console.held.put("callwarden.measures", 0, hour("acme", at_ms, *rules), key=b"acme")
    console.held.put("callwarden.measures", 0, b"{}", key=b"acme")
    await console.put(decided(1, "acme", last_ms + 1, rule_id="short-calls"))
    assert len(console.rows(MEASURES)) == 48
    async with pages_of(console) as client:
        text = await page(client, "/tenants/acme?rule=consent-coverage")
        found = (await client.get("/tenants/acme/measures")).json()
    charts, times = found["series"], found["times"]
    rules = "consent-coverage", "callee-hang-ups", "short-calls", "one-ring-calls"
    named = [text.index(f"rule={name}#days") for name in rules]
    assert named == sorted(named)
    rows = distances(text)
    assert rows["consent-coverage"] == "90 % 84 % below 70 % Minor Shadow 14 percentage points to go 100 of at least 20"
    assert rows["callee-hang-ups"] == "9 % 8 % above 35 % Minor Shadow 27 percentage points to go 100 of at least 40"
    assert rows["one-ring-calls"].endswith("Minor Review too few to judge 60 of at least 100")
    assert rows["short-calls"] == "10 % 5 % above 25 % Minor Review 20 percentage points to go 100 of at least 30"
    assert "100 of at least 20" in text
    assert "60 of at least 100" in text
    assert "rules measured nothing" in text
    days = text[text.index('id="days"') :]
    assert days[: days.index("</section>")].count("<tr>") == 1 + 3
    assert [one["rule"] for one in charts] == ["consent-coverage", "callee-hang-ups", "short-calls"]
    assert [len(times[one["times"]]) for one in charts] == [48, 48, 49]  # with that of the decision
    assert [len(one["value"]) for one in charts] == [48, 48, 49]
    assert len(times) == 2  # the first two charts share theirs
    assert [one["threshold"] for one in charts] == [0.7, 0.35, [0.25] * 47 + [0.15, 0.25]]
    assert {one["rule"]: one["threshold_name"] for one in charts} == {
        "consent-coverage": "Threshold (Minor · Shadow)",
        "callee-hang-ups": "Threshold (Minor · Shadow)",
        "short-calls": "Threshold (Minor · Review)",
    }


async def test_the_first_measures_of_an_hour_count(console: ConsoleHarness) -> None:
    """A state that was rebuilt from fewer records may write others again; they are not better."""
    for n, value in enumerate((0.1, 0.2)):
        measured = hour("acme", T0, RuleMeasure("short-calls", n + 1, 100, value, None, 0.25, 20))
        console.held.put("callwarden.measures", 0, measured, key=b"acme")
        await console.follow()
    async with pages_of(console) as client:
        charts = (await client.get("/tenants/acme/measures")).json()["series"]
    assert [one["value"] for one in charts] == [[0.1]]


async def test_measures_are_forgotten_after_35_days(console: ConsoleHarness) -> None:
    for n in range(3):
        console.held.put("callwarden.measures", 0, hour("acme", T0 + n * HOUR_MS), key=b"acme")
    await console.follow()
    console.held.put("callwarden.measures", 0, hour("acme", T0 + 35 * DAY_MS + 2 * HOUR_MS), key=b"acme")
    await console.follow()
    assert [row["hour_ms"] - T0 for row in console.rows(MEASURES)] == [2 * HOUR_MS, 35 * DAY_MS + 2 * HOUR_MS]


async def test_an_unknown_tenant_has_a_page_that_says_so(console: ConsoleHarness) -> None:
    async with pages_of(console) as client:
        assert "The console has seen no record" in await page(client, "/tenants/nobody")
        await page(client, "/tenants/", 404)
        await page(client, "/tenants/%ff", 404)
        await page(client, "/tenants/a/b", 404)
        await page(client, f"/tenants/{'x' * 129}", 404)
        await page(client, "/tenants/acme?after=nonsense", 400)


async def test_nothing_that_a_tenant_wrote_acts_or_shows_a_number(console: ConsoleHarness) -> None:
    from streams.console.pages.path_ids import tenant_path

    event = decided(1, HOSTILE_ID, T0, reason=Reason(HOSTILE, HOSTILE), rule_id=HOSTILE_ID)
    await console.put(tenant(HOSTILE_ID, T0, HOSTILE, NUMBER, (HOSTILE,)), tenant("b", T0, HOSTILE, NUMBER))
    await console.put(event, alerted(HOSTILE_ID, T0 + 1, reason=Reason(HOSTILE, HOSTILE)))
    await console.put(reviewed(event, T0 + 2, reason=HOSTILE))
    async with pages_of(console) as client:
        for language in ("zh", "en"):
            text = (await client.get(tenant_path(HOSTILE_ID), headers={"cookie": f"lang={language}"})).text
            assert "<img" not in text
            assert "\u202e" not in text
            assert "12345678" not in text


async def test_the_distance_to_an_escalation_counts_what_it_has_not_used(console: ConsoleHarness) -> None:
    await console.put(*[decided(n, "acme", T0 + n * DAY_MS, rule_id=f"rule-{n}") for n in range(2)])
    async with pages_of(console) as client:
        text = await page(client, "/tenants/acme")
    assert "2 of 3 violations" in text
    assert "1 more and it applies" in text


@pytest.mark.parametrize(("lang", "shows"), [("en", ("threshold", "→ Shadow")), ("zh", ("阈值", "→ 影子"))])
async def test_overrides_and_exemptions_in_force_are_shown_with_what_they_change(
    tmp_path: Path, lang: str, shows: tuple[str, ...]
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    async with console_at(tmp_path, policy=str(file)) as console, pages_of(console) as client:
        text = (await client.get("/tenants/acme", headers={"cookie": f"lang={lang}"})).text
    held = re.sub(r"<[^>]+>", "", text)
    for said in (*shows, "→ 60 %", "surveys", "out-of-hours", "night clinic", "short-calls-of-few", "a school"):
        assert said in held, said
    assert "over-and-done" not in text
    assert "of-another" not in text


@pytest.mark.parametrize("last", ["²", "x", "", "9" * 20, "9" * 700])
async def test_a_review_in_a_cursor_is_a_number_of_the_table(console: ConsoleHarness, last: str) -> None:
    ban = decided(1, "acme", T0)
    await console.put(tenant("acme", T0, "Acme Ltd", "owner-1"), ban, reviewed(ban, T0 + DAY_MS))
    async with pages_of(console) as client:
        await page(client, f"/tenants/acme?after={encode_cursor(T0 + DAY_MS, 2, last)}", 400)
        assert "Review" not in await page(client, f"/tenants/acme?after={encode_cursor(T0 + DAY_MS, 2, '0' * 20)}")
