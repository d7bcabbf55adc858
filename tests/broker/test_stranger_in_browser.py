"""A stranger in a real browser, on the demo's console: finds, reads and overturns a wrong ban; another one looks on.

The stranger knows nothing but the texts that the pages show, and has no documentation. The test of time is the number
of steps, not seconds: nobody needs two minutes for so few.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from console_site import appear, wait
from worker_processes import MAIN, wait_for

from helpers.chromium import chromium_with
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

pytestmark = pytest.mark.services

MOST_STEPS = 6


class Stranger:
    """A browser, used by what it shows alone. ``steps`` counts what the person does."""

    def __init__(self, browser: Any) -> None:
        self.browser, self.steps = browser, 0

    @property
    def text(self) -> str:
        """What the page shows."""
        shown = self.browser.execute_script("return document.body.innerText")
        return str(shown)

    @property
    def counts(self) -> dict[str, str]:
        """The tabs above the queue with their numbers."""
        tabs = self.browser.execute_script("return [...document.querySelectorAll('#tabs a')].map(one => one.innerText)")
        return dict(tab.rsplit(maxsplit=1) for tab in tabs)

    def click(self, kind: str, text: str) -> None:
        """Click the first shown element of that kind with exactly this text, and wait for the page that follows."""
        self.steps += 1
        found = [
            one
            for one in self.browser.find_elements("css selector", kind)
            if one.is_displayed() and one.text.strip() == text
        ]
        assert found, f"no {kind} {text!r} in: {self.text}"
        self.browser.execute_script("document.body.dataset.left = 'no'")
        found[0].click()
        wait(self.browser, "return !document.body?.dataset.left && document.readyState !== 'loading'")

    def choose(self, select: str, text: str) -> None:
        """Choose an option of the list that shows ``select``."""
        from selenium.webdriver.support.ui import Select

        self.steps += 1
        [one] = [
            one
            for one in map(Select, self.browser.find_elements("css selector", "select"))
            if one.first_selected_option.text == select
        ]
        self.browser.execute_script("document.body.dataset.left = 'no'")
        one.select_by_visible_text(text)
        wait(self.browser, "return !document.body?.dataset.left && document.readyState !== 'loading'")

    def write(self, label: str, text: str) -> None:
        """Write into the field with that label."""
        self.steps += 1
        [named] = [one for one in self.browser.find_elements("css selector", "label") if one.text == label]
        self.browser.find_element("id", named.get_dom_attribute("for")).send_keys(text)


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`callwarden demo`, as `make demo` runs it at a terminal: the link of each user."""
    folder = tmp_path_factory.mktemp("demo")
    log, [port] = folder / "log", free_ports(1)
    command = [sys.executable, "-c", MAIN, "demo", "--out", str(folder / "out"), "--console"]
    environment = {**os.environ, "CALLWARDEN_CONSOLE_PORT": str(port)}
    with log.open("wb") as output:
        demo = ChildProcess(command, output, environment)
        try:
            found: dict[str, str] = {}

            def offered() -> bool:
                assert demo.running, log.read_text()
                found.update(re.findall(r"^ +(demo\S*): (http\S+)$", log.read_text(), re.MULTILINE))
                return len(found) == 2

            wait_for(offered, "the links of both users")
            yield found
        finally:
            demo.stop(30)


def strangers(stack: ExitStack, folder: Path, links: dict[str, str]) -> list[Stranger]:
    """One who opened each link, on the page to which it leads."""
    made = []
    for name, link in sorted(links.items()):
        chrome = stack.enter_context(chromium_with(folder / name, load_strategy="eager"))
        chrome.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Shanghai"})
        chrome.get(link)
        appear(chrome, "en", "light", 1440)
        chrome.refresh()
        made.append(Stranger(chrome))
    return made


def test_a_wrong_ban_is_found_read_and_overturned_while_another_looks_on(links: dict[str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, other = strangers(stack, tmp_path, links)
        assert one.text.count("Ban") == 2
        waiting = int(other.counts["Waiting"])
        queue = other.browser.current_url
        # Finds it.
        one.choose("All tiers", "Severe")
        rows = one.browser.find_elements("css selector", "tbody tr")
        assert [row.text.count("Ban") for row in rows] == [1, 1]
        one.click("td a", rows[0].find_element("css selector", "a").text)
        case = one.browser.current_url
        # Reads it: why, on what evidence, and what each verdict does.
        for text in (
            "前台接待外包",
            "某贷款公司的前台总机接听",
            "Evidence",
            "Refunds released",
            "An overturn is final.",
        ):
            assert text in one.text, text
        # Claims it: the other person cannot decide it, and sees by whom it is claimed.
        one.click("button", "Claim")
        other.browser.get(case)
        assert "demo works on this case; you cannot decide it now." in other.text
        assert not [each for each in other.browser.find_elements("css selector", "button") if each.text == "Overturn"]
        other.browser.get(queue)
        assert "claimed by demo" in other.text
        # Overturns it: the next case opens, and the verdict can still be cancelled.
        one.write("Reason", "A reception desk lends nothing.")
        one.click("button", "Overturn")
        assert one.steps <= MOST_STEPS
        assert one.browser.current_url != case
        assert "Your verdict, overturn, is recorded:" in one.text
        assert "Cancel the verdict" in one.text
        # Once it is sent, the page offers that no more, without a reload.
        following = one.browser.current_url
        wait(one.browser, "return !document.body.innerText.includes('Cancel the verdict')")
        assert one.browser.current_url == following
        assert one.text.count("Overturn") >= 1, "the next case is still there"
        # The counts of the other person's page change without a reload, once the verdict is sent and decided.
        wait(
            other.browser,
            "return [...document.querySelectorAll('#tabs a')]"
            f".some(one => one.innerText.replace(/\\s+/g, ' ') === 'Waiting {waiting - 1}')",
        )
        assert other.browser.current_url == queue

        def reversed_now() -> bool:
            one.browser.get(case)
            return "The decision was reversed." in one.text

        wait_for(reversed_now, "the reversal of the ban")
        # A search for the tenant shows the decision and that it was overturned.
        one.click("a", "Search")
        one.browser.find_element("name", "q").send_keys("t0056")
        one.click("button", "Search")
        [row] = [
            row.text for row in one.browser.find_elements("css selector", "tbody tr") if "前台接待外包" in row.text
        ]
        assert "Reversed" in row
