"""The export file: the states of all partitions in sequence. A truncated or changed file is detected.

The file is one zstd frame with its own checksum. It contains records, each prefixed with its length in four bytes,
big-endian: an `ArchiveHeader`; for each partition a `_Partition` and its entries (key and value); at the end a
`_Whole`. All are msgpack maps with a ``type``, except the entries, which are arrays of two. ``sha256`` covers all bytes
before its record.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import zstandard
from msgspec import Struct

from streams.topics.partition_state import PartitionState

VERSION: Final = 1
_LENGTH: Final = 4
_MOST: Final = 64 << 20  # longer than any record


class ArchiveError(ValueError):
    """The file is not an export, has another version, is incomplete, or was changed."""


class ArchiveHeader(Struct, tag="export"):
    """The metadata of an export. ``made_ms`` is the system time of its creation."""

    made_ms: int
    input_prefix: str
    output_prefix: str
    partitions: int
    version: int = VERSION


class _Partition(Struct, tag="partition"):
    number: int
    entries: int
    ends: dict[str, tuple[int, int]]


class _Whole(Struct, tag="whole"):
    sha256: bytes


_Lead = ArchiveHeader | _Partition | _Whole


class ArchiveWriter:
    """Writes an export; the file appears under its name only with `close`, and is then synced to disk."""

    def __init__(self, path: Path, header: ArchiveHeader) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}")
        # It contains keys derived from phone numbers: only the owner may read it.
        self._file = os.fdopen(os.open(self._partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
        self._packed = zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(self._file, closefd=False)
        self._sha = hashlib.sha256()
        self._put(msgspec.msgpack.encode(header))

    def add(self, part: PartitionState) -> None:
        """Append the next partition."""
        self._put(msgspec.msgpack.encode(_Partition(part.number, len(part.entries), dict(part.ends))))
        for entry in sorted(part.entries.items()):
            self._put(msgspec.msgpack.encode(entry))

    def _put(self, record: bytes) -> None:
        framed = len(record).to_bytes(_LENGTH, "big") + record
        self._sha.update(framed)
        self._packed.write(framed)

    def close(self) -> None:
        """Finish the file; call it after all partitions were added."""
        self._put(msgspec.msgpack.encode(_Whole(self._sha.digest())))
        self._packed.close()  # type: ignore[no-untyped-call]
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)

    def abandon(self) -> None:
        """Delete the partial file."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


def write(path: Path, header: ArchiveHeader, parts: Iterable[PartitionState]) -> None:
    """Write an export of these partitions."""
    writer = ArchiveWriter(path, header)
    try:
        for part in parts:
            writer.add(part)
        writer.close()
    except BaseException:
        writer.abandon()
        raise


class ArchiveReader:
    """Reads an export, any number of times, with one partition in memory at a time."""

    def __init__(self, path: Path) -> None:
        """Reads only the header. Raises ArchiveError and OSError."""
        self.path = path
        with path.open("rb") as file:
            self.header = _Records(path, file).header()

    def parts(self) -> Iterator[PartitionState]:
        """The partitions in order. Raises ArchiveError, possibly only after some partitions: see `check`."""
        with self.path.open("rb") as file:
            records = _Records(self.path, file)
            records.header()
            yield from records.parts(self.header.partitions)

    def check(self) -> None:
        """Read the whole file. Raises ArchiveError if it is incomplete or was changed."""
        for _ in self.parts():
            pass


class _Records:
    """The records of a file, in order."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        # Across frames: data appended after the end is an error, too.
        self._bytes = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
        self._sha = hashlib.sha256()

    def header(self) -> ArchiveHeader:
        try:
            header = msgspec.msgpack.decode(self._next(), type=_Lead)
        except (ArchiveError, msgspec.DecodeError, UnicodeDecodeError):
            header = None
        if not isinstance(header, ArchiveHeader):
            raise ArchiveError(f"{self._path}: expected a file of `callwarden state export`")
        if header.version != VERSION:
            raise ArchiveError(
                f"{self._path}: expected version {VERSION}, got {header.version}: use the release that wrote it"
            )
        return header

    def parts(self, count: int) -> Iterator[PartitionState]:
        for number in range(count):
            lead = self._decoded(self._next(), _Lead)
            if not isinstance(lead, _Partition) or lead.number != number:
                raise self._changed(f"partition {number} is not at its position")
            entries = dict(self._decoded(self._next(), tuple[str, bytes]) for _ in range(lead.entries))
            yield PartitionState(lead.number, entries, lead.ends)
        sha256 = self._sha.digest()
        whole = self._decoded(self._next(), _Lead)
        if not isinstance(whole, _Whole) or whole.sha256 != sha256:
            raise self._changed("its checksum does not match")
        if self._read(1):
            raise self._changed("data follows its end")

    def _next(self) -> bytes:
        lead = self._read(_LENGTH)
        length = int.from_bytes(lead, "big")
        if length > _MOST:
            raise self._changed("a record has an impossible length")
        record = self._read(length)
        if len(lead) < _LENGTH or len(record) < length:
            raise self._changed("it is cut short")
        self._sha.update(lead + record)
        return record

    def _read(self, size: int) -> bytes:
        try:
            return self._bytes.read(size)
        except zstandard.ZstdError as error:
            raise self._changed(str(error)) from None

    def _decoded(self, record: bytes, kind: Any) -> Any:
        try:
            return msgspec.msgpack.decode(record, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._changed(str(error)) from None

    def _changed(self, why: str) -> ArchiveError:
        return ArchiveError(f"{self._path}: it is incomplete or was changed ({why}); expected a complete export")
