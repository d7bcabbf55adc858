"""A headless Chromium for the tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Nothing that asks hosts elsewhere: the tests may run without a network.
FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "disable-dev-shm-usage", "window-size=1440,1000", "lang=en-US",
)  # fmt: skip


@contextmanager
def chromium_with(profile: Path, load_strategy: str = "normal") -> Iterator[Any]:
    """The driver of a browser that keeps its data in ``profile`` and its console's messages for `get_log`.

    pip cannot install a browser, and most changes touch no page: without Chromium the test is skipped by name. CI sets
    CALLWARDEN_REQUIRE_SERVICES=1, and the test fails, because pages must not be merged unseen.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        missing = "chromium and chromedriver are not on PATH; on Debian `make tools` installs them"
        if os.environ.get("CALLWARDEN_REQUIRE_SERVICES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.page_load_strategy = load_strategy
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()
