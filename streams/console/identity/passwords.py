"""Passwords: what is accepted as one, and argon2id off the event loop, a bounded number at a time."""

import asyncio
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

SHORTEST: Final = 12
LONGEST: Final = 256
_AT_ONCE: Final = 2
_WAITING: Final = 32
_DISTINCT: Final = 5
_BESIDE_THE_NAME: Final = 8
_INITIAL_WORDS: Final = 5
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
# The stems of the passwords that lists of stolen ones are full of. With digits around them they are still these.
_COMMON: Final = frozenset(
    {
        "abc", "abcd", "abcdef", "abcdefgh", "admin", "adminadmin", "administrator", "asdfghjkl",
        "asdfghjklzxcvbnm", "baseball", "batman", "callcenter", "callcentre", "callwarden", "changeit", "changeme",
        "console", "default", "dragon", "football", "iloveyou", "letmein", "master", "mima", "monkey", "p@ssw0rd",
        "p@ssword", "passw0rd", "password", "passwordpassword", "passwort", "princess", "qazwsx", "qazwsxedc",
        "qwerty", "qwertyuiop", "qwertyuiopasdfghjkl", "secret", "sunshine", "superman", "test", "testtest",
        "welcome", "welcomewelcome", "whatever", "woaini", "zxcvbnm",
    }
)  # fmt: skip
_AROUND: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")


T = TypeVar("T")


class Busy(Exception):
    """Too many passwords wait to be checked; a moment later there is room."""


def fault(password: str, name: str) -> str | None:
    """Why this is refused as the password of the account ``name``, as the end of a text's key; None if it is accepted.

    NIST SP 800-63B: a length, no rules of composition, no password that everybody tries first.
    """
    if len(password) < SHORTEST:
        return "short"
    if len(password) > LONGEST:
        return "long"
    folded = password.casefold()
    if len(set(folded)) < _DISTINCT or _is_run(folded):
        return "common"
    if _AROUND.sub("", folded) in _COMMON or not _AROUND.sub("", folded):
        return "common"
    if name and name.casefold() in folded and len(folded) - len(name) < _BESIDE_THE_NAME:
        return "name"
    return None


def initial_password() -> str:
    """A random password to hand over once: 120 bits, in groups that can be read aloud."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_INITIAL_WORDS)) for _ in range(_INITIAL_WORDS))


def _is_run(text: str) -> bool:
    """Whether each character follows the one before it, as in `abcdefgh...` and `98765...`."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return len(steps) == 1


class PasswordChecks:
    """Hashes and checks passwords in threads of its own.

    argon2id takes 64 MiB and a tenth of a second on purpose. So at most ``at_once`` are computed at a time, and at
    most ``waiting`` wait: a flood of sign-ins costs no more memory than this, and no page waits for it.
    """

    def __init__(self, hasher: PasswordHasher | None = None, at_once: int = _AT_ONCE, waiting: int = _WAITING) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(at_once, "console-passwords")
        self._places = threading.BoundedSemaphore(at_once + waiting)
        # What unknown names are checked against: the answer then takes as long as for a known one.
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Busy."""
        return await self._run(lambda: self._hasher.hash(normalized(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of ``stored``; with None it takes as long, and is not. Raises Busy."""
        found = await self._run(lambda: self._verified(stored or self._nobodys, normalized(password[:LONGEST])))
        return found and stored is not None and len(password) <= LONGEST

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's, and is to be made again."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _verified(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        # Released when the thread ends, not when the caller stops to wait: a client that hangs up frees no thread.
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            doing = self._threads.submit(work)
        except BaseException:
            self._places.release()
            raise
        doing.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(doing)


def normalized(password: str) -> bytes:
    """What is hashed: one character that a keyboard can write in two ways is one character."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
