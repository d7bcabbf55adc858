"""64-bit keys of strings, a column at a time. Ids and pseudonyms are hashed; consecutive numbers have consecutive keys.

A key represents a string where only equality (and, for numbers, adjacency) matters. It depends only on the string, the
tenant and a salt, so it is the same in every process. Two strings of one tenant share a key with a probability of
2^-64. Without a secret salt, a program finds two ids that do in seconds: a tenant could have one of its own calls taken
for another, as it could by using an id twice. Parties that are not numbers are hashed before they are salted, so two
that share a key are found with any salt: a tenant that chooses its parties could have some counted as one. Numbers of
20 digits or more do not fit into 64 bits and are taken modulo a prime that depends on the salt, so consecutive numbers
still have consecutive keys. Two of them share a key, or two neighbours are not adjacent, with a probability below
2^-50.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.core.calls.string_column import StringColumn

U64 = NDArray[np.uint64]

_A = np.uint64(0x9E3779B97F4A7C15)  # odd constants of splitmix64 (Steele, Lea, Flood 2014)
_B = np.uint64(0xBF58476D1CE4E5B9)
_C = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_PLUS, _ZERO, _NINE = 43, 48, 9
_MOST_DIGITS = 19  # any number with this many digits fits in 64 bits
_MODULUS_BITS = 60  # ten times the modulus plus a digit fits in 64 bits
_BLOCK_DIGITS = 2
BLOCK_BITS = np.uint64(7)
_ALONE = np.uint64(2**7 - 1)
_BLOCK_SALT = np.uint64(0xA0761D6478BD642F)  # each keeps the keys derived from a key independent of it
_PAIR_SALT = np.uint64(0xE7037ED1A0B428DB)
CONSENT_SALT = np.uint64(0x8EBC6AF09C88C6E3)
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)  # prove primality below 3.3e24 (Sorenson, Webster 2015)


def mix(x: U64) -> U64:
    """The finaliser of splitmix64: a bijection on 64 bits in which each input bit reaches every output bit."""
    x = (x ^ (x >> _S30)) * _B
    x = (x ^ (x >> _S27)) * _C
    return x ^ (x >> _S31)


def salt_of(secret: bytes) -> np.uint64:
    """Derive a 64-bit salt from a secret of any length. The empty secret is the documented public default."""
    return np.uint64(text_keys([secret.hex()], np.zeros(1, np.uint64))[0])


@lru_cache
def modulus_of(salt: int) -> np.uint64:
    """The 60-bit prime modulus for long numbers, different for each salt."""
    candidate = int(mix(np.array([salt ^ int(_A)], np.uint64))[0]) >> 64 - _MODULUS_BITS | 1 << _MODULUS_BITS - 1 | 1
    while not _is_prime(candidate):
        candidate += 2
    return np.uint64(candidate)


def _is_prime(odd: int) -> bool:
    """The Miller-Rabin primality test, exact for 64-bit numbers."""
    twos = (odd - 1 & 1 - odd).bit_length() - 1
    for witness in _WITNESSES:
        power = pow(witness, odd - 1 >> twos, odd)
        if power not in (1, odd - 1) and all((power := power * power % odd) != odd - 1 for _ in range(twos - 1)):
            return False
    return True


class Texts:
    """Concatenated UTF-8 strings with their lengths, the input for keys."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._bytes: list[bytes] = []
        self._lengths: list[NDArray[np.int64]] = []
        if texts:
            self.add(texts)

    def add(self, texts: Sequence[str]) -> None:
        """Add strings."""
        joined = "".join(texts)
        if joined.isascii():
            self._bytes.append(joined.encode())
            self._lengths.append(np.fromiter(map(len, texts), np.int64, len(texts)))
        else:
            encoded = [text.encode() for text in texts]
            self._bytes.append(b"".join(encoded))
            self._lengths.append(np.fromiter(map(len, encoded), np.int64, len(encoded)))

    def __len__(self) -> int:
        return sum(map(len, self._lengths))

    def strings(self) -> StringColumn:
        """The strings as a column."""
        return StringColumn.in_row(b"".join(self._bytes), np.concatenate([np.zeros(0, np.int64), *self._lengths]))

    def by_length(self) -> list[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
        """The bytes of the strings as matrices, one per length: ``(row numbers [m], bytes [m, length])``."""
        if not len(self):
            return []
        blob = np.frombuffer(b"".join(self._bytes), np.uint8)
        lengths = np.concatenate(self._lengths)
        ends = np.cumsum(lengths)
        starts = ends - lengths
        groups = []
        for length in np.flatnonzero(np.bincount(lengths)).tolist():
            rows = np.flatnonzero(lengths == length)
            if len(rows) == len(lengths):
                matrix = blob.reshape(len(rows), length)
            else:
                matrix = np.lib.stride_tricks.sliding_window_view(blob, length)[starts[rows]]
            groups.append((rows, matrix))
        return groups


def text_keys(texts: Sequence[str] | Texts, salts: U64) -> U64:
    """The key of each text ``[n]`` with its salt ``[n]``: ``[n]`` keys."""
    keys = np.empty(len(texts), np.uint64)
    for rows, matrix in _written(texts).by_length():
        keys[rows] = _hash_rows(matrix, salts[rows])
    return keys


def hashes(strings: StringColumn) -> U64:
    """A hash of each string. Equal strings have equal hashes; others may collide."""
    found = np.empty(len(strings), np.uint64)
    for rows, matrix in strings.by_size():
        found[rows] = _hash_rows(matrix, np.zeros(len(rows), np.uint64))
    return found


def number_keys(
    texts: Sequence[str] | Texts, salts: U64, modulus: np.uint64 | None = None
) -> tuple[U64, NDArray[np.bool_]]:
    """Keys of numbers and pseudonyms: ``([n] keys, [n] whether it is a number)``.

    A number consists of ASCII digits with an optional leading ``+``. Its key is its value plus a salt of tenant, sign
    and digit count, so that key + 1 is the key of the next number in the same format. Anything else is hashed.
    ``modulus`` applies to long numbers; the default is ``modulus_of(0)``.
    """
    value = np.zeros(len(texts), np.uint64)
    shape = np.zeros(len(texts), np.uint64)  # 0: not a number
    for rows, matrix in _written(texts).by_length():
        plus = matrix[:, 0] == _PLUS
        for sign in (False, True):
            mine = plus == sign
            if not mine.any():
                continue
            here, written = (rows, matrix) if mine.all() else (rows[mine], matrix[mine])
            digits = written[:, int(sign) :] - np.uint8(_ZERO)
            is_number = np.full(len(here), digits.shape[1] > 0)
            if digits.max(initial=0) > _NINE:  # check row by row only if needed: it takes four times as long
                is_number &= (digits <= _NINE).all(axis=1)
            number = np.zeros(len(here), np.uint64)
            for column in digits.T[:_MOST_DIGITS]:
                number = number * np.uint64(10) + column
            if digits.shape[1] > _MOST_DIGITS:
                prime = modulus_of(0) if modulus is None else modulus
                number %= prime
                for column in digits.T[_MOST_DIGITS:]:
                    number = (number * np.uint64(10) + column) % prime
            value[here] = number
            shape[here[is_number]] = _spread(2 * digits.shape[1] + sign)
            if not is_number.all():
                other = ~is_number
                value[here[other]] = _hash_rows(written[other], np.zeros(int(other.sum()), np.uint64))
    numeric = shape != 0
    keys = value + mix(salts ^ shape)
    if not numeric.all():
        keys = np.where(numeric, keys, mix(value ^ salts))
    return keys, numeric


def block_keys(keys: U64, texts: Texts) -> U64:
    """The keys of numbers by block, from their keys by `number_keys`: ``[n]``.

    Numbers that differ only in their last two digits have the same block. It is a hash in the high bits; the low
    `BLOCK_BITS` bits are the last two digits. A number of fewer than three digits has a block of its own. Two blocks of
    one tenant share their hash with a probability of 2^-57.
    """
    ending = np.full(len(texts), _ALONE, np.uint64)
    for rows, matrix in texts.by_length():
        if matrix.shape[1] > _BLOCK_DIGITS:
            last = matrix[:, -_BLOCK_DIGITS:].astype(np.uint64) - np.uint64(_ZERO)
            some = (matrix[:, 0] != _PLUS) | (matrix.shape[1] > _BLOCK_DIGITS + 1)
            ending[rows[some]] = (last[:, 0] * np.uint64(10) + last[:, 1])[some]
    block = mix((keys - np.where(ending == _ALONE, np.uint64(0), ending)) ^ _BLOCK_SALT)
    return block & ~_ALONE | ending


def pair_keys(keys: U64, others: U64) -> U64:
    """The keys of pairs of two keys each."""
    return mix(keys ^ mix(others ^ _PAIR_SALT))


def _spread(small: int) -> np.uint64:
    """A small number times `_A`, mod 2^64 (numpy warns if its scalars wrap; arrays wrap silently)."""
    return np.uint64(small * int(_A) % 2**64)


def _written(texts: Sequence[str] | Texts) -> Texts:
    return texts if isinstance(texts, Texts) else Texts(texts)


def _hash_rows(matrix: NDArray[np.uint8], salts: U64) -> U64:
    length = matrix.shape[1]
    padded = np.zeros((len(matrix), -(-length // 8) * 8), np.uint8)
    padded[:, :length] = matrix
    words = padded.view("<u8")
    state = salts ^ _spread(length)
    for column in words.T:
        state = mix(state ^ column) * _A + (column >> _S32)
    return mix(state)
