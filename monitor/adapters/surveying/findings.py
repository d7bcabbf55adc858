"""What a dry run finds of a file."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ReasonCount:
    """One kind of reason: an example, its number of rows, and the first line that has it."""

    example: str
    rows: int
    line: int


@dataclass(slots=True)
class TableUse:
    """The use of a value table: entries that no row has, and values without an entry, with their rows."""

    columns: tuple[str, ...]
    otherwise: str
    never_met: list[str]
    without_entry: dict[str, int]


@dataclass(slots=True)
class KeptNumbers:
    """The values of a field of numbers that are not written in E.164, with examples, masked."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RepeatedIds:
    """Records with the id of an earlier record, the line of the first, and how many ids were compared."""

    rows: int = 0
    line: int = 0
    compared: int = 0


@dataclass(slots=True)
class TenantUse:
    """Different tenants (counted up to 1,000), one of them, whether the file names them, and rows that do not."""

    count: int = 0
    example: str = ""
    from_file: bool = True
    missing: int = 0

    @property
    def constant(self) -> bool:
        """Whether the file has one tenant, although each record names its own."""
        return self.from_file and self.count == 1


@dataclass(slots=True)
class Survey:
    """The outcome of the rows read, in file order. Times in ms.

    ``steps_back`` counts records earlier than the previous one, ``behind`` those earlier than any previous one. Of a
    mapping with events ``rows`` are the calls and rejected events, and ``events`` is the number of rows of the file.
    ``settle_ms`` is how long a mapping with versions holds a call (None: it names no version), and ``superseded`` how
    many rows do not count as another version does.
    """

    mapping: str
    columns: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    rows: int = 0
    records: int = 0
    reasons: list[ReasonCount] = field(default_factory=list)
    tables: dict[str, TableUse] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None
    steps_back: int = 0
    behind: int = 0
    furthest_behind_ms: int = 0
    sorts: bool = True
    samples: list[dict[str, Any]] = field(default_factory=list)
    internal_legs: int = 0
    repeated: RepeatedIds = field(default_factory=RepeatedIds)
    kept_numbers: dict[str, KeptNumbers] = field(default_factory=dict)
    tenants: TenantUse = field(default_factory=TenantUse)
    events: int = 0
    settle_ms: int | None = None
    superseded: int = 0

    @property
    def unused(self) -> list[str]:
        """Columns of the file that the mapping does not read."""
        return [column for column in self.columns if column not in self.used]

    @property
    def never_filled(self) -> list[str]:
        """Fields that no record has."""
        return [name for name, count in self.filled.items() if not count]
