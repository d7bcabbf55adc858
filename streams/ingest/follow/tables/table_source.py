"""The rows of a table that grows, also those that are committed out of order.

A database hands out keys before it commits, so a row can appear below the greatest key that was read. A row is taken
to be committed at most `SETTLED_S` after its key was handed out, or when its transaction has ended, if the database
names the transactions that write to the table. So:

1. Look up the greatest key, then the transactions, and remember when. Keys up to one that was the greatest `SETTLED_S`
   ago are settled, unless a transaction of that time has not ended (`settling`).
2. Every `AGAIN_S`, look up all keys between the floor and the greatest key that was read. Those that were not seen are
   rows that were committed late: read them. If there are none, the floor rises to the settled keys.
3. Read the rows above the greatest key that was read.

A row may have a key far above all others, such as one that somebody has given by hand. Rows that come below it later
must not be missed. So the floor does not pass a gap of more than `GAP` keys before `BELIEVED` keys were read above it.
Until then the rows below are found as those that were committed late (2), and the floor rises to the greatest key
before the gap that was read `SETTLED_S` ago.

The floor and the seen keys above it are the position. No clock is stored: after a start everything above the floor is
looked up again until it is settled once more. The last row that was read is stored, too, and looked up again before
the next ones: if its key is that of another row now, the table was made again, and rows may have been passed over.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import structlog

from monitor.adapters.errors import RowErrorCode
from schemas.error_codes import ErrorCode
from streams.ingest.follow.follow_source import Backlog, SourceBatch
from streams.ingest.follow.positions import Position, RowMark, TablePosition
from streams.ingest.follow.row_writer import Rows, RowWriter
from streams.ingest.follow.tables.row_document import RowDocument
from streams.ingest.follow.tables.row_mark import mark_of
from streams.ingest.follow.tables.seen_keys import LEAST, MOST_SEEN, Keys, SeenKeys
from streams.ingest.follow.tables.settling import Settling
from streams.ingest.follow.tables.table_rows import TableAway, TableRow, TableRows
from streams.ingest.foreign_rows import MAX_RECORD_BYTES
from streams.kafka.api import PermanentError
from streams.runtime.monotonic import steady_s

log = structlog.get_logger("callwarden")

AGAIN_S: Final = 2.0
POSITION: Final = "table"
"""The id of the position."""

_LATE_AT_ONCE: Final = 500
_SAMPLE_S: Final = 1.0


class TableSource:
    """`streams.ingest.follow.follow_source.FollowSource`.

    With ``from_end`` a follower without a position begins above the greatest key.
    """

    def __init__(
        self,
        reader: TableRows,
        form: RowDocument,
        rows: RowWriter,
        now_s: Callable[[], float] = steady_s,
        from_end: bool = False,
    ) -> None:
        self._table, self._key = reader.table, reader.key
        self._reader, self._form, self._rows, self._now_s = reader, form, rows, now_s
        self._floor, self._seen = LEAST, SeenKeys(np.array([], np.int64))
        self._last: RowMark | None = None
        self._from_end, self._began = from_end, False
        self._samples: deque[tuple[float, int]] = deque()
        self._settling = Settling(now_s)
        self._held_said: str | None = None
        self._sampled_s = float("-inf")
        self._settled = LEAST
        # The same for the greatest key that was read before a jump.
        self._near: deque[tuple[float, int]] = deque()
        self._jump_said: int | None = None
        self._again_s = float("-inf")
        self._greatest: int | None = None
        self._away: str | None = "the table has not been read yet"
        self._said: str | None = self._away
        self.at_end = False

    @property
    def away(self) -> str | None:
        """See `FollowSource`."""
        return self._away

    @property
    def backlog(self) -> Backlog:
        """See `FollowSource`."""
        read = self._read_through()
        return Backlog("keys", max(0, self._greatest - max(read, 0)) if self._greatest is not None else 0)

    def restore(self, positions: Mapping[str, Position]) -> None:
        """See `FollowSource`."""
        for position in positions.values():
            here = f"column {self._key} of table {self._table}"
            if not isinstance(position, TablePosition):
                raise PermanentError(f"a follower of files has this name; expected another --name for {here}")
            if (position.table, position.key) != (self._table, self._key):
                was = f"column {position.key} of table {position.table}"
                raise PermanentError(f"the follower of this name follows {was}; expected another --name for {here}")
        stored = positions.get(POSITION)
        self._began = isinstance(stored, TablePosition)
        if isinstance(stored, TablePosition):
            self._take(stored)
        self._samples.clear()
        self._near.clear()
        self._settled, self._again_s = LEAST, float("-inf")

    def read(self) -> SourceBatch | None:
        """See `FollowSource`."""
        try:
            batch = self._read()
        except TableAway as error:
            self._away = str(error)
            self._settling.away()
            batch = None
        if self._away != self._said:
            self._said = self._away
            if self._away is not None:
                log.error("the table cannot be read", why=self._away)
        if batch is None:
            self.at_end = self._away is None and self._has_room()
        return batch

    def _read(self) -> SourceBatch | None:
        self._look()
        if self._away is not None:
            return None
        if self._from_end and not self._began:
            floor = LEAST if self._greatest is None else self._greatest
            log.info("following a table from its end", table=self._table, column=self._key, greatest=self._greatest)
            return SourceBatch(positions={POSITION: self._position(floor, self._seen, None)})
        now_s = self._now_s()
        if now_s - self._again_s >= AGAIN_S:
            settled, near = self._settled, self._seen.before_jump(self._floor)  # before the keys are looked up
            late = self._seen.unseen(self._reader.keys(self._floor, self._read_through()))
            if near is not None:
                late = self._below_jump(late, near, settled)
            if len(late):
                return self._batch(self._reader.rows_of(late[:_LATE_AT_ONCE].tolist()))
            self._again_s = now_s
            self._floor = max(self._floor, self._settled_near(near, min(settled, self._read_through())))
            self._seen = self._seen.above(self._floor)
        if not self._has_room():
            return None
        return self._batch(self._reader.rows(self._read_through()))

    def _below_jump(self, late: Keys, near: int, settled: int) -> Keys:
        """Those of the rows below a jump that may be read now; rows that continue below it are logged."""
        greatest = self._read_through()
        if len(late) and settled >= greatest > near and self._jump_said != greatest:
            self._jump_said = greatest
            log.warning(
                "rows are added far below the greatest key: they are read, but later; delete the row of that key",
                table=self._table,
                column=self._key,
                greatest=greatest,
                below=near,
            )
        return late if self._has_room() else late[late <= near]

    def _settled_near(self, near: int | None, settled: int) -> int:
        """The key to which the floor may rise: ``settled``, but not past a jump."""
        if near is None:
            self._near.clear()
            return settled
        found = LEAST
        if not self._near or self._near[-1][1] != near:
            self._near.append((self._settling.see(self._reader.writers()), near))
        while len(self._near) > 1 and self._is_settled(self._near[1][0]):
            self._near.popleft()
        if self._is_settled(self._near[0][0]):
            found = self._near[0][1]
        return settled if settled <= near else min(found, near)

    def _look(self) -> None:
        """Look up the greatest key (1)."""
        now_s = self._now_s()
        self._greatest = self._reader.greatest()
        self._settling.answered()
        if self._greatest is not None and now_s - self._sampled_s >= _SAMPLE_S:
            # After the greatest key: whoever was given a smaller one is among them.
            time_s = self._settling.see(self._reader.writers())
            self._sampled_s = now_s
            if not self._samples or self._samples[-1][1] != self._greatest:
                self._samples.append((time_s, self._greatest))
        while self._samples and self._is_settled(self._samples[0][0]):
            self._settled = max(self._settled, self._samples.popleft()[1])
        self._away = None
        if self._greatest is not None and self._greatest < self._floor:
            self._away = (
                f"the greatest {self._key} of {self._table} is {self._greatest}, and it was read up to {self._floor}: "
                "was the table made again? Expected another --name for a new table"
            )

    def _is_settled(self, time_s: float) -> bool:
        if not self._settling.has_passed(time_s):
            return False
        writer = self._settling.held_by(time_s)
        if writer is None or self._has_room():
            return writer is None
        if writer != self._held_said:
            self._held_said = writer
            log.warning(
                "a transaction does not end: rows that it writes to the table may be missed from now on",
                table=self._table,
                transaction=writer,
                rows_above=len(self._seen),
            )
        return True

    def _batch(self, rows: Sequence[TableRow]) -> SourceBatch | None:
        if not rows:
            return None
        batch, last = SourceBatch(), self._last
        if last is not None and self._is_replaced(last):
            batch.losses["replaced"] += 1
            log.error(
                "the table was made again or restored: rows up to the key are not read, if they are others; to read "
                "them, follow the table under another --name",
                table=self._table,
                column=self._key,
                key=max(last.key, self._floor),
            )
        for row in rows:
            origin = (("table", self._table.encode()), ("key", str(row.key).encode()))
            if row.value is None:
                most = f"expected at most {MAX_RECORD_BYTES:,}"
                self._rows.reject(
                    batch, None, f"{ErrorCode.TOO_LONG}: the row has {row.length:,} bytes; {most}", origin
                )
                continue
            batch.read_bytes += len(row.value)
            mapped, fault = self._mapped(row.value)
            last = mark_of(row.key, mapped) or last
            if fault is not None:
                self._rows.reject(batch, row.value, fault, origin)
            for each in mapped:
                self._rows.add(batch, each._replace(raw=row.value), origin)  # a dead letter has names of columns
        seen = self._seen.with_keys([row.key for row in rows])
        batch.positions[POSITION] = self._position(self._floor, seen, last)
        return batch

    def _mapped(self, value: bytes) -> Rows:
        try:
            return self._rows.rows(self._form.of(value))
        except UnicodeEncodeError as error:
            return Rows([], f"{RowErrorCode.NOT_TEXT}: {error.reason} in {error.encoding}")
        except (ValueError, RecursionError):  # a column of JSON may have what no text is, or be nested too deep
            return Rows([], f"{ErrorCode.MALFORMED_JSON}: a column of the row has JSON that cannot be read")

    def _is_replaced(self, last: RowMark) -> bool:
        """Whether the key of the last row that was read is that of another one now."""
        for row in self._reader.rows_of([last.key]):
            found = None if row.value is None else mark_of(row.key, self._mapped(row.value).rows)
            return found is not None and found != last
        return False

    def _position(self, floor: int, seen: SeenKeys, last: RowMark | None) -> TablePosition:
        return TablePosition(self._table, self._key, floor, seen.encode(), last)

    def _take(self, position: TablePosition) -> None:
        self._floor, self._seen, self._last = position.floor, SeenKeys.decode(position.seen), position.last

    def _read_through(self) -> int:
        greatest = self._seen.greatest
        return self._floor if greatest is None else greatest

    def _has_room(self) -> bool:
        return len(self._seen) < MOST_SEEN

    def committed(self, batch: SourceBatch) -> None:
        """See `FollowSource`."""
        position = batch.positions[POSITION]
        if isinstance(position, TablePosition):
            self._take(position)
            self._began = True

    def close(self) -> None:
        """See `FollowSource`."""
        self._reader.close()
