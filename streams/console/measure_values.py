"""The measures of an hour as the database stores them: compressed by a dictionary, an earlier record.

Most of a record, its rules and thresholds, is the same in all: with a dictionary it takes less than half as much.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, func, insert, select

from streams.console.tables import MEASURE_DICTIONARIES

MOST_DICTIONARIES: Final = 100
_NEWEST: Final = 3  # dictionaries that are tried: while a policy changes, partitions have two
_WINDOW: Final = 32_768  # zlib reads no more of a dictionary
_SAMPLE: Final = 8
_WORSE: Final = 1.5  # another dictionary is stored if it saves a third
_LEVEL: Final = 3


def compress(connection: Connection, values: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """The number of a dictionary, and the values compressed by it. Stores a dictionary if none of the newest fits."""
    number, dictionary = _dictionary_for(connection, values)
    return number, [_compressed(value, dictionary) for value in values]


def dictionaries(connection: Connection, numbers: Iterable[int]) -> dict[int, bytes]:
    """The dictionaries with these numbers."""
    d = MEASURE_DICTIONARIES.c
    rows = connection.execute(select(d.number, d.value).where(d.number.in_(sorted(set(numbers)))))
    return {number: value for number, value in rows}  # noqa: C416  # `dict` has no type for rows


def decompress(value: bytes, number: int, known: Mapping[int, bytes]) -> bytes:
    """The value of a row, by the dictionaries ``known``."""
    return zlib.decompressobj(zdict=known[number]).decompress(value)


def _dictionary_for(connection: Connection, values: Sequence[bytes]) -> tuple[int, bytes]:
    d = MEASURE_DICTIONARIES.c
    newest = connection.execute(select(d.number, d.value).order_by(d.number.desc()).limit(_NEWEST)).all()
    known = [(number, value) for number, value in newest]
    longest = max(values, key=len)
    sample = [value for value in values[:: len(values) // _SAMPLE + 1] if value is not longest]
    if known:
        best = min(known, key=lambda one: _size(sample, one[1]))
        count = connection.execute(select(func.count()).select_from(MEASURE_DICTIONARIES)).scalar_one()
        if count >= MOST_DICTIONARIES or _size(sample, best[1]) <= _WORSE * _size(sample, longest[-_WINDOW:]):
            return best
    made = known[0][0] + 1 if known else 1, longest[-_WINDOW:]
    connection.execute(insert(MEASURE_DICTIONARIES), [dict(zip(("number", "value"), made, strict=True))])
    return made


def _size(values: Sequence[bytes], dictionary: bytes) -> int:
    return sum(len(_compressed(value, dictionary)) for value in values)


def _compressed(value: bytes, dictionary: bytes) -> bytes:
    made = zlib.compressobj(_LEVEL, zdict=dictionary)
    return made.compress(value) + made.flush()
