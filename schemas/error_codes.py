"""Why a record is rejected: the stable code words at the start of every reason, and the error that carries one."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The code word of a reason. Programs may count by it: a word never changes its meaning and is never reused."""

    NOT_UTF8 = "not_utf8"
    """The bytes are not UTF-8, in any field."""

    MALFORMED_JSON = "malformed_json"
    """The text is not JSON: NaN, a trailing comma, a raw control character, a byte order mark, two values ..."""

    TRUNCATED_JSON = "truncated_json"
    """The text is JSON up to where it ends, but incomplete."""

    LONE_SURROGATE = "lone_surrogate"
    r"""A string escapes half a surrogate pair (``\ud800``), which is not a character and cannot be encoded as UTF-8."""

    TOO_DEEP = "too_deep"
    """Arrays and objects are nested deeper than `schemas.codec.MAX_DEPTH`."""

    TOO_LONG = "too_long"
    """The line has `schemas.codec.MAX_BYTES` or more, white space included. Only its first 4,096 bytes are kept."""

    NOT_AN_OBJECT = "not_an_object"
    """The text is JSON, but an array, a string, a number, a boolean or null."""

    MISSING_FIELD = "missing_field"
    """A required field of the type is absent."""

    UNKNOWN_TYPE = "unknown_type"
    """``type`` does not name an input record."""

    WRONG_TYPE = "wrong_type"
    """A field has the wrong JSON type; an integer written ``1.0`` or ``1e3`` is one of these."""

    WRONG_LENGTH = "wrong_length"
    """A string is empty but must not be, or is too long, in code points; or a list is too long."""

    UNKNOWN_VALUE = "unknown_value"
    """A field holds a word that is not in its list."""

    OUT_OF_RANGE = "out_of_range"
    """A time outside the years 1990 to 2099."""

    IMPOSSIBLE_TIMES = "impossible_times"
    """The times of a call are not in the order start, ring, answer, end."""

    ANSWER_MISMATCH = "answer_mismatch"
    """``answer_ms`` is present although the outcome is not ``answered``, or absent although it is."""

    UNREADABLE = "unreadable"
    """The decoder failed in a way that no other code covers; the reason gives the error's class."""

    UNSIGNED_REVIEW = "unsigned_review"
    """The worker has review keys, and the review has no header `callwarden-signature`."""

    BAD_SIGNATURE = "bad_signature"
    """The header `callwarden-signature` of a review is malformed, names an unknown key, or its signature is not that
    of the review's bytes."""

    BAD_HEADER = "bad_header"
    """The name of a Kafka header of the record is not UTF-8."""

    MALFORMED_RECORD = "malformed_record"
    """A record in a record batch states lengths that do not fit into it; the other records can be read."""

    MALFORMED_BATCH = "malformed_batch"
    """A record batch cannot be split into records; the reason names its offsets."""

    UNDECODABLE_BATCH = "undecodable_batch"
    """The payload of a record batch cannot be decompressed, or its codec is unknown."""

    BATCH_TOO_LARGE = "batch_too_large"
    """A record batch holds more bytes or records after decompression than the reader accepts."""

    OLD_FORMAT = "old_format"
    """A record batch has the format of Kafka 0.10 or earlier (magic 0 or 1)."""


class InvalidRecordError(ValueError):
    """A rejected record. The message is the readable reason, one line, beginning with an `ErrorCode`."""
