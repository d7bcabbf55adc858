"""Splits form bodies (application/x-www-form-urlencoded) into rows: one body a line; and a document inside a field."""

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Final

from monitor.adapters.errors import Reject, RowErrorCode, quoted_value
from monitor.adapters.lines import LongLine, must_be_whole
from monitor.adapters.values.percent import percent_decoded

Physical = tuple[int, bytes]

MAX_FIELDS: Final = 1_000


class FormRows:
    """The rows of a file of form bodies."""

    def __init__(self, lines: Iterable[bytes], columns: tuple[str, ...]) -> None:
        self._lines = iter(lines)
        self._columns = columns

    def records(self) -> Iterator[Physical]:
        """Each row with its line; blank lines are skipped."""
        for number, line in enumerate(self._lines, 1):
            if isinstance(line, LongLine):
                yield number, line
            elif line and not line.isspace():
                yield number, line.strip(b"\r\n")

    def cells(self, raw: bytes) -> list[str]:
        """The texts of the mapping's columns. Raises `Reject` if the body is not a form, or has a column twice."""
        must_be_whole(raw)
        try:
            pairs = _fields(raw)
        except UnicodeDecodeError as error:
            raise Reject(
                f"{RowErrorCode.NOT_TEXT}: expected a form in UTF-8, percent-encoded: {error.reason}"
            ) from None
        except ValueError:
            got = quoted_value(raw[:200].decode("utf-8", "replace"))
            message = f"expected a form, name=value&name=value, of at most {MAX_FIELDS:,} fields, got {got}"
            raise Reject(f"{RowErrorCode.MALFORMED_ROW}: {message}") from None
        found = dict(pairs)
        if len(found) < len(pairs):
            for column in self._columns:
                if sum(name == column for name, _ in pairs) > 1:
                    raise Reject(f"{RowErrorCode.MALFORMED_ROW}: expected {column} once in the form, got it twice")
        return [found.get(column, "") for column in self._columns]


def _fields(raw: bytes) -> list[tuple[str, str]]:
    """The names and values of a form. Raises ValueError if it is none, or has more than `MAX_FIELDS` fields."""
    raw.decode("ascii")
    parts = raw.replace(b"+", b" ").split(b"&")
    if len(parts) > MAX_FIELDS:
        raise ValueError
    pairs = []
    for part in parts:
        name, equals, value = part.partition(b"=")
        if not equals:
            raise ValueError
        pairs.append((percent_decoded(name).decode(), percent_decoded(value).decode()))
    return pairs


def unwrapped(body: bytes, field: str) -> bytes:
    """The document in the form field at the beginning of ``body``, else ``body``.

    It may stand there as it is, percent-encoded, or in base64.
    """
    begin = field.encode() + b"="
    if not body.startswith(begin):
        return body
    value = body[len(begin) :]
    if value.lstrip()[:1] in (b"{", b"["):
        return value
    decoded = percent_decoded(value.replace(b"+", b" "))
    if decoded.lstrip()[:1] in (b"{", b"["):
        return decoded
    try:
        plain = base64.b64decode(b"".join(percent_decoded(value).split()), validate=True)
    except (binascii.Error, ValueError):
        return decoded
    return plain
