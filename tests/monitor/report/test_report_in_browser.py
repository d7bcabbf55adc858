"""The page in a real browser: it draws, filters, speaks both languages, and nothing in a record runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from helpers import axe
from helpers.chromium import chromium_with
from helpers.patience import PATIENCE_S
from monitor.report.page import make
from monitor.text.masking import mask_text

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium_with(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


def open_page(browser: Any, directory: Path) -> None:
    """Open the page of ``directory`` and wait until its charts are drawn."""
    browser.get(make(directory, directory / "report.html").as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    wait(browser, "return document.querySelector('#plots')?.dataset.drawn")


def wait(browser: Any, condition: str) -> None:
    """Wait until the script ``condition`` returns something true."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, PATIENCE_S).until(lambda b: b.execute_script(condition))


def errors(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def shown(browser: Any, selector: str) -> list[str]:
    """The texts of the visible elements."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter(e => e.checkVisibility()).map(e => e.innerText.trim())",
        selector,
    )
    return found


def choose(browser: Any, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("name", name)).select_by_value(value)


def test_the_page_opens_without_an_error_and_draws_each_rule(browser: Any, tmp_path: Path) -> None:
    open_page(browser, samples.lifelike(tmp_path))
    assert errors(browser) == []
    assert len(browser.find_elements("css selector", "#plots .canvas .main-svg")) >= len(samples.RULES)
    # value, threshold and bound of the three proportions, value and threshold of the count, marks at decisions
    lines = "return document.querySelectorAll('#plots .scatterlayer .trace .lines path').length"
    assert browser.execute_script(lines) >= 3 * 3 + 2
    assert browser.execute_script("return document.querySelectorAll('#plots .plot.beyond').length") == 1
    first = browser.execute_script("return document.querySelector('#plots').dataset.drawn")
    link = browser.find_element("css selector", "[data-chart='tenant-001']")
    browser.execute_script("arguments[0].click()", link)
    assert first != browser.execute_script("return document.querySelector('#plots').dataset.drawn") == "tenant-001"
    assert errors(browser) == []


def test_the_filter_narrows_the_decisions_and_says_how_far(browser: Any, tmp_path: Path) -> None:
    open_page(browser, samples.lifelike(tmp_path))
    rows = "#decision-table tbody tr"
    assert len(shown(browser, rows)) == 14
    choose(browser, "tier", "severe")
    assert len(shown(browser, rows)) == 1
    assert shown(browser, "#shown") == ["1 / 14"]
    choose(browser, "status", "pending_review")
    assert shown(browser, rows) == []
    assert shown(browser, "#none") == ["No decision matches."]
    browser.execute_script("document.querySelector('#filter button[type=reset]').click()")
    browser.find_element("name", "text").send_keys("COMPLAINT-12")
    assert len(shown(browser, rows)) == 2
    browser.execute_script("document.querySelector(\"[data-filter='dialler-blind']\").click()")
    assert len(shown(browser, rows)) == 4
    # A link to a hidden decision shows it again.
    browser.execute_script("document.querySelector('.mark.tier-severe[href]').click()")
    assert len(shown(browser, rows)) == 14
    assert errors(browser) == []


def test_the_search_finds_decisions_and_tenants_that_are_no_rows(browser: Any, tmp_path: Path) -> None:
    events = [samples.decision(n, f"tenant-{n:04}", "minor", samples.START + n * 1000) for n in range(1_500)]
    samples.write(tmp_path, events)
    browser.get(make(tmp_path, tmp_path / "report.html").as_uri())
    wait(browser, "return 'complete' in document.documentElement.dataset")
    rows = "#decision-table tbody tr"
    assert 100 < len(shown(browser, rows)) < 1_000
    assert shown(browser, "#shown") == ["1,500 / 1,500"]
    search = browser.find_element("name", "text")
    search.send_keys("tenant-0000")
    assert len(shown(browser, rows)) == 1
    assert "lasted at most 6 s" in shown(browser, rows)[0]
    search.clear()
    search.send_keys("tenant-0")
    assert shown(browser, "#shown") == ["1,000 / 1,500"]
    before = len(shown(browser, rows))
    browser.execute_script("document.querySelector('#decision-more button').click()")
    assert len(shown(browser, rows)) == before + 100
    tenants = "#tenant-table tbody tr"
    assert len(shown(browser, tenants)) == 25
    assert shown(browser, "#tenants-shown") == ["1–25 / 1,500"]
    browser.execute_script("document.querySelector('#tenant-pages [data-step=\"1\"]').click()")
    assert shown(browser, "#tenants-shown") == ["26–50 / 1,500"]
    browser.find_element("name", "named").send_keys("TENANT-1499")
    assert shown(browser, tenants)[0].startswith("tenant-1499")
    browser.execute_script('document.querySelector("#tenant-table tr:not([hidden]) [data-filter]").click()')
    assert shown(browser, "#shown") == ["1 / 1,500"]
    assert errors(browser) == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_no_violation(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    """In both languages; plotly draws its charts itself, as pictures."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": scheme}]})  # fmt: skip
    device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    try:
        open_page(browser, samples.lifelike(tmp_path))
        for _ in range(2):
            assert axe.violations(browser, exclude=["#plots .canvas"]) == []
            browser.find_element("id", "language").click()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_language_toggle_changes_every_text_and_is_remembered(browser: Any, tmp_path: Path) -> None:
    open_page(browser, samples.lifelike(tmp_path))
    assert shown(browser, "h1") == ["Replay report"]
    assert not re.search("[\u4e00-\u9fff]", "".join(shown(browser, "main")))
    browser.find_element("id", "language").click()
    assert shown(browser, "h1") == ["回放报告"]
    assert shown(browser, "#plots h3")[0].startswith("短呼占比")
    assert browser.find_element("name", "text").get_attribute("placeholder").startswith("搜索")
    assert "answered calls in 24 h" not in "".join(shown(browser, "main"))
    browser.refresh()
    assert shown(browser, "h1") == ["回放报告"]
    assert browser.execute_script("return document.documentElement.lang") == "zh-CN"
    assert errors(browser) == []


def test_nothing_in_a_record_runs_or_shows_a_number(browser: Any, tmp_path: Path) -> None:
    open_page(browser, samples.hostile(tmp_path))
    assert browser.execute_script("return window.hacked") is None
    assert errors(browser) == []
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    for text in shown(browser, "td, dd, summary, option, .plot, .axis, bdi"):
        for line in text.splitlines():
            assert mask_text(line) == line or re.fullmatch("(cwe-)?[0-9a-f]{24,64}", line.strip())
    assert browser.execute_script("return document.scripts.length") == 4
    # The second protection: even an injected script would not run.
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s)"
    )
    assert browser.execute_script("return window.hacked") is None
    assert any("Content Security Policy" in message for message in errors(browser))


def test_the_page_never_scrolls_sideways_and_is_readable_on_paper(browser: Any, tmp_path: Path) -> None:
    open_page(browser, samples.hostile(tmp_path))
    sideways = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for width in (1440, 480):
        browser.set_window_size(width, 1000)
        assert browser.execute_script(sideways) <= 0
    browser.set_window_size(1440, 1000)
    assert len(browser.print_page()) > 20_000


def test_a_time_line_is_as_wide_as_a_phone(browser: Any, tmp_path: Path) -> None:
    device = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    try:
        open_page(browser, samples.lifelike(tmp_path))
        shown = "[...document.querySelectorAll('.strip')].filter(one => one.checkVisibility())"
        widths = browser.execute_script(f"return {shown}.map(one => one.clientWidth)")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert widths
    assert min(widths) > 250


def test_dark_is_dark_and_charts_follow(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    open_page(browser, samples.lifelike(tmp_path))
    colours = (
        "const line = document.querySelector('#plots .scatterlayer .lines path');"
        "return [getComputedStyle(document.body).backgroundColor, getComputedStyle(line).stroke]"
    )
    wanted = {
        "light": ["rgb(246, 247, 249)", "rgb(29, 88, 196)"],
        "dark": ["rgb(14, 19, 26)", "rgb(138, 180, 255)"],
    }
    for scheme, seen in wanted.items():
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        WebDriverWait(browser, PATIENCE_S).until(lambda b, seen=seen: b.execute_script(colours) == seen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
