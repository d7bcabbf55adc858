"""The console's pages in a real browser: axe-core finds nothing, no record runs or shows a number, keys work.

The console is on topics in memory: what its pages show does not depend on Kafka.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from console_site import appear, inaccessible, press, resize, served, wait
from starlette.types import ASGIApp, Receive, Scope, Send

from helpers.chromium import chromium_with
from helpers.console_harness import console_at
from helpers.console_pages import (
    DAY_MS,
    HOSTILE,
    HOSTILE_ID,
    NUMBER,
    alerted,
    application,
    decided,
    reviewed,
    tenant,
)  # fmt: skip
from helpers.console_policies import ThreadChecks, file_of, recorded, started
from monitor.policy.load import loads
from oracle.ledger import T0
from schemas.outputs import Evidence, Reason
from streams.console.app import make
from streams.console.cases import verdicts
from streams.console.identity.users import Role, User
from streams.console.pages.path_ids import tenant_path
from streams.console.security_headers import with_security_headers

pytestmark = pytest.mark.services

NOW = T0 + 10 * DAY_MS
PENDING = decided(33, "nanhai", NOW - DAY_MS, tier="major", status="pending_review")
HOSTILE_CASE = decided(
    50, HOSTILE_ID, NOW - 2 * DAY_MS, tier="severe", status="pending_review", reason=Reason(HOSTILE, HOSTILE),
    rule_id=HOSTILE_ID,
)  # fmt: skip
VERDICT_CASE = decided(51, "nanhai-2", NOW - 2 * DAY_MS, tier="major", status="pending_review")
WAITING: dict[str, Any] = {
    "kind": "admission_review", "status": "pending_review", "behaviour": "application_review", "tier": None,
    "rule_id": "application_review", "measure": None, "window": None, "clause": None, "refunds": "unaffected",
    "review_by_ms": None,
}  # fmt: skip
PAGES = (
    "/queue", "/queue?view=verdicts", f"/cases/{PENDING.id}", f"/cases/{HOSTILE_CASE.id}", "/tenants/nanhai",
    tenant_path(HOSTILE_ID), "/search?q=nanhai", "/search", "/search?rule=short-calls-day", "/admissions", "/quality",
    "/health", "/admin/reasons", "/policy", "/policy/previews", "/policy/exceptions",
)  # fmt: skip


@asynccontextmanager
async def console(folder: Path) -> AsyncIterator[ASGIApp]:
    """The console with records of honest and of hostile tenants, and somebody who may do everything."""
    async with console_at(folder) as console:
        console.now_ms = NOW
        await console.put(tenant("nanhai", T0, "南海联合贸易有限公司", "owner-1", ("信用卡催收",)))
        await console.put(
            tenant("nanhai-2", T0, "Nanhai 2", "owner-1"), tenant(HOSTILE_ID, T0, HOSTILE, None, (HOSTILE,))
        )
        events = [decided(n, "nanhai", T0 + n * DAY_MS) for n in range(6)]
        await console.put(*events, PENDING, HOSTILE_CASE, alerted("nanhai", T0 + DAY_MS), alerted(HOSTILE_ID, T0))
        await console.put(reviewed(events[0], T0 + DAY_MS, "uphold", HOSTILE))
        await console.put(application("nanhai", "app-1", T0, f"信用卡催收 {HOSTILE}", HOSTILE))
        evidence = Evidence(application_ids=("app-1",))
        await console.put(decided(40, "nanhai", NOW - 3 * DAY_MS, **WAITING, evidence=evidence))
        await console.put(VERDICT_CASE)
        chen = User("local:chen", "Chen", frozenset(Role))
        rules, wanted = verdicts.VerdictRules(30_000, 900_000, True), verdicts.WantedVerdict("overturn", HOSTILE)
        give = partial(verdicts.give, ids=[VERDICT_CASE.id], wanted=wanted, by=chen, rules=rules, now_ms=NOW)
        assert not (await console.context.write(give)).refused
        await recorded(console, started(loads(file_of("2026-11"), "f"), T0, HOSTILE))
        made = make(console.context)
        made.state.policy_checks = ThreadChecks()
        app = with_security_headers(made)

        async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "callwarden.user": chen, "callwarden.csrf": "token"}, receive, send)

        yield signed_in


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("console")
    with served(lambda: console(folder)) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, site: str) -> Iterator[Any]:
    # Eager: the stream of `/events` never ends.
    with chromium_with(tmp_path_factory.mktemp("profile"), load_strategy="eager") as chrome:
        chrome.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Shanghai"})
        chrome.get(f"{site}/health")
        yield chrome


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_each_page_is_accessible_fits_and_reveals_nothing(browser: Any, site: str, lang: str) -> None:
    appear(browser, lang, "light", 1440)
    found: list[str] = []
    for path in PAGES:
        browser.get(site + path)
        wait(browser, "const c = document.querySelector('[data-charts]'); return !c || c.dataset.drawn !== undefined")
        found += inaccessible(browser, path)
        if "12345678" in browser.page_source or NUMBER in browser.page_source:
            found.append(f"{path}: shows a number")
        if browser.execute_script("return document.querySelectorAll('img, main script').length"):
            found.append(f"{path}: an element of a record")
    assert not found, "\n".join(found)


def test_a_page_whose_news_were_refused_asks_again(browser: Any, site: str) -> None:
    """As with 503 while too many pages are open, or of a proxy while the console starts again."""
    source = """
        window.asked = [];
        const [later, Source] = [setTimeout, EventSource];
        window.setTimeout = (work, ms) => later(work, Math.min(ms, 100));
        window.EventSource = class extends Source {
          constructor(url) { super(asked.push(url) < 3 ? "/no-such-page" : url); }
        };"""
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    try:
        browser.get(f"{site}/queue")
        wait(browser, "return asked.length === 3")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        browser.get_log("browser")  # has the answers 404


def test_keys_switch_language_open_help_and_move(browser: Any, site: str) -> None:
    appear(browser, "en", "light", 1440)
    browser.get(f"{site}/search")
    assert browser.find_element("css selector", "h1").text == "Search"
    press(browser, "?")
    assert browser.execute_script("return document.querySelector('#help').open")
    press(browser, "\ue00c")  # escape
    press(browser, "j")
    assert browser.execute_script("return document.querySelectorAll('.chosen').length") == 1
    press(browser, "/")
    assert browser.execute_script("return document.activeElement.name") == "q"
    press(browser, "l")
    assert browser.execute_script("return document.activeElement.value") == "l"
    press(browser, "\ue00c")
    press(browser, "l")
    loaded = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd > 0"  # and scripts have run
    wait(browser, f"return document.documentElement.lang === 'zh-CN' && {loaded}")
    assert browser.find_element("css selector", "h1").text == "搜索"
    press(browser, "t")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"
    press(browser, "g")
    press(browser, "h")
    wait(browser, "return location.pathname === '/health'")


def test_times_are_in_the_zone_of_the_browser(browser: Any, site: str) -> None:
    browser.get(f"{site}/tenants/nanhai")
    assert "Asia/Shanghai (UTC+08:00)" in browser.find_element("css selector", "footer").text
    wait(browser, "return document.querySelectorAll('.plot canvas').length >= 1")


def test_a_policy_is_written_and_its_fault_found_by_the_keyboard_alone(browser: Any, site: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    appear(browser, "en", "light", 1440)
    browser.get(f"{site}/policy")
    press(browser, "n")
    press(browser, f"Holidays{Keys.TAB}{Keys.ARROW_DOWN}{Keys.ENTER}")
    wait(browser, "return location.pathname.startsWith('/policy/drafts/') && document.querySelector('[data-faults]')")
    assert browser.find_element("css selector", "h1").text == "Holidays"
    area = browser.find_element("id", "policy-text")
    assert area.get_property("value").count("\n") == 8
    # The last line gets a key that no policy has; Tab indents it.
    ActionChains(browser).click(area).key_down(Keys.CONTROL).send_keys(Keys.END).key_up(Keys.CONTROL).perform()
    press(browser, f"patch:{Keys.ENTER}{Keys.TAB}short-cals: {{above: 0.2}}")
    # A slow keyboard has what was typed first checked, too.
    wait(browser, "return document.querySelector('#policy-check [data-line]')?.textContent.includes('`short-calls`')")
    fault = browser.find_element("css selector", "#policy-check [data-line]")
    assert (fault.get_dom_attribute("data-line"), fault.get_dom_attribute("data-column")) == ("10", "3")
    assert "did you mean `short-calls`?" in fault.text
    faulty = "return [...document.querySelectorAll('.gutter .faulty')].map(one => one.textContent.trim())"
    assert browser.execute_script(faulty) == ["10"]
    assert browser.execute_script("return arguments[0].getAttribute('aria-invalid')", area) == "true"
    assert browser.find_element("css selector", "[data-unsaved]").is_displayed()
    # Escape, then Tab leaves the editor; the fault leads back to its place.
    press(browser, Keys.ESCAPE)
    press(browser, Keys.TAB)
    assert browser.execute_script("return document.activeElement.id") != "policy-text"
    browser.execute_script("document.querySelector('#policy-check [data-line]').focus()")
    press(browser, Keys.ENTER)
    where = "const a = document.activeElement; return [a.id, a.value.slice(0, a.selectionStart).split('\\n').pop()]"
    assert browser.execute_script(where) == ["policy-text", "  "]
    # Mended: no fault, and what it changes.
    press(browser, Keys.END)
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.HOME).key_up(Keys.SHIFT).perform()
    press(browser, "  short-calls-of-few: {above: 0.9}")
    wait(browser, "return document.querySelector('#policy-check .changes')?.textContent.includes('short-calls-of-few')")
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()
    wait(
        browser,
        "return document.querySelector('[data-unsaved]').hidden && document.querySelector('#revision').value === '2'",
    )
    assert not inaccessible(browser, "draft")
    resize(browser, 1440)
    browser.refresh()
    assert "short-calls-of-few" in browser.find_element("id", "policy-text").get_property("value")
