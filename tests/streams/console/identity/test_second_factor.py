"""Codes by time are taken once each, and so are recovery codes."""

import asyncio
from functools import partial
from xml.etree import ElementTree

import pyotp
import pytest
from sqlalchemy import Connection

from helpers.console_identity import NOON_MS
from streams.console.identity import second_factor
from streams.consumers.database import Database

LI = "local:li"


def _at(secret: str, now_ms: int) -> str:
    return pyotp.TOTP(secret).generate_otp(now_ms // 30_000)


async def _enrolled(database: Database) -> tuple[str, list[str]]:
    def work(connection: Connection) -> tuple[str, list[str]]:
        secret = second_factor.enrol(connection, LI)
        codes = second_factor.confirm(connection, LI, _at(secret, NOON_MS), NOON_MS)
        assert codes is not None
        return secret, codes

    return await database.run(work)


async def _take(database: Database, code: str, now_ms: int) -> bool:
    return await database.run(partial(second_factor.take_code, subject=LI, code=code, now_ms=now_ms))


async def test_a_secret_counts_once_its_first_code_was_given(database: Database) -> None:
    secret = await database.run(partial(second_factor.enrol, subject=LI))
    wrong = await database.run(partial(second_factor.confirm, subject=LI, code="000000", now_ms=NOON_MS))
    assert wrong is None
    assert not await database.run(partial(second_factor.is_enrolled, subject=LI))
    right = partial(second_factor.confirm, subject=LI, code=_at(secret, NOON_MS), now_ms=NOON_MS)
    assert len(await database.run(right) or []) == 10
    assert await database.run(partial(second_factor.is_enrolled, subject=LI))
    assert await database.run(partial(second_factor.secret_of, subject=LI)) is None, "it is shown during enrolment only"


async def test_a_code_is_taken_once_and_no_earlier_one_after_it(database: Database) -> None:
    secret, _ = await _enrolled(database)
    later = NOON_MS + 60_000
    assert not await _take(database, _at(secret, NOON_MS), NOON_MS), "that of the enrolment"
    assert await _take(database, _at(secret, later), later)
    assert not await _take(database, _at(secret, later), later)
    assert not await _take(database, _at(secret, later - 30_000), later)
    assert await _take(database, _at(secret, later + 30_000), later), "a clock that is half a minute ahead"
    assert not await _take(database, _at(secret, later + 90_000), later)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "12 34 5", "000000\0", "-00001"])
async def test_what_is_no_code_is_wrong(database: Database, code: str) -> None:
    await _enrolled(database)
    assert not await _take(database, code, NOON_MS + 600_000)


async def test_of_many_requests_with_one_code_one_is_let_in(database: Database) -> None:
    secret, recovery = await _enrolled(database)
    later = NOON_MS + 60_000
    code = f" {_at(secret, later)[:3]} {_at(secret, later)[3:]} "  # as people type it
    assert sum(await asyncio.gather(*(_take(database, code, later) for _ in range(20)))) == 1
    uses = [partial(second_factor.take_recovery_code, subject=LI, code=recovery[3].upper()) for _ in range(20)]
    assert sum(await asyncio.gather(*map(database.run, uses))) == 1
    assert await database.run(partial(second_factor.recovery_codes_left, subject=LI)) == 9


async def test_recovery_codes_are_of_one_user_and_replaced_as_a_whole(database: Database) -> None:
    _, before = await _enrolled(database)
    assert not await database.run(partial(second_factor.take_recovery_code, subject="local:wu", code=before[0]))
    after = await database.run(partial(second_factor.new_recovery_codes, subject=LI))
    assert not await database.run(partial(second_factor.take_recovery_code, subject=LI, code=before[0]))
    assert await database.run(partial(second_factor.take_recovery_code, subject=LI, code=after[0]))
    assert len({*before, *after}) == 20


async def test_removing_it_removes_the_recovery_codes(database: Database) -> None:
    secret, recovery = await _enrolled(database)
    await database.run(partial(second_factor.remove, subject=LI))
    assert not await database.run(partial(second_factor.is_enrolled, subject=LI))
    assert not await _take(database, _at(secret, NOON_MS + 60_000), NOON_MS + 60_000)
    assert not await database.run(partial(second_factor.take_recovery_code, subject=LI, code=recovery[0]))


def test_the_qr_code_holds_the_address_and_no_style() -> None:
    address = second_factor.address_of("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "li")
    assert address == "otpauth://totp/Callwarden:li?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Callwarden"
    drawn = second_factor.qr_code(address)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "style=" not in drawn
    assert "<script" not in drawn
