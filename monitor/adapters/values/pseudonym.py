"""Keyed pseudonyms: equal values give equal names, and the values cannot be derived without the key."""

import hmac
import os
from collections.abc import Iterable, Mapping
from typing import Final

# Public, so that a demonstration gives the same bytes on any machine. It hides nothing.
PUBLIC_KEY: Final = b"callwarden public demonstration key"
VARIABLE: Final = "CALLWARDEN_PSEUDONYM_KEY"
_BETWEEN: Final = "\x1f"


def key_from(environ: Mapping[str, str] = os.environ) -> bytes:
    """The key in the environment variable ``CALLWARDEN_PSEUDONYM_KEY``, else the public one."""
    return environ.get(VARIABLE, "").encode() or PUBLIC_KEY


def pseudonym(parts: Iterable[str], key: bytes) -> str:
    """32 hexadecimal digits: the first half of HMAC-SHA-256 over the parts, separated by U+001F."""
    return hmac.digest(key, _BETWEEN.join(parts).encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
