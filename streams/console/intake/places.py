"""Where a followed record lies and its bytes, as columns; and the lengths that the tables' indexes allow."""

from typing import Any, Final

from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import UndecodableRecord

_LONGEST: Final = 128  # of an id, in code points
_LONGEST_RULE: Final = 256


def place_of(record: FollowedRecord) -> dict[str, Any]:
    """The columns of a record's place and bytes."""
    return {
        **record.tp._asdict(),
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": record.key,
        "value": record.value,
    }


def check_lengths(**values: str | None) -> None:
    """Raises UndecodableRecord if a text is longer than ids are."""
    for name, value in values.items():
        most = _LONGEST_RULE if name == "rule_id" else _LONGEST
        if value is not None and len(value) > most:
            raise UndecodableRecord(f"{name} has {len(value)} characters; expected at most {most}")
