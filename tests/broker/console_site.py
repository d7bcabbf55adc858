"""A console's pages in a real browser, for tests: the application in a thread, and what a person does at a keyboard.

The console is on topics in memory: what its pages show does not depend on Kafka.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from helpers import axe
from helpers.patience import PATIENCE_S

Opened = Callable[[], AbstractAsyncContextManager[ASGIApp]]
"""Opens an application, and closes it."""


@dataclass(slots=True)
class _Served:
    """An application at ``address``, in a thread of its own with its own loop."""

    opened: Opened
    address: str = ""
    failed: list[BaseException] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    server: uvicorn.Server | None = None

    def run(self) -> None:
        """Serve until ``server`` is stopped."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - given to the test, whose thread can report it
            self.failed.append(error)
        finally:
            self.ready.set()

    async def _serve(self) -> None:
        async with self.opened() as app:
            self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
            serving = asyncio.create_task(self.server.serve())
            while not self.server.started and not serving.done():
                await asyncio.sleep(0.01)
            self.address = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"
            self.ready.set()
            await serving


@contextmanager
def served(opened: Opened) -> Iterator[str]:
    """The address of an application while it is served."""
    made = _Served(opened)
    thread = threading.Thread(target=made.run)
    thread.start()
    made.ready.wait(PATIENCE_S)
    assert made.address, made.failed
    try:
        yield made.address
    finally:
        assert made.server is not None
        made.server.force_exit = made.server.should_exit = True
        thread.join(30)


def appear(browser: Any, lang: str, theme: str, width: int) -> None:
    """The language, the scheme and the size of the pages that are opened from now on."""
    for name, value in (("lang", lang), ("theme", theme), ("zone", "Asia/Shanghai")):
        browser.add_cookie({"name": name, "value": value, "path": "/"})
    resize(browser, width)


def resize(browser: Any, width: int) -> None:
    """Show the page on a screen of that width: a phone's below 500."""
    device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)


def wait(browser: Any, condition: str) -> None:
    """Wait until the script ``condition`` returns something true."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, PATIENCE_S).until(lambda b: b.execute_script(condition))


def press(browser: Any, key: str) -> None:
    """Press a key wherever the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(key).perform()


# What fits on a phone, because its rows become cards, or because it was made to: nothing of it may be cut off.
_CUT = """
return [...document.querySelectorAll('.top nav, .scroll:has(> table.cards)')]
  .filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => (one.innerText || one.tagName).slice(0, 200));
"""


def inaccessible(browser: Any, name: str) -> list[str]:
    """What keeps people from the page that is shown, in both schemes, on a wide screen and on a phone."""
    found = []
    for theme in ("light", "dark"):
        browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
        for width in (1440, 390):
            resize(browser, width)
            shown = f"{name}, {theme}, {width}"
            found += [f"{shown}: {one}" for one in axe.violations(browser)]
            if browser.execute_script("return document.documentElement.scrollWidth") > width:
                found.append(f"{shown}: scrolls sideways")
            if width < 500:
                found += [f"{shown}: {one} scrolls sideways" for one in browser.execute_script(_CUT)]
    return found + [f"{name}: {entry['message']}" for entry in browser.get_log("browser")]
