"""Converts the values of a row that a driver has read to the JSON object that a server would make of them."""

import datetime
import decimal
import uuid
from typing import Any

import orjson
from sqlalchemy import RowMapping

from streams.ingest.follow.tables.table_rows import TableAway


def whole_key(key: Any) -> int:
    """A key. SQLite has any value in an integer column, and MySQL has unsigned ones. Raises TableAway."""
    if not isinstance(key, int) or not -(1 << 63) <= key < 1 << 63:
        raise TableAway(f"a key is a {type(key).__name__}: expected a whole number of 64 bits, signed")
    return key


def row_document(row: RowMapping) -> bytes:
    """The JSON object of a row."""
    return orjson.dumps({name: _plain(each) for name, each in row.items()}, default=str)


def _plain(value: Any) -> Any:
    """A value as the server would write it into JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):  # how drivers read MySQL's TIME, which may be negative or above a day
        return _clock_time(value)
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value


def _clock_time(value: datetime.timedelta) -> str:
    """`hh:mm:ss`, with microseconds if it has any."""
    seconds, microseconds = divmod(abs(value) // datetime.timedelta(microseconds=1), 1_000_000)
    sign = "-" if value < datetime.timedelta() else ""
    fraction = f".{microseconds:06}" if microseconds else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
