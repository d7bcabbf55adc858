"""What each page says of its own accord: a policy that waits for the reader's approval, and one clock."""

from functools import partial
from pathlib import Path

import pytest

from helpers.console_harness import console_at
from helpers.console_pages import decided, pages_of
from oracle.ledger import T0
from schemas.outputs import Reason
from streams.console import four_eyes
from streams.console.four_eyes import LASTS_MS, ProposalKind
from streams.console.identity.users import Role, User

ADA = User("local:ada", "Ada", frozenset({Role.POLICY_OWNER}))


@pytest.mark.parametrize(
    ("subject", "role", "after_ms", "shown"),
    [
        ("local:bo", Role.POLICY_OWNER, 0, True),
        ("local:ada", Role.POLICY_OWNER, 0, False),
        ("local:bo", Role.REVIEWER, 0, False),
        ("local:bo", Role.POLICY_OWNER, LASTS_MS, False),
    ],
)
async def test_the_header_counts_the_policies_that_wait_for_the_reader(
    tmp_path: Path, subject: str, role: Role, after_ms: int, shown: bool
) -> None:
    async with console_at(tmp_path) as console:
        proposal = partial(
            four_eyes.propose, by=ADA, kind=ProposalKind.POLICY, about="x", content="{}", reason="why",
            now_ms=console.now_ms,
        )  # fmt: skip
        await console.database.run(proposal)
        console.now_ms += after_ms
        async with pages_of(console, role, subject=subject) as client:
            client.cookies.set("lang", "en")
            page = (await client.get("/queue")).text
    assert ("wait for your approval" in page) == shown


async def test_a_reason_is_in_the_zone_of_the_page(tmp_path: Path) -> None:
    text = Reason("截至 2026-03-02 02:50 UTC 的 1 小时内", "in the 1 h to 2026-03-02 02:50 UTC")
    async with console_at(tmp_path) as console, pages_of(console) as client:
        await console.put(decided(1, "acme", T0, reason=text))
        client.cookies.update({"lang": "en", "zone": "Asia/Shanghai"})
        page = (await client.get(f"/cases/{decided(1, 'acme', T0).id}")).text
    assert page.count("2026-03-02 10:50") == 2
    assert "02:50" not in page
