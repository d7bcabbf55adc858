"""Bodies of forms: any text is accepted, huge and odd ones are refused before they are parsed."""

import pytest
from signed_in import csrf_of, sign_in


async def test_a_form_may_hold_any_text(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    form = {"csrf": await csrf_of(browser), "name": "报表 + 100 % & \u2028 more=", "days": "7"}
    page = await browser.post("/settings/account/tokens", data={"first": "李伟", **form})
    assert page.status_code == 422, "a line separator is not printable"
    page = await browser.post("/settings/account/tokens", data=form | {"name": "报表 + 100 % & more="})
    assert "报表 + 100 % &amp; more=" in page.text


@pytest.mark.parametrize(
    "body", [b"csrf=x&" + b"a=1&" * 2000, b"a=" + b"x" * (2 << 20), b"a=%FF%00&csrf=%F0", b"\xff=\xfe&csrf=\xfd"]
)
async def test_huge_and_odd_forms_are_refused_before_they_are_parsed(browsers, li, body: bytes) -> None:  # type: ignore[no-untyped-def]
    browser = browsers()
    await sign_in(browser)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await browser.post("/settings/account/tokens", content=body, headers=headers)
    assert answer.status_code in (403, 413)


async def test_an_endless_form_is_read_no_further_than_its_limit(browsers, li) -> None:  # type: ignore[no-untyped-def]
    browser, sent = browsers(), 0
    await sign_in(browser)

    async def endless():  # type: ignore[no-untyped-def]
        nonlocal sent
        while sent < 64 << 20:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await browser.post("/sign-out", content=endless(), headers=headers)).status_code == 413
