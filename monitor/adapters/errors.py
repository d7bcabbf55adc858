"""The errors between a file and its records.

ValueError
+-- MappingError: the mapping cannot be used, or not on this file; carries `PolicyFault`s with their positions
+-- Reject: a row is not converted to a record; the message is the reason
+-- TooManyRows: a document has more rows than its reader accepts
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Final

from monitor.policy.file.errors import PolicyFault
from monitor.text.masking import mask_text


class RowErrorCode(StrEnum):
    """The code words of reasons that are specific to adapters; others are in `schemas.error_codes.ErrorCode`. They
    never change.
    """

    EXCLUDED = "excluded"
    """The mapping's ``reject`` excludes the row."""

    FUTURE_EVENT = "future_event"
    """The event is dated further ahead of its Kafka timestamp than is allowed."""

    INCOMPLETE = "incomplete"
    """A call of several events lacks the one that opens it, or the end of its talk."""

    INTERNAL_LEG = "internal_leg"
    """The row is a leg inside the switch: another row counts the call."""

    LATE_EVENT = "late_event"
    """The event's call has ended before."""

    MALFORMED_ROW = "malformed_row"
    """The row has the wrong number of cells, or an unclosed quoted cell; or is no form."""

    NOT_TEXT = "not_text"
    """A byte is invalid in the file's encoding."""

    SUPERSEDED = "superseded"
    """Another version of the call counts: a greater one, or the first of the same."""

    SUPERSEDED_LATE = "superseded_late"
    """The version came after the record of its call was written."""

    TOO_MANY_OPEN_CALLS = "too_many_open_calls"
    """The call was the oldest of its tenant's open calls, and there were too many."""

    UNREADABLE_TIME = "unreadable_time"
    """A time or a duration has none of the forms that the mapping names."""


EXCLUSIONS = frozenset({RowErrorCode.EXCLUDED, RowErrorCode.INTERNAL_LEG, RowErrorCode.SUPERSEDED})
"""The codes of rows that the mapping leaves out on purpose."""


class MappingError(ValueError):
    """A mapping that cannot be used. ``faults`` are all of its faults, sorted by position, without duplicates."""

    def __init__(self, faults: Iterable[PolicyFault]) -> None:
        # A wrong column may be a telephone number if a file has no header, or the mapping a wrong delimiter.
        self.faults = tuple(sorted(set(map(_masked, faults))))
        super().__init__("\n".join(map(str, self.faults)))


def _masked(fault: PolicyFault) -> PolicyFault:
    return replace(fault, message=mask_text(fault.message), message_zh=mask_text(fault.message_zh))


class Reject(ValueError):
    """This row is not converted to a record, for the reason in the message."""

    def of(self, field: str) -> "Reject":
        """The same reason, with the field between its code word and the rest."""
        word, _, rest = str(self).partition(": ")
        return Reject(f"{word}: {field}: {rest}")


class TooManyRows(ValueError):
    """A document has more rows than its reader accepts, or could have."""


_LOOKED_AT: Final = 1_000


def quoted_value(text: str) -> str:
    """``text`` in quotes for a reason: numbers masked, cut if it is long."""
    text = mask_text(text[:_LOOKED_AT])  # far behind what is shown nothing matters, and a text may have a megabyte
    return repr(text if len(text) <= 60 else text[:57] + "...")
