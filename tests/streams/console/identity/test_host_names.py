"""Which host names the console answers."""

import pytest
from signed_in import sign_in

from streams.console.identity.site import Site


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:6071", "", "127.0.0.1:6071@evil", "[::2]", "0.0.0.0"],
)
async def test_other_host_names_are_not_answered(browsers, li, host: str) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    for path in ("/", "/sign-in", "/queue", "/v1/x", "/static/x"):
        answer = await browser.get(path, headers={"host": host})
        assert answer.status_code == 400, path
    await sign_in(browser)
    assert (await browser.get("/settings/account", headers={"host": host})).status_code == 400


def test_which_hosts_are_answered() -> None:
    site = Site("https://Console.Example")
    assert [site.answers(each) for each in ("console.example", "CONSOLE.example:443", "console.example:80")] == [
        1,
        1,
        0,
    ]
    assert site.origin == "https://console.example"
    ported = Site("https://console.example:8443")
    assert [ported.answers(each) for each in ("console.example:8443", "console.example")] == [True, False]
    assert ported.origin == "https://console.example:8443"
    local = Site(None)
    assert all(
        local.answers(each) for each in ("localhost", "127.0.0.1:6071", "[::1]:6071", "LOCALHOST:1", "127.9.9.9")
    )
    assert Site("http://[::1]:6071").answers("[::1]:6071")
