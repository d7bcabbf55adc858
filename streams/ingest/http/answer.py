"""The answer to a request: which of its records were accepted, and why others were rejected."""

from collections.abc import Sequence
from typing import Final

import msgspec

from monitor.adapters.errors import EXCLUSIONS, RowErrorCode
from schemas.error_codes import ErrorCode

MAX_REASON: Final = 400
"""The most characters of a reason in an answer: the answers to requests with a key are stored."""


FORBIDDEN_TYPE: Final = "forbidden_type"
"""The token may not write records of this type."""

FORBIDDEN_TENANT: Final = "forbidden_tenant"
"""The token may not write records of this tenant."""

NOT_AN_EVENT: Final = "not_an_event"
"""A CloudEvent lacks an attribute, or its `type` is not that of a record."""

OWN_CODES: Final = frozenset({FORBIDDEN_TYPE, FORBIDDEN_TENANT, NOT_AN_EVENT})
"""The codes of the ingest service, beside `schemas.error_codes`."""

_CODES: Final = OWN_CODES.union(map(str, ErrorCode), map(str, RowErrorCode))


class RecordRejection(msgspec.Struct, frozen=True):
    """A rejected record: its place among the records of the request, from 0, and the reason."""

    index: int
    code: str
    reason: str


class DecidedBetween(msgspec.Struct, frozen=True):
    """When everything up to the newest event time of the request is decided: RFC 3339 in UTC, ``latest`` if known.

    ``why`` names the delays, and ``command`` is the one that brings the decisions forward.
    """

    earliest: str
    latest: str | None
    why: str
    command: str | None


class IngestAnswer(msgspec.Struct, frozen=True):
    """Each record that is not among ``rejections`` was accepted. ``decided`` is unset if it is not known."""

    received: int
    accepted: int
    rejected: int
    rejections: tuple[RecordRejection, ...] = ()
    decided: DecidedBetween | msgspec.UnsetType = msgspec.UNSET

    @property
    def fulfilled(self) -> bool:
        """Whether a record was accepted, or there was none to accept: the mapping leaves out every row on purpose."""
        return self.accepted > 0 or all(each.code in EXCLUSIONS for each in self.rejections)


def answer_of(received: int, rejections: Sequence[RecordRejection]) -> IngestAnswer:
    """The answer to a request with so many records."""
    return IngestAnswer(received, received - len(rejections), len(rejections), tuple(rejections))


def rejection_of(index: int, reason: str) -> RecordRejection:
    """The rejection for a reason that begins with a code, as the codec's do."""
    code = reason.partition(":")[0]
    return RecordRejection(index, code if code in _CODES else ErrorCode.UNREADABLE.value, reason[:MAX_REASON])
