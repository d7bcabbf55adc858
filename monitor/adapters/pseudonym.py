"""Keyed pseudonyms: the same values give the same name, and without the key nobody gets from it to the values."""

import hmac
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

# Known to everybody, so that a demonstration gives the same bytes on any machine. It hides nothing.
PUBLIC_KEY: Final = b"callwarden public demonstration key"
VARIABLE: Final = "CALLWARDEN_PSEUDONYM_KEY"
_BETWEEN: Final = "\x1f"


def key_from(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> bytes:
    """The key: the file's content (surrounding white space cut off), else the environment's, else the public one.

    Raises OSError for a file that cannot be read and ValueError for one that is empty.
    """
    if path is not None:
        key = path.read_bytes().strip()
        if not key:
            raise ValueError(f"{path} is empty; a key of 32 random characters is right")
        return key
    return environ.get(VARIABLE, "").encode() or PUBLIC_KEY


def pseudonym(parts: Iterable[str], key: bytes) -> str:
    """32 hexadecimal digits: the first half of HMAC-SHA-256 over the parts, kept apart by U+001F."""
    return hmac.digest(key, _BETWEEN.join(parts).encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
