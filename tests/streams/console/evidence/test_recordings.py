"""The recording of a call that a finding or a complaint names: found by the call's record, linked, never another's."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import HOSTILE, NUMBER, pages_of
from oracle.ledger import T0, event, pending
from schemas import codec
from schemas.outputs import Evidence
from streams.console.evidence.masked_record import masked
from streams.console.evidence.recordings import recording_url
from streams.console.evidence.tables import EVIDENCE
from streams.settings.load import SettingsError, load

BY_RECORDING, BY_CALL = "https://rec.example/play/{recording}?x=1", "https://rec.example/calls/{call}"


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[ConsoleHarness]:
    async with console_at(tmp_path) as made:
        yield made


def call(call_id: str, recording_id: str | None, tenant_id: str = "acme") -> dict[str, Any]:
    return {
        "type": "cdr", "call_id": call_id, "tenant_id": tenant_id, "direction": "outbound", "caller": "075512345678",
        "callee": NUMBER, "start_ms": T0, "answer_ms": T0 + 1_000, "end_ms": T0 + 3_500, "outcome": "answered",
        "recording_id": recording_id,
    }  # fmt: skip


def finding(call_id: str | None, **changes: Any) -> dict[str, Any]:
    made = {
        "type": "finding", "finding_id": "f-1", "tenant_id": "acme", "behaviour": "undeclared_business",
        "status": "confirmed", "updated_ms": T0 + 60_000, "call_id": call_id, "catalogue_row": "finance.debt",
    }  # fmt: skip
    return made | changes


def complaint(call_id: str) -> dict[str, Any]:
    return {
        "type": "complaint", "complaint_id": "cmp-1", "tenant_id": "acme", "category": "abuse", "status": "verified",
        "reported_ms": T0, "updated_ms": T0, "call_id": call_id,
    }  # fmt: skip


async def keep(console: ConsoleHarness, enforcement_id: str, *records: dict[str, Any]) -> None:
    """These records as the evidence of a decision that is there."""
    rows = [
        {"enforcement_id": enforcement_id, "number": n, "tenant_id": one["tenant_id"], "topic": "t", "partition": 0,
         "offset": n, "state": "kept", "added_ms": T0, "value": msgspec.json.encode(masked(codec.convert(one)))}
        for n, one in enumerate(records)
    ]  # fmt: skip
    await console.context.write(lambda connection: connection.execute(insert(EVIDENCE), rows))


def of_finding(page: str) -> str:
    """What the finding says, without markup."""
    found = page[page.index('<section class="record">') :].split("</section>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", found)).split())


async def shown(console: ConsoleHarness, link: str | None = None, language: str = "en") -> str:
    settings = console.settings.model_copy(update={"console_recording_link": link})
    console.context = replace(console.context, settings=settings)
    async with pages_of(console) as client:
        answer = await client.get("/cases/cwe-p", headers={"accept-language": language})
    assert answer.status_code == 200
    return answer.text


async def test_a_finding_shows_the_recording_of_its_call_if_a_decision_has_the_call(console: ConsoleHarness) -> None:
    other = event("cwe-o", evidence=Evidence(call_ids=("c-1", "c-2")), rule_id="short-calls")
    await console.put(other, pending("cwe-p", evidence=Evidence(finding_ids=("f-1",))))
    await keep(console, "cwe-p", finding("c-1"))
    assert "names only the call, and no recording" in await shown(console, BY_RECORDING)
    await keep(console, "cwe-o", call("c-2", "r-2"), call("c-1", "r/1"))
    page = await shown(console)
    said = of_finding(page)
    for part in ("Call c-1", "answered", "Recording r/1", "Row of the catalogue finance.debt", "Recorded 20"):
        assert part in said, part
    assert "12345678" not in page
    linked = await shown(console, BY_RECORDING)
    assert 'href="https://rec.example/play/r%2F1?x=1" target="_blank" rel="noopener noreferrer"' in linked
    assert "r-2" not in of_finding(linked)


async def test_a_call_of_another_tenant_is_never_taken_for_it(console: ConsoleHarness) -> None:
    """Ids of calls are unique in one tenant alone."""
    other = event("cwe-o", "other", evidence=Evidence(call_ids=("c-1",)), rule_id="short-calls")
    await console.put(other, pending("cwe-p", evidence=Evidence(finding_ids=("f-1",), complaint_ids=("cmp-1",))))
    await keep(console, "cwe-o", call("c-1", "r-of-another", "other"))
    await keep(console, "cwe-p", finding("c-1"), complaint("c-1"))
    page = await shown(console, BY_RECORDING)
    assert "names only the call" in page
    assert "r-of-another" not in page


async def test_a_link_by_the_call_needs_no_recording(console: ConsoleHarness) -> None:
    await console.put(pending("cwe-p", evidence=Evidence(finding_ids=("f-1",), call_ids=("c-9",))))
    await keep(console, "cwe-p", finding("c-1"), complaint("c-3"), call("c-9", None))
    page = await shown(console, BY_CALL)
    for call_id in ("c-1", "c-3", "c-9"):
        assert f'href="https://rec.example/calls/{call_id}"' in page, call_id
    assert "rec.example" not in await shown(console, BY_RECORDING)


async def test_a_finding_without_a_call_says_so_in_both_languages(console: ConsoleHarness) -> None:
    await console.put(pending("cwe-p", evidence=Evidence(finding_ids=("f-1",))))
    texts = {"declared_business": HOSTILE, "actual_business": HOSTILE, "inspector": HOSTILE}
    await keep(console, "cwe-p", finding(None, **texts))
    page = await shown(console, BY_CALL)
    assert "The finding names no call, so there is no recording" in page
    assert "rec.example" not in page
    assert NUMBER not in page
    assert "<img src=x" not in page
    assert "质检结果没有给出通话，因此没有录音" in await shown(console, BY_CALL, "zh")


@pytest.mark.parametrize(
    ("template", "call_id", "recording_id", "url"),
    [
        (None, "c", "r", None),
        (BY_RECORDING, "c", None, None),
        (BY_CALL, None, "r", None),
        ("https://h/{call}/{recording}", "{recording}", "r", "https://h/%7Brecording%7D/r"),
        ("https://h/{call}/{recording}", "c", None, None),
        (BY_CALL, "../?#&\"'", None, "https://rec.example/calls/%2E%2E%2F%3F%23%26%22%27"),
    ],
)
def test_an_address_holds_ids_as_one_part(
    template: str | None, call_id: str | None, recording_id: str | None, url: str | None
) -> None:
    assert recording_url(template, call_id, recording_id) == url


def test_the_setting_is_a_link_to_a_recording_or_a_call() -> None:
    assert load({"console_recording_link": BY_CALL}).console_recording_link == BY_CALL
    for wrong in ("https://rec.example/", "javascript:{call}", "https://rec.example/{recordings}"):
        with pytest.raises(SettingsError, match="is not a link to a recording"):
            load({"console_recording_link": wrong})
