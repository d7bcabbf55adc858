"""A replay in this process, in parts: what has been read and decided since the last one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from monitor.core.results import Output
from monitor.decoding.decode import Decoder
from monitor.decoding.decoded_rows import DecodedRows
from monitor.decoding.merge import LateCall, RejectedRow
from monitor.replay.files import line_chunks
from monitor.replay.reader import SourcesReader
from monitor.replay.sharding import LocalShards
from monitor.text.timestamps import any_time

if TYPE_CHECKING:  # files of records need no adapters and their dependencies
    from monitor.adapters.base import Adapter


class UntilTooEarlyError(ValueError):
    """``--until`` is before the largest event time of the input."""


@dataclass(slots=True)
class ReplayPart:
    """What was read and decided since the last part. ``watermark_ms`` is None at the end of the input."""

    read: int = 0
    late: list[LateCall] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    watermark_ms: int | None = None
    last_ms: int | None = None
    """The largest event time, at the end of the input."""


def decoded_pieces(
    stream: BinaryIO, decoder: Decoder, adapter: "Adapter | None", piece_lines: int
) -> Iterator[DecodedRows]:
    """The content of a file, in pieces of at most ``piece_lines`` rows."""
    if adapter is None:
        for first_line, lines in line_chunks(stream, piece_lines):
            yield decoder.lines(lines, first_line)
    else:
        rows = iter(adapter.rows(stream))
        while piece := list(islice(rows, piece_lines)):
            yield decoder.rows(piece)


def judge(reader: SourcesReader, shards: LocalShards, until_ms: int | None) -> Iterator[ReplayPart]:
    """Read all sources to their ends, and decide as far as the watermark allows; then to ``until_ms``.

    Raises UntilTooEarlyError if that is before the last record.
    """
    part = ReplayPart()
    for step in reader.steps():
        shards.take(step.ready, step.batch, step.before_ms)
        part.read += step.batch.rows
        part.late += step.batch.late
        part.rejected += step.batch.rejected
        if step.watermark_ms is not None:
            shards.advance(step.watermark_ms)
            part.watermark_ms, part.outputs = step.watermark_ms, shards.collect()
            yield part
            part = ReplayPart()
    last_ms = reader.last_ms
    if last_ms is not None:
        if until_ms is not None and until_ms < last_ms:
            raise UntilTooEarlyError(
                f"--until {any_time(until_ms)} is before the largest event time {any_time(last_ms)}"
            )
        shards.finish(last_ms, until_ms)
    part.last_ms, part.outputs = last_ms, shards.collect()
    yield part
