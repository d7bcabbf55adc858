"""Chain heads: the last hash of each chain, published once a day outside the database and compared with it."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from streams.consumers.ledger.hash_chain import beginning
from streams.consumers.ledger.tables import ENTRIES, PUBLISHED
from streams.consumers.sql_common import insert_new
from streams.kafka.api import TP

_HASH: Final = msgspec.Meta(pattern="^[0-9a-f]{64}$")


class ChainHead(NamedTuple):
    """The last entry of a chain: its number, offset and hash. For an empty chain 0, -1 and `beginning`."""

    number: int
    offset: int
    hash: bytes


class PublishedHead(msgspec.Struct, frozen=True, order=True):
    """The head of one chain when it was published."""

    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0)]
    number: Annotated[int, msgspec.Meta(ge=1)]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    hash: Annotated[str, _HASH]


class HeadReport(msgspec.Struct, frozen=True):
    """A line of the heads file: the heads of all chains that had an entry, on a day (UTC)."""

    day: str
    at_ms: int
    heads: tuple[PublishedHead, ...]


class HeadsFault(ValueError):
    """A heads file that cannot be parsed. The message names file, line and column."""


def head_of(connection: Connection, tp: TP) -> ChainHead:
    """The head of a partition's chain."""
    newest = (
        select(ENTRIES.c.number, ENTRIES.c.offset, ENTRIES.c.hash)
        .where(ENTRIES.c.topic == tp.topic, ENTRIES.c.partition == tp.partition)
        .order_by(ENTRIES.c.number.desc())
        .limit(1)
    )
    row = connection.execute(newest).one_or_none()
    return ChainHead(row.number, row.offset, bytes.fromhex(row.hash)) if row else ChainHead(0, -1, beginning(*tp))


def heads_of(connection: Connection) -> tuple[PublishedHead, ...]:
    """The heads of all chains that have an entry, by topic and partition."""
    newest = (
        select(ENTRIES.c.topic, ENTRIES.c.partition, func.max(ENTRIES.c.number).label("number"))
        .group_by(ENTRIES.c.topic, ENTRIES.c.partition)
        .subquery()
    )
    wanted = (
        select(ENTRIES.c.topic, ENTRIES.c.partition, ENTRIES.c.number, ENTRIES.c.offset, ENTRIES.c.hash)
        .join(
            newest,
            (ENTRIES.c.topic == newest.c.topic)
            & (ENTRIES.c.partition == newest.c.partition)
            & (ENTRIES.c.number == newest.c.number),
        )
        .order_by(ENTRIES.c.topic, ENTRIES.c.partition)
    )
    return tuple(sorted(PublishedHead(*row) for row in connection.execute(wanted)))


def published_ms(connection: Connection, day: str) -> int | None:
    """When the heads of that day were published; None if they were not."""
    return connection.execute(select(PUBLISHED.c.at_ms).where(PUBLISHED.c.day == day)).scalar()


def note_published(connection: Connection, day: str, at_ms: int) -> None:
    """Record that the heads of that day are published."""
    connection.execute(insert_new(connection, PUBLISHED).values(day=day, at_ms=at_ms))


def append(path: Path, heads: HeadReport) -> None:
    """Append a line to the file and sync it to disk. Raises OSError; the file is then as it was before."""
    line = msgspec.json.encode(heads) + b"\n"
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        if size and not _ends_a_line(path):
            line = b"\n" + line  # a partial line left by a crash must not corrupt the next line
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # a part of a line, as a full disk leaves it, would be a fault of the whole file
                file.truncate(size)
            raise


def read_heads_file(path: Path) -> Iterator[HeadReport]:
    """The lines of a heads file. Raises OSError; HeadsFault if a line cannot be parsed."""
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=HeadReport)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            column = _column(line)
            raise HeadsFault(
                f"{path}:{number}:{column}: {error}; expected a line that `callwarden ledger run` has written"
            ) from None


def first_published(heads: Iterator[HeadReport]) -> dict[TP, dict[int, PublishedHead]]:
    """Each head as it was first published, by chain and entry number."""
    found: dict[TP, dict[int, PublishedHead]] = {}
    for line in heads:
        for head in line.heads:
            found.setdefault(TP(head.topic, head.partition), {}).setdefault(head.number, head)
    return found


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _column(line: bytes) -> int:
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.colno
    except UnicodeDecodeError as error:
        return error.start + 1
    return 1
