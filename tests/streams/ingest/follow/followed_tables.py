"""Tables that are followed, and what was read of them."""

import random
from collections import Counter

import msgspec
import numpy as np

from streams.ingest.follow.positions import Position, decode_position, encode_position
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.follow.tables.row_document import RowDocument
from streams.ingest.follow.tables.sql_table import SqlTable
from streams.ingest.follow.tables.table_rows import TableAway, TableRow
from streams.ingest.follow.tables.table_source import TableSource
from streams.kafka.outputs import OutputRecord

MAPPING = """\
mapping: calls
record: cdr
format: json
fields:
  call_id: {column: callid}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {const: anonymous}
  callee: {const: "+8613800000000"}
  start_ms: {column: at, time: [epoch_ms, iso8601]}
  end_ms: {column: at, time: [epoch_ms, iso8601]}
  outcome: {const: no_answer}
zone: UTC
"""


class MemoryTable:
    """A table as readers see it: only rows that are committed."""

    table, key = "acc", "id"

    def __init__(self) -> None:
        self.visible: set[int] = set()
        self.away = False
        self.open: set[str] = set()
        """The transactions that write."""
        self.made = ""
        """How the ids of its rows begin: otherwise, once the table was made again."""
        self.at = 1772438400000

    def greatest(self) -> int | None:
        if self.away:
            raise TableAway("no answer")
        return max(self.visible, default=None)

    def keys(self, above: int, through: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.array(sorted(key for key in self.visible if above < key <= through), np.int64)

    def rows(self, above: int) -> list[TableRow]:
        return [self._row(key) for key in sorted(key for key in self.visible if key > above)[:7]]

    def rows_of(self, keys: list[int]) -> list[TableRow]:
        return [self._row(key) for key in sorted(self.visible.intersection(keys))[:3]]

    def writers(self) -> frozenset[str]:
        return frozenset(self.open)

    def close(self) -> None:
        pass

    def _row(self, key: int) -> TableRow:
        columns = {"id": key, "callid": f"{self.made}c-{key}", "tenant": "acme", "at": self.at}
        return TableRow(key, msgspec.json.encode(columns))


class Followed:
    """A source of a table; `restart` is what a new process sees."""

    def __init__(self, table: "MemoryTable | SqlTable", rows: RowWriter) -> None:
        self.table, self.rows, self.adapter = table, rows, rows._adapter
        self.now_s = 0.0
        self.from_end = False
        self.outs: list[OutputRecord] = []
        self.losses: Counter[str] = Counter()
        self.positions: dict[str, Position] = {}
        self.source = self._made()

    def _made(self) -> TableSource:
        form = RowDocument(self.adapter, "calls")
        return TableSource(self.table, form, self.rows, lambda: self.now_s, self.from_end)

    def read(self, after_s: float = 2.0, lost: float = 0.0, rng: random.Random | None = None) -> list[str]:
        """Read to the end; a share of the batches is lost, as by a crash."""
        self.now_s += after_s
        first = len(self.outs)
        while (batch := self.source.read()) is not None:
            if rng is not None and rng.random() < lost:
                self.restart()
                continue
            self.outs += batch.outs
            self.losses += batch.losses
            for of, position in batch.positions.items():
                assert position is not None
                self.positions[of] = decode_position(encode_position(position))  # type: ignore[assignment]
            self.source.committed(batch)
        return [shown(out) for out in self.outs[first:]]

    def restart(self) -> None:
        self.source = self._made()
        self.source.restore(self.positions)


def shown(out: OutputRecord) -> str:
    if out.topic == "callwarden.cdr":
        return str(msgspec.json.decode(out.value or b"")["call_id"])
    headers = dict(out.headers)
    return f"letter {headers['key'].decode()}: {headers['reason'].decode()}"
