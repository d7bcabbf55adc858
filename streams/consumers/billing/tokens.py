"""Authentication: the accepted bearer tokens, several during a rotation."""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

from streams.kafka.api import PermanentError
from streams.settings.load import Settings, variable

log = structlog.get_logger("callwarden")

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")  # RFC 6750's token syntax, with a minimum length


class Tokens:
    """The tokens of a setting and of a file, one a line, which is reloaded whenever it changes."""

    def __init__(self, given: Iterable[str], file: Path | None = None) -> None:
        """Raises PermanentError if a token is malformed, or if there is none."""
        self._given = frozenset(_digest(_checked(token, variable("billing_token"))) for token in given)
        self._file, self._seen = file, b"" if file is None else _state(file)
        self._of_file = frozenset() if file is None else _read(file)
        if not self._given | self._of_file:
            raise PermanentError(
                f"no token is set; expected {variable('billing_token_file')}, a file with one token per line, or "
                f"{variable('billing_token')}, or, on a loopback address, {variable('billing_auth')}=none, which lets "
                "anyone query"
            )

    def is_accepted(self, token: str) -> bool:
        """Whether the token is accepted. Compares in constant time, whichever token it is."""
        self._look()
        digest, found = _digest(token), False
        for each in self._given | self._of_file:
            found |= hmac.compare_digest(digest, each)
        return found

    def _look(self) -> None:
        if self._file is None or (state := _state(self._file)) == self._seen:
            return
        self._seen = state
        try:
            self._of_file = _read(self._file)
        except PermanentError as error:
            log.error("the token file cannot be read, the old tokens stay valid", why=str(error))
        else:
            log.info("tokens reloaded", tokens=len(self._of_file))


def of(settings: Settings) -> Tokens | None:
    """The tokens of the settings; None if authentication is off. Raises PermanentError."""
    if settings.billing_auth == "none":
        return None
    secret = settings.billing_token
    return Tokens(secret.get_secret_value().split(",") if secret else (), settings.billing_token_file)


def _read(file: Path) -> frozenset[bytes]:
    try:
        lines = file.read_text("ascii").splitlines()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise PermanentError(f"{variable('billing_token_file')}: {file} cannot be read: {why}") from None
    tokens = [_digest(_checked(line, f"{file}:{at}:1")) for at, line in enumerate(lines, 1) if line.strip()]
    if not tokens:
        raise PermanentError(f"{file}: it contains no token; expected one per line")
    return frozenset(tokens)


def _checked(token: str, where: str) -> str:
    if not _TOKEN.fullmatch(token.strip()):
        raise PermanentError(
            f"{where}: not a token; expected 16 to 512 letters, digits and `._~+/-`, as `openssl rand -hex 32` prints"
        )
    return token.strip()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _state(file: Path) -> bytes:
    try:
        found = os.stat(file)
    except OSError as error:
        return repr(error.errno).encode()
    return repr((found.st_ino, found.st_size, found.st_mtime_ns)).encode()
