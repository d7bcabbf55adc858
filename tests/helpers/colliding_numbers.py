"""Numbers and ids that a tenant chooses to make keys collide, from public knowledge: its id and the public salt."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from monitor.core.calls.key_placement import SECRET_BYTES
from monitor.core.calls.keys import number_keys, salt_of, text_keys

KNOWN_SECRET = bytes(range(SECRET_BYTES))
"""A placement secret that is publicly known."""

COLLIDING_IDS = ("00060a180@00AAAA12345678", "000739ffvlspAAAA12345678")
"""Two ids with one hash without a salt. Their first words lead to states that agree in the high 32 bits, their second
words differ by the rest; whatever follows, they collide. Half a second of search finds such words."""

_MASK = 2**64 - 1
_DIGITS = 19  # 64 bits hold no more; a callee may have 64 characters
_B, _C = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def unmix(x: int) -> int:
    """The inverse of `monitor.core.calls.keys.mix`."""
    x = _unshift(x, 31) * pow(_C, -1, 2**64) & _MASK
    x = _unshift(x, 27) * pow(_B, -1, 2**64) & _MASK
    return _unshift(x, 30)


def _unshift(x: int, by: int) -> int:
    found = x
    for _ in range(64 // by):
        found = x ^ (found >> by)
    return found


def unplace(x: int, secret: bytes) -> int:
    """The key from whose high bits `monitor.core.calls.key_placement.Placement` gets ``x``."""
    first, second, third = (int.from_bytes(secret[at : at + 8], "little") | 1 for at in range(0, SECRET_BYTES, 8))
    x = x * pow(third, -1, 2**64) & _MASK
    x = _unshift(x, 32) * pow(second, -1, 2**64) & _MASK
    return _unshift(x, 32) * pow(first, -1, 2**64) & _MASK


def colliding_numbers(tenant_id: str, count: int, shared_bits: int = 32) -> list[str]:
    """The first numbers of `endless_colliding_numbers`."""
    return list(islice(endless_colliding_numbers(tenant_id, shared_bits), count))


def endless_colliding_numbers(tenant_id: str, shared_bits: int = 32, secret: bytes | None = None) -> Iterator[str]:
    """Distinct numbers of the tenant whose keys have the same low bits after mixing.

    With ``secret``, their keys are placed in the same slot under that secret, in tables of up to ``2^shared_bits``
    slots.
    """
    salts = text_keys([tenant_id], np.array([salt_of(b"")], np.uint64))
    zero = int(number_keys(["0" * _DIGITS], salts)[0][0])  # the key of a number is that of 0 plus its value
    for tried in range(1 << 64 - shared_bits):
        key = unmix(tried << shared_bits) if secret is None else unplace(tried, secret)
        value = key - zero & _MASK
        if value < 10**_DIGITS:
            yield f"{value:0{_DIGITS}}"


def random_numbers(seed: int, count: int) -> list[str]:
    """As many random numbers."""
    values = np.random.default_rng(seed).integers(0, 2**63, count)
    return [f"{value:0{_DIGITS}}" for value in values.tolist()]
