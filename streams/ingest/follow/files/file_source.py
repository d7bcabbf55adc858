"""The rows of files that grow and rotate. Rotated files are read to their end before those that follow them."""

import io
import os
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from msgspec.structs import replace

from monitor.adapters.errors import RowErrorCode
from schemas.error_codes import ErrorCode
from streams.ingest.follow.files.chunks import MAX_LINE, Chunk, ContentChanged, read_chunk
from streams.ingest.follow.files.file_set import FileSet
from streams.ingest.follow.files.row_format import RowFormat
from streams.ingest.follow.files.tailed_file import FINAL_S, TailedFile
from streams.ingest.follow.follow_source import Backlog, SourceBatch
from streams.ingest.follow.positions import FilePosition, Position, TablePosition
from streams.ingest.follow.row_writer import MOST_ROWS, RowWriter
from streams.ingest.foreign_rows import ForeignRow, Origin
from streams.kafka.api import PermanentError
from streams.runtime.monotonic import steady_s

log = structlog.get_logger("callwarden")

SCAN_S: Final = 0.5
_MOST_HEADER: Final = 32 << 10
_OPEN_ROW_S: Final = 10.0  # a row with a line break is written at once, or it is no row
_OPEN_LINES: Final = 1_000  # as in `monitor.adapters.rows.csv_rows`


class FileSource:
    """`streams.ingest.follow.follow_source.FollowSource`. ``from_ends``: see `FileSet`."""

    def __init__(
        self,
        patterns: Sequence[str],
        form: RowFormat,
        rows: RowWriter,
        now_s: Callable[[], float] = steady_s,
        from_ends: bool = False,
    ) -> None:
        self._form, self._rows, self._now_s = form, rows, now_s
        self._set = FileSet(patterns, now_s, from_ends)
        self._scanned_s: float | None = None
        self._faults: dict[str, str] = {}
        self._said: dict[str, str] = {}  # those before the last scan
        self.at_end = False

    @property
    def away(self) -> str | None:
        """See `FollowSource`."""
        if self._set.missing:
            return f"there is no file {', '.join(self._set.missing)} yet"
        for path, why in self._set.faults.items():
            return f"{path}: {why}"
        return next(iter(self._faults.values()), None)

    @property
    def backlog(self) -> Backlog:
        """See `FollowSource`."""
        return Backlog("bytes", sum(file.left for file in self._set.files.values()))

    def restore(self, positions: Mapping[str, Position]) -> None:
        """See `FollowSource`."""
        if any(isinstance(each, TablePosition) for each in positions.values()):
            raise PermanentError("the follower of this name follows a table; expected another --name for files")
        self._set.began = bool(positions)
        self._set.restore({of: each for of, each in positions.items() if isinstance(each, FilePosition)})
        self._scanned_s = None

    def read(self) -> SourceBatch | None:
        """See `FollowSource`."""
        batch = self._next()
        self.at_end = batch is None and self.away is None
        return batch

    def _next(self) -> SourceBatch | None:
        now_s = self._now_s()
        if self._scanned_s is None or now_s - self._scanned_s >= SCAN_S:
            self._scanned_s = now_s
            self._said, self._faults = self._faults, {}
            changed = self._set.scan()
            if changed is not None:
                return changed
        for file in sorted(self._set.files.values(), key=lambda file: (file.active, file.mtime_ns, file.id)):
            if file.fd is not None and file.left and file.id not in self._faults:
                batch = self._read(file, now_s)
                if batch is not None:
                    return batch
        return None

    def _read(self, file: TailedFile, now_s: float) -> SourceBatch | None:
        assert file.fd is not None
        file.look(now_s)
        final = not file.active and now_s - file.grown_s >= FINAL_S
        try:
            chunk = read_chunk(file.fd, file.position, final)
        except ContentChanged:
            self._scanned_s = None  # truncated since the last scan
            file.distrust()
            return None
        except OSError as error:
            self._fault(file, error.strerror or str(error))
            return None
        if chunk is None:
            return None
        position, batch = file.position, SourceBatch()
        end = chunk.end
        if self._form.has_header and not position.header and chunk.lines:
            # It began at its end: the header is not in what is read.
            lines = os.pread(file.fd, _MOST_HEADER + 1, 0) if position.offset else chunk.lines
            header = self._header(file, lines)
            if header is None:
                return None
            position = replace(position, header=header)
        if chunk.too_long is not None:
            reason = f"{ErrorCode.TOO_LONG}: the line has {MAX_LINE:,} bytes or more; expected a row"
            self._rows.reject(batch, chunk.too_long, reason, _origin(file, chunk.start))
        elif chunk.lines:
            wait = chunk.is_followed or (not final and now_s - file.grown_s < _OPEN_ROW_S)
            end = self._write(batch, file, chunk, position.header.encode(self._form.encoding), wait)
            if end == chunk.start and chunk.is_full:  # no chunk will have the end of the row
                batch = SourceBatch()
                end = self._write(batch, file, chunk, position.header.encode(self._form.encoding), wait=False)
            if end == chunk.start:
                return None
        head, tail = chunk.fingerprints(file.fd, position, end)
        batch.positions[file.id] = replace(
            position,
            offset=end,
            size=max(file.size, end),
            mtime_ns=file.scanned_ns,
            head=head,
            tail=tail,
            skipping=chunk.skipping,
        )
        batch.read_bytes = end - chunk.start
        return batch

    def _header(self, file: TailedFile, lines: bytes) -> str | None:
        """The header line of a file: its first line, or that of the file before it if it begins with a row."""
        first = next((line for line in lines.split(b"\n") if line and not line.isspace()), b"").rstrip(b"\r")
        first = first.removeprefix(BOM_UTF8)
        missing = self._form.misses(first)
        if missing:
            others = (each.position for each in self._set.files.values() if each.position.stem == file.position.stem)
            remembered = max(((each.mtime_ns, each.header) for each in others if each.header), default=None)
            if remembered is not None:
                return remembered[1]
            self._fault(file, f"its first line does not name the column {missing[0]} of the mapping")
            return None
        if len(first) > _MOST_HEADER:
            self._fault(file, f"its header has {len(first):,} bytes; expected at most {_MOST_HEADER:,}")
            return None
        try:
            return first.decode(self._form.encoding)
        except UnicodeDecodeError:
            self._fault(file, f"its header is not {self._form.encoding}")
            return None

    def _write(self, batch: SourceBatch, file: TailedFile, chunk: Chunk, header: bytes, wait: bool) -> int:
        """Add the rows of a chunk; returns the offset behind the last one. With ``wait`` an open row is left."""
        if self._form.alone:
            at = chunk.start
            for line in _lines(chunk.lines):
                if len(batch.outs) >= MOST_ROWS:
                    return at
                self._document(batch, file, line, [at])
                at += len(line)
            return chunk.end
        starts = [chunk.start]
        for line in chunk.lines.split(b"\n")[:-1]:
            starts.append(starts[-1] + len(line) + 1)
        document = header + b"\n" + chunk.lines if header else chunk.lines
        if header:
            starts.insert(0, chunk.start)
        rest = self._document(batch, file, document, starts, header, wait=wait)
        return chunk.end if rest is None else rest

    def _document(
        self,
        batch: SourceBatch,
        file: TailedFile,
        document: bytes,
        starts: Sequence[int],
        header: bytes = b"",
        wait: bool = False,
    ) -> int | None:
        """Add the rows of a document whose lines begin at ``starts``. The offset of the rest, if there is one."""
        rows, fault = self._rows.rows(document)
        if fault is not None:
            if len(starts) > 2:  # one line of them has too many
                first = 1 if header else 0
                for line, start in zip(_lines(document)[first:], starts[first:], strict=False):
                    if len(batch.outs) >= MOST_ROWS:
                        return start
                    self._document(batch, file, header + b"\n" + line if header else line, [start, start], header)
                return None
            self._rows.reject(batch, document, fault, _origin(file, starts[0]))
        for row in rows:
            start = starts[min(row.line, len(starts)) - 1]
            if wait and self._is_open(row, len(starts)):
                return start
            if not header or row.raw.removeprefix(BOM_UTF8) != header:  # which may be repeated
                self._rows.add(batch, row, _origin(file, start))
        return None

    def _is_open(self, row: ForeignRow, lines: int) -> bool:
        """Whether the rest of the row may not be written yet."""
        near = lines - row.line < _OPEN_LINES
        code = (row.reason or "").partition(":")[0]
        return near and code == RowErrorCode.MALFORMED_ROW and self._form.continues(row.raw)

    def _fault(self, file: TailedFile, why: str) -> None:
        """A file that cannot be read is left out until the next scan; others are read."""
        fault = self._faults[file.id] = f"{file.position.path}: {why}"
        if self._said.get(file.id) != fault:
            log.error("a file cannot be read", file=file.position.path, why=why)

    def committed(self, batch: SourceBatch) -> None:
        """See `FollowSource`."""
        self._set.began |= bool(batch.positions)
        for of, position in batch.positions.items():
            file = self._set.files.get(of)
            if file is not None and isinstance(position, FilePosition):
                file.position = position

    def close(self) -> None:
        """See `FollowSource`."""
        self._set.close()


def _lines(content: bytes) -> list[bytes]:
    return io.BytesIO(content).readlines()  # `splitlines` splits at a carriage return, too


def _origin(file: TailedFile, offset: int) -> Origin:
    return (("file", file.position.path.encode(errors="surrogateescape")), ("offset", str(offset).encode()))
