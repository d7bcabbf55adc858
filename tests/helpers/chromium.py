"""A headless Chromium for the tests of pages."""

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

    Skips the test if Chromium is absent.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        # pip cannot install a browser, and most changes touch no page. Where services are required, `tests/conftest.py`
        # makes this skip a failure, so that no page is merged untried.
        pytest.skip("chromium and chromedriver are not on PATH; on Debian `make tools` installs them")
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
