"""The console on a real PostgreSQL, which cannot store U+0000: no odd value of a request is an error of the server."""

import pytest
from postgres import Postgres

from helpers.console_harness import console_at
from helpers.hostile_console import BAN, NOW, PREVIEW, address_with, browser_of, fill
from helpers.odd_values import ODD, errors_by
from streams.console.queries.cursors import encode_cursor

pytestmark = pytest.mark.services

ADDRESSES = (
    "/policy/versions/SHA?against=%00", "/policy/previews?after=1-%00", "/admin/actions?after=1-%00",
    "/admin/users?after=%00", "/search?status=%00", "/search?tier=%00", f"/search?after={encode_cursor(5, chr(0))}",
)  # fmt: skip
FORMS = (
    (f"/cases/{BAN.id}/verdicts/1/approve", {"reason": "a\0b"}),
    (f"/cases/{BAN.id}/verdicts/1/decline", {"reason": "a\0b"}),
    ("/policy/proposals/PROPOSAL/decline", {"reason": "a\0b"}),
    ("/policy/drafts", {"base": "cwd-\0"}),
    ("/policy/drafts/DRAFT", {"text": "id: b\0", "revision": "9" * 30}),
    (f"/policy/previews/{PREVIEW}/export", {"format": "\0"}),
    ("/admin/users/change", {"change": "disable", "subject": "\0"}),
    ("/admin/users/change", {"change": "roles", "subject": "\0", "role_viewer": "on"}),
)  # fmt: skip


async def test_no_value_is_an_error_of_the_server_on_postgres(postgres: Postgres) -> None:
    wrong = []
    async with console_at(postgres.database("odd-console")) as console:
        console.now_ms = NOW
        ids = await fill(console)

        async with browser_of(console) as browser:
            answers = [await browser.get(address_with(ids, address)) for address in ADDRESSES]
            answers += [await browser.post(address_with(ids, address), data=fields) for address, fields in FORMS]
            wrong += [f"{one.request.url}: {one.status_code}" for one in answers if one.status_code >= 500]
            for value in ODD:
                wrong += await errors_by(value, browser)
            # The refusals have left the database as it was.
            assert (await browser.get(f"/cases/{BAN.id}")).status_code == 200
    assert not wrong, "\n".join(wrong)
