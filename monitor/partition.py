"""A partition: some sources with their clocks and one shard, which can stop anywhere and go on from a snapshot.

Between snapshots nothing is stored: open panes and waiting records *are* the input since the resume offsets. After a
restart that input is read again; what was decided, counted or put out before (below ``done``) is not a second time, and
calls that were duplicates then, when more ids were remembered, are duplicates still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from msgspec import Struct

from monitor.intake import NO_CLOCK_MS, Decoder, Late, Refused, Source, merge
from monitor.policy.model import Policy
from monitor.shard.keys import salt_of
from monitor.shard.shard import Shard
from monitor.shard.sink import Sink
from monitor.shard.state import FORMAT, ShardHead, check_format

HEAD = "head"


class SourceHead(Struct):
    """Where a source goes on: at ``resume``, with its clock there; below ``done`` nothing is counted again.

    ``duplicates`` are the offsets in ``[resume, done)`` of calls that were duplicates.
    """

    resume: int
    clock_ms: int
    done: int
    duplicates: list[int]


class PartitionHead(Struct):
    """The sources, the watermark up to which all is decided, and the shard without its entries."""

    sources: list[SourceHead]
    watermark_ms: int
    shard: ShardHead
    format: int = FORMAT


@dataclass(slots=True)
class Taken:
    """What was read since the last call, beside what the shard brought about; rows read again do not count."""

    sink: Sink
    rows: int = 0
    late: list[Late] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    duplicates: int = 0


class Partition:
    """Feeds pieces of its sources to its shard, in whatever order they come, and advances as their clocks allow.

    A source is a number from 0; its offsets count its rows. Whoever feeds it chooses the order; the decisions do
    not depend on it but for duplicates with other content, where the first that was read stands; so where several
    sources have calls, after a restart each is to be read up to where it was before any is read further.
    """

    def __init__(self, policy: Policy, sources: int, secret: bytes = b"", not_after_ms: int | None = None) -> None:
        self.shard = Shard(policy, keep_state=True)
        self._policy = policy
        self._decoder = Decoder(self.shard.layout, salt_of(secret), not_after_ms)
        self._sources = [Source(number) for number in range(sources)]
        self._done = [0] * sources
        self._duplicates: list[set[int]] = [set() for _ in range(sources)]
        self._watermark_ms = 0
        self._taken = Taken(Sink())

    def feed(self, source: int, lines: Sequence[bytes]) -> None:
        """The next lines of a source, none of them blank: a line is a row, and its number is its offset + 1."""
        reader = self._sources[source]
        placed = reader.place(self._decoder.lines(lines, reader.offset + 1))
        done = self._done[source]
        batch = merge([(placed, 0, len(placed))], self._policy.lateness_ms)
        self._taken.rows += int((placed.offset >= done).sum())
        self._taken.late += [late for late in batch.late if late.log[2] >= done]
        self._taken.refused += [refused for refused in batch.refused if refused.log[2] >= done]
        for waiting in batch.waiting:
            # What comes again and lies before the watermark was decided before the restart.
            if waiting.log[2] >= done or waiting.at_ms >= self._watermark_ms:
                self.shard.wait(waiting)
        if batch.calls is not None:
            known = self._duplicates[source]
            before = np.fromiter((offset in known for offset in batch.calls.offset.tolist()), np.bool_)
            offsets = batch.calls.offset
            duplicate = self.shard.apply(batch.names, batch.calls, self._watermark_ms, before)
            again = set(offsets[duplicate].tolist())
            self._taken.duplicates += sum(offset >= done for offset in again)
            known |= again

    def advance(self, ended: Sequence[bool]) -> None:
        """Decide what the clocks of the sources that have not ended allow."""
        clocks = [source.clock_ms for source, over in zip(self._sources, ended, strict=True) if not over]
        if clocks and min(clocks) > NO_CLOCK_MS:
            self._watermark_ms = max(self._watermark_ms, min(clocks) - self._policy.lateness_ms)
            self.shard.advance(self._watermark_ms)

    def finish(self) -> None:
        """All sources have ended."""
        last_ms = max(source.clock_ms for source in self._sources)
        if last_ms > NO_CLOCK_MS:
            self.shard.finish(last_ms)

    def take(self) -> Taken:
        """What came of it since the last call."""
        taken, self._taken = self._taken, Taken(Sink())
        taken.sink = self.shard.take()
        taken.duplicates += taken.sink.duplicates
        return taken

    def snapshot(self) -> list[tuple[str, bytes | None]]:
        """The entries to be stored since the last call, None where one is to be deleted; the head last.

        To be called after `advance`, before anything else is fed.
        """
        since = self.shard.open_since()
        heads = []
        for source in self._sources:
            done = max(self._done[source.number], source.offset)
            resume, clock_ms = since.get(source.number, (source.offset, source.clock_ms))
            known = self._duplicates[source.number] = {o for o in self._duplicates[source.number] if o >= resume}
            heads.append(SourceHead(resume, clock_ms, done, sorted(known)))
        head = PartitionHead(heads, self._watermark_ms, self.shard.head())
        return [*self.shard.changes().items(), (HEAD, msgspec.msgpack.encode(head))]

    def restore(self, entries: Mapping[str, bytes]) -> list[int]:
        """Become what the entries were stored of; the offsets at which the sources go on. StateFormatError.

        The partition must be new.
        """
        check_format(entries[HEAD])
        head = msgspec.msgpack.decode(entries[HEAD], type=PartitionHead)
        for source, known in zip(self._sources, head.sources, strict=True):
            source.offset, source.clock_ms = known.resume, known.clock_ms
            self._done[source.number] = known.done
            self._duplicates[source.number] = set(known.duplicates)
        self._watermark_ms = head.watermark_ms
        self.shard.restore(head.shard, entries)
        return [known.resume for known in head.sources]
