"""The output of a task: what its intake passes on, and what its shard decides."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.record_places import RecordLogs
from monitor.core.results import Output, RejectedRecord
from monitor.decoding.merge import LateCall, RejectedRow
from monitor.partition.journal import JournalEntry

_MOST_PASSED_ON = 5_000  # late and rejected records to pass on in one transaction, plus at most one slice of input
_PASSED_ON_BYTES = 4_096  # this many bytes of a record count as another record
_VERIFIED_WEIGHT = 4  # a signature that was verified counts as so many records: it takes a tenth of a millisecond


@dataclass(slots=True)
class TaskOutput:
    """The input and output since the last call. Rows that are read again do not count.

    ``rejected`` includes those of ``output``. ``journal`` has its entries with the number of their source, None for the
    partition. ``logs`` names the places of ``output``. ``vouched`` counts the reviews whose signature was right, by the
    name of the key; those that are read again count, too.
    """

    output: Output = field(default_factory=Output)
    rows: int = 0
    late: list[LateCall] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    duplicates: int = 0
    journal: list[tuple[int | None, JournalEntry]] = field(default_factory=list)
    logs: RecordLogs = field(default_factory=RecordLogs)
    vouched: Counter[str] = field(default_factory=Counter)


class PassedOn:
    """What the intake passes on between two transactions: late calls, rejected rows, and the counts of its input."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Drop what was collected."""
        self._taken = TaskOutput()
        self._weight = 0  # of the late and rejected records, and of verified signatures

    def count(self, rows: int = 0, duplicates: int = 0) -> None:
        """Count rows that were read, and duplicates among them."""
        self._taken.rows += rows
        self._taken.duplicates += duplicates

    def verified(self, signatures: int, vouched: Mapping[str, int]) -> None:
        """Count signatures that were verified, and by name those that were right.

        Their number in a transaction is limited: a producer could send many that are wrong.
        """
        self._weight += _VERIFIED_WEIGHT * signatures
        self._taken.vouched.update(vouched)

    def late(self, calls: Sequence[LateCall]) -> None:
        """Pass on late calls."""
        self._taken.late += calls
        self._weight += sum(_weight(one.raw) for one in calls)

    def reject(self, rows: Sequence[RejectedRow]) -> None:
        """Pass on rejected rows."""
        self._taken.rejected += rows
        self._weight += sum(_weight(one.raw) for one in rows)

    def __len__(self) -> int:
        return len(self._taken.late) + len(self._taken.rejected)

    @property
    def full(self) -> bool:
        """Whether there are as many late and rejected records as one transaction may carry.

        Feeding more before `take` makes the transaction larger.
        """
        return self._weight >= _MOST_PASSED_ON

    def take(self, output: Output, entries: list[tuple[int | None, JournalEntry]], logs: RecordLogs) -> TaskOutput:
        """The output since the last call, with that of the shard and the entries."""
        taken = self._taken
        self.clear()
        taken.output, taken.journal, taken.logs = output, entries, logs
        taken.duplicates += output.duplicates
        taken.rejected += [_rejected(one) for one in output.rejected]
        return taken


def _rejected(one: RejectedRecord) -> RejectedRow:
    return RejectedRow(one.ref, one.reason, one.raw, one.tenant_id.encode(), signature=one.signature)


def _weight(raw: bytes | None) -> int:
    return 1 + len(raw or b"") // _PASSED_ON_BYTES
