"""The error of a record that cannot be decoded, and the limits that one must keep.

A producer chooses the schema and the bytes of its records. A schema decides what few bytes can become: with fastavro
1.13, 9 bytes of an array of nulls take 3 GB, and 1 MB of a recursive record ends the process with a segmentation fault.
"""

from typing import Final

from schemas.error_codes import ErrorCode

MAX_DOCUMENT_BYTES: Final = 8 << 20
"""The most bytes that a record may have as a JSON document, the same as of a request to the ingest service."""

MAX_SCHEMA_BYTES: Final = 512 << 10
"""The most bytes of a schema with its references, as the registry sends them."""

MAX_EMPTY_BYTES: Final = 256 << 10
"""The most bytes of the document of a record without items, strings and bytes: the names of its fields, and values."""

MAX_DEPTH: Final = 32
"""How deep types may be nested in a schema."""

MAX_NAME: Final = 256
"""The most characters of the name of a field, and of the symbol of an enum."""

VALUE_BYTES: Final = 24
"""What a value is estimated to have in a document, besides its name and the bytes of a string: a number, a comma."""


class Undecodable(ValueError):
    """This record cannot be decoded, now or later: it is a dead letter. The message is the reason, with its code."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.UNREADABLE) -> None:
        super().__init__(f"{code}: {message}")


class SchemaRefused(ValueError):
    """A schema that is not used to decode anything, for the reason in the message."""


def check_size(value_bytes: int, document_bytes: int) -> None:
    """Raise `Undecodable` if a record could become a document that is too large."""
    if document_bytes > MAX_DOCUMENT_BYTES:
        raise Undecodable(
            f"the record has {value_bytes:,} bytes, which its schema could make {document_bytes:,} bytes of JSON; "
            f"expected at most {MAX_DOCUMENT_BYTES:,}",
            ErrorCode.TOO_LONG,
        )
