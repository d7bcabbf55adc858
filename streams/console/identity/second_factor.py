"""The second factor: codes by time (TOTP, RFC 6238), each taken once, and recovery codes."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

import pyotp
import segno
from sqlalchemy import Connection, delete, insert, select, update

from streams.console.identity.tables import RECOVERY_CODES, SECOND_FACTORS

ISSUER: Final = "Callwarden"
_STEP_S: Final = 30
_STEPS_AROUND: Final = 1
_RECOVERY_CODES: Final = 10
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_DIGITS: Final = 6


def enrol(connection: Connection, subject: str) -> str:
    """Give the user a new secret that counts once a first code was given; returns it. An older one is replaced."""
    secret = pyotp.random_base32()
    connection.execute(delete(SECOND_FACTORS).where(SECOND_FACTORS.c.subject == subject))
    connection.execute(insert(SECOND_FACTORS).values(subject=subject, secret=secret, confirmed_ms=None, last_step=-1))
    return secret


def secret_of(connection: Connection, subject: str) -> str | None:
    """The secret that the user is enrolling, not confirmed yet; None if there is none."""
    query = select(SECOND_FACTORS.c.secret).where(
        SECOND_FACTORS.c.subject == subject, SECOND_FACTORS.c.confirmed_ms.is_(None)
    )
    return connection.execute(query).scalar_one_or_none()


def is_enrolled(connection: Connection, subject: str) -> bool:
    """Whether a sign-in of the user needs a code."""
    query = select(SECOND_FACTORS.c.subject).where(
        SECOND_FACTORS.c.subject == subject, SECOND_FACTORS.c.confirmed_ms.is_not(None)
    )
    return connection.execute(query).first() is not None


def confirm(connection: Connection, subject: str, code: str, now_ms: int) -> list[str] | None:
    """Make the secret count if the code is right, and return recovery codes, to be shown once; None if it is wrong."""
    if secret_of(connection, subject) is None or not take_code(connection, subject, code, now_ms):
        return None
    connection.execute(update(SECOND_FACTORS).where(SECOND_FACTORS.c.subject == subject).values(confirmed_ms=now_ms))
    return new_recovery_codes(connection, subject)


def remove(connection: Connection, subject: str) -> None:
    """Remove the second factor and the recovery codes."""
    connection.execute(delete(SECOND_FACTORS).where(SECOND_FACTORS.c.subject == subject))
    connection.execute(delete(RECOVERY_CODES).where(RECOVERY_CODES.c.subject == subject))


def take_code(connection: Connection, subject: str, code: str, now_ms: int) -> bool:
    """Whether the code is right now, and later than every one taken before; it is then taken.

    One statement moves the time step, so that of two requests with the same code one is refused.
    """
    code = "".join(code.split())
    row = connection.execute(select(SECOND_FACTORS).where(SECOND_FACTORS.c.subject == subject)).one_or_none()
    if row is None or len(code) != _DIGITS or not (code.isascii() and code.isdigit()):
        return False
    totp, now = pyotp.TOTP(row.secret), now_ms // 1000 // _STEP_S
    matched = [
        step
        for step in range(now - _STEPS_AROUND, now + _STEPS_AROUND + 1)
        # Each is compared, and in constant time.
        if pyotp.utils.strings_equal(code, totp.generate_otp(step))
    ]
    for step in matched:
        moved = update(SECOND_FACTORS).where(
            SECOND_FACTORS.c.subject == subject,
            SECOND_FACTORS.c.secret == row.secret,
            SECOND_FACTORS.c.last_step < step,
        )
        if connection.execute(moved.values(last_step=step)).rowcount == 1:
            return True
    return False


def new_recovery_codes(connection: Connection, subject: str) -> list[str]:
    """Ten codes of 50 bits, each usable once in place of a code; earlier ones end."""
    codes = [
        "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(2)) for _ in range(_RECOVERY_CODES)
    ]
    connection.execute(delete(RECOVERY_CODES).where(RECOVERY_CODES.c.subject == subject))
    connection.execute(insert(RECOVERY_CODES), [{"subject": subject, "hash": _hash(subject, code)} for code in codes])
    return codes


def take_recovery_code(connection: Connection, subject: str, code: str) -> bool:
    """Whether this is a recovery code of the user; it is then used up."""
    found = delete(RECOVERY_CODES).where(
        RECOVERY_CODES.c.subject == subject, RECOVERY_CODES.c.hash == _hash(subject, code)
    )
    return connection.execute(found).rowcount == 1


def recovery_codes_left(connection: Connection, subject: str) -> int:
    """How many recovery codes are left."""
    return len(_hashes(connection, subject))


def address_of(secret: str, name: str) -> str:
    """The `otpauth://` address that an authenticator reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def qr_code(text: str) -> str:
    """A QR code as an SVG element, without inline style."""
    return segno.make(text, error="m").svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=False)


def _hash(subject: str, code: str) -> str:
    # 50 random bits behind a throttle need no slow hash.
    folded = "".join(each for each in code.casefold() if each.isalnum())
    return hashlib.sha256(f"{subject}\n{folded}".encode("utf-8", "surrogatepass")).hexdigest()


def _hashes(connection: Connection, subject: str) -> Sequence[str]:
    return connection.execute(select(RECOVERY_CODES.c.hash).where(RECOVERY_CODES.c.subject == subject)).scalars().all()
