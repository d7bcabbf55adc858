"""Files that are followed, as a switch writes them, and what was read of them."""

from collections import Counter
from pathlib import Path

import msgspec

from monitor.adapters.shipped import open_adapter
from streams.ingest.follow.files.file_source import FileSource
from streams.ingest.follow.files.row_format import RowFormat
from streams.ingest.follow.follow_source import SourceBatch
from streams.ingest.follow.positions import Position, decode_position, encode_position
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import TopicInfo
from streams.kafka.outputs import OutputRecord

MAPPING = """\
mapping: calls
record: cdr
format: {form}
fields:
  call_id: {{column: id}}
  tenant_id: {{column: tenant}}
  direction: {{const: outbound}}
  caller: {{const: anonymous}}
  callee: {{const: "+8613800000000"}}
  start_ms: {{column: at, time: epoch_ms}}
  end_ms: {{column: at, time: epoch_ms}}
  outcome: {{const: no_answer}}
"""
HEADER = b"id,tenant,at\n"


class Topics:
    """Their numbers of partitions."""

    async def partitions(self, topics: list[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 2)

    async def topics(self, names: list[str]) -> dict[str, TopicInfo]:
        raise NotImplementedError


class Followed:
    """A source of files, with what it has read; `restart` is what a new process sees."""

    def __init__(self, placement: TopicPlacement, folder: Path, form: str = "csv", pattern: str = "Master.csv") -> None:
        self.mapping = folder / "calls.yaml"
        self.mapping.write_text(MAPPING.format(form=form))
        self.folder, self.pattern, self.placement = folder, pattern, placement
        self.path = folder / "Master.csv"
        self.now_s = 0.0
        self.from_ends = False
        self.outs: list[OutputRecord] = []
        self.positions: dict[str, Position] = {}
        self.batches: list[SourceBatch] = []
        self.source = self._made()

    def _made(self) -> FileSource:
        adapter = open_adapter(str(self.mapping))
        rows = RowWriter(adapter, self.placement, "pbx")
        patterns = [str(self.folder / self.pattern)]
        return FileSource(patterns, RowFormat(adapter, "calls"), rows, lambda: self.now_s, self.from_ends)

    def read(self, after_s: float = 1.0) -> list[str]:
        """Read to the end; the new calls, and for a dead letter its bytes."""
        self.now_s += after_s
        first = len(self.outs)
        while (batch := self.source.read()) is not None:
            self.outs += batch.outs
            self.batches.append(batch)
            for of, position in batch.positions.items():
                if position is None:
                    self.positions.pop(of, None)
                else:
                    self.positions[of] = decode_position(encode_position(position))
            self.source.committed(batch)
        return [shown(out) for out in self.outs[first:]]

    def restart(self) -> None:
        self.source.close()
        self.source = self._made()
        self.source.restore(self.positions)

    @property
    def losses(self) -> Counter[str]:
        return sum((batch.losses for batch in self.batches), Counter[str]())

    @property
    def lost(self) -> Counter[str]:
        return sum((batch.lost for batch in self.batches), Counter[str]())


def shown(out: OutputRecord) -> str:
    value = out.value or b""
    if out.topic == "callwarden.cdr":
        return str(msgspec.json.decode(value)["call_id"])
    return f"letter {value[:60].decode()} at {dict(out.headers)['offset'].decode()}"


def rows(*names: str, at: int = 1_772_438_400_000) -> bytes:
    return b"".join(f"{name},acme,{at}\n".encode() for name in names)


def add(path: Path, content: bytes) -> None:
    with path.open("ab") as out:
        out.write(content)
