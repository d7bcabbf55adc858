"""Which passwords are accepted, and how they are checked."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from helpers.patience import PATIENCE_S
from streams.console.identity.passwords import (
    LONGEST,
    SHORTEST,
    Busy,
    PasswordChecks,
    fault,
    initial_password,
)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("correct horse battery", None),
        ("no composition rules at all", None),
        ("全部都是中文的密码也可以啊对吧", None),
        ("x" * 11, "short"),
        ("elevenchars", "short"),
        ("ab" * 200, "long"),
        ("aaaaaaaaaaaaaaaa", "common"),
        ("abababababababab", "common"),
        ("abcdefghijklmnop", "common"),
        ("987654321098", "common"),
        ("password123456", "common"),
        ("!!Password2026!!", "common"),
        ("123456789012345", "common"),
        ("callwarden2026", "common"),
        ("li.wei-2026!", "name"),
        ("li.wei walks to the station", None),
    ],
)
def test_a_new_password(password: str, expected: str | None) -> None:
    assert fault(password, "li.wei") == expected


def test_limits() -> None:
    assert fault("q" + "zxwvutsrpon"[: SHORTEST - 1], "") is None
    assert fault(("abcdefghk" * 40)[:LONGEST], "") is None
    assert fault(("abcdefghk" * 40)[: LONGEST + 1], "") == "long"


def test_initial_passwords_are_accepted_and_differ() -> None:
    made = {initial_password() for _ in range(100)}
    assert len(made) == 100
    assert all(fault(each, "li") is None for each in made)


async def test_a_password_is_recognised_however_its_characters_are_composed(passwords: PasswordChecks) -> None:
    stored = await passwords.hash("cafe\u0301 au lait, bitte")
    assert await passwords.verify(stored, "café au lait, bitte")
    assert not await passwords.verify(stored, "cafe au lait, bitte")


async def test_nobodys_password_and_odd_ones_are_wrong_without_an_error(passwords: PasswordChecks) -> None:
    assert not await passwords.verify(None, "correct horse battery")
    stored = await passwords.hash("correct horse battery")
    assert not await passwords.verify(stored, "\ud800" * 20)
    assert not await passwords.verify(stored, "\0" * 20)
    assert not await passwords.verify("not a hash", "correct horse battery")
    longest = "a1b2c3d4" * (LONGEST // 8)
    stored = await passwords.hash(longest)
    assert await passwords.verify(stored, longest)
    assert not await passwords.verify(stored, longest + "x")


async def test_a_hash_with_other_parameters_is_outdated(passwords: PasswordChecks) -> None:
    assert not passwords.is_outdated(await passwords.hash("correct horse battery"))
    assert passwords.is_outdated(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash("x"))


class _Held(PasswordHasher):
    """Takes as long as the test says, and counts how many are computed at a time."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go, self.lock, self.now, self.most = threading.Event(), threading.Lock(), 0, 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(PATIENCE_S)
        with self.lock:
            self.now -= 1
        return True


async def test_a_flood_is_refused_beyond_a_number_and_the_rest_runs_two_at_a_time() -> None:
    hasher = _Held()
    checks = PasswordChecks(hasher, at_once=2, waiting=3)
    try:
        tasks = [asyncio.create_task(checks.verify("$x", "y")) for _ in range(20)]
        await asyncio.sleep(0)
        refused = [each for each in tasks if each.done() and isinstance(each.exception(), Busy)]
        assert len(refused) == 15
        # A client that hangs up does not make room: its thread still runs.
        next(each for each in tasks if not each.done()).cancel()
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await checks.verify("$x", "y")
        hasher.go.set()
        await asyncio.wait([each for each in tasks if not each.done()])
        assert hasher.most == 2
        assert await checks.verify("$x", "y")
    finally:
        hasher.go.set()
        checks.close()
