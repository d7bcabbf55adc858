"""An API token reads the API and opens no page."""

from functools import partial

from signed_in import csrf_of, sign_in

from helpers.console_identity import NOON_MS
from streams.console.identity import api_tokens
from streams.consumers.database import Database


async def test_an_api_token_reads_the_api_and_nothing_else(browsers, li, database: Database) -> None:  # type: ignore[no-untyped-def]
    browser, program = browsers(), browsers("192.0.2.2")
    await sign_in(browser)
    form = {"csrf": await csrf_of(browser), "name": "<b>reports</b>", "days": "30"}
    page = (await browser.post("/settings/account/tokens", data=form)).text
    token = page.split('<code class="mono secret">')[1].split("<")[0]
    assert token.startswith("cwt_")
    assert "<b>reports" not in page
    headers = {"authorization": f"Bearer {token}"}
    assert (await program.get("/settings/account", headers=headers)).status_code == 303
    assert (await program.get("/queue", headers=headers)).status_code == 303
    user = partial(api_tokens.user_of, now_ms=NOON_MS)
    assert (await database.run(partial(user, token=token))) is not None
    assert (await database.run(partial(user, token=token + "x"))) is None
    assert (await browser.post("/settings/account/tokens", data=form | {"days": "36500"})).status_code == 422
