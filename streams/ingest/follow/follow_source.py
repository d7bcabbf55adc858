"""What is followed, as the follower sees it: files, or a table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streams.ingest.follow.positions import Position
from streams.kafka.outputs import OutputRecord


@dataclass(slots=True)
class SourceBatch:
    """What is written in one transaction: the outcomes of rows, and the positions behind them (None: forgotten).

    ``results`` counts the rows by what became of them, ``codes`` those that were rejected, ``losses`` by reason what
    may have been lost, with the bytes that certainly were in ``lost``.
    """

    outs: list[OutputRecord] = field(default_factory=list)
    positions: dict[str, Position | None] = field(default_factory=dict)
    results: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    read_bytes: int = 0


class Backlog(NamedTuple):
    """What was not read when the source was last looked at, in bytes of files or keys of a table."""

    unit: str
    left: int


class FollowSource(Protocol):
    """Files or a table. All methods are called by one thread at a time."""

    @property
    def away(self) -> str | None:
        """Why the source, or a part of it, cannot be read now; None if it can."""
        ...

    @property
    def backlog(self) -> Backlog:
        """What is left."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether everything was read when the source was last looked at; but for what may not be read yet."""
        ...

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Continue behind these positions. Raises PermanentError if they are of another source."""
        ...

    def read(self) -> SourceBatch | None:
        """What is new; None if nothing is. Before the next call, `committed` or `restore` is called."""
        ...

    def committed(self, batch: SourceBatch) -> None:
        """The batch is written."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
