"""What can go wrong between a file and its records.

ValueError
+-- MappingError: the mapping cannot be used, or not on this file; carries `PolicyFault`s with their places
+-- Reject: one row becomes no record; the message is the reason
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from monitor.policy.file.errors import PolicyFault
from monitor.text.masking import mask_numbers


class RowErrorCode(StrEnum):
    """The code words of reasons that are the adapters' own; others are `schemas.error_codes.ErrorCode`'s. None ever
    changes.
    """

    EXCLUDED = "excluded"
    """The mapping's ``reject`` says that such a row is no record."""

    MALFORMED_ROW = "malformed_row"
    """The row has the wrong count of cells, or a quoted cell that is not closed."""

    NOT_TEXT = "not_text"
    """A byte is not of the file's encoding."""

    UNREADABLE_TIME = "unreadable_time"
    """A time or a duration has none of the forms that the mapping names."""


class MappingError(ValueError):
    """A mapping that cannot be used. ``faults`` are all of its faults, sorted by place, without repetitions."""

    def __init__(self, faults: Iterable[PolicyFault]) -> None:
        # A wrong column may be a telephone number, where a file has no header, or the mapping a wrong delimiter.
        self.faults = tuple(sorted({replace(fault, message=mask_numbers(fault.message)) for fault in faults}))
        super().__init__("\n".join(map(str, self.faults)))


class Reject(ValueError):
    """This row becomes no record, for the reason in the message."""


def quoted_value(text: str) -> str:
    """``text`` in quotes, numbers masked, cut where it is long: what a reason says of a value."""
    text = mask_numbers(text)
    return repr(text if len(text) <= 60 else text[:57] + "...")
