"""Numbers that a tenant picks so that their keys collide, by what everybody knows: its id and the public salt."""

import numpy as np

from monitor.shard.keys import number_keys, salt_of, text_keys

_MASK = 2**64 - 1
_DIGITS = 19  # as many as 64 bits hold; a callee may have 64 characters
_B, _C = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def unmix(x: int) -> int:
    """What `monitor.shard.keys.mix` made ``x`` of."""
    x = _unshift(x, 31) * pow(_C, -1, 2**64) & _MASK
    x = _unshift(x, 27) * pow(_B, -1, 2**64) & _MASK
    return _unshift(x, 30)


def _unshift(x: int, by: int) -> int:
    found = x
    for _ in range(64 // by):
        found = x ^ (found >> by)
    return found


def colliding_numbers(tenant_id: str, count: int, shared_bits: int = 32) -> list[str]:
    """Distinct numbers of the tenant whose keys have the same low bits once they are mixed."""
    salts = text_keys([tenant_id], np.array([salt_of(b"")], np.uint64))
    zero = int(number_keys(["0" * _DIGITS], salts)[0][0])  # the key of a number is that of 0 plus its value
    found: list[str] = []
    high = 0
    while len(found) < count:
        value = unmix(high << shared_bits) - zero & _MASK
        if value < 10**_DIGITS:
            found.append(f"{value:0{_DIGITS}}")
        high += 1
    return found


def random_numbers(seed: int, count: int) -> list[str]:
    """As many that nobody picked."""
    values = np.random.default_rng(seed).integers(0, 2**63, count)
    return [f"{value:0{_DIGITS}}" for value in values.tolist()]
