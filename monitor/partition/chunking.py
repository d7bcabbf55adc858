"""Chunking: stores blobs by key as records of a compacted topic, split if they are too long for one record."""

from collections.abc import Iterable, Mapping
from typing import Final

from monitor.text.state_wording import state_text

PART_BYTES: Final = 900_000
"""The most bytes in a part. By default a broker rejects records above a megabyte; the rest is for key and headers."""

_COUNT_BYTES: Final = 2
_ONE_PART: Final = (1).to_bytes(_COUNT_BYTES, "big")


class Chunker:
    """Splits blobs into parts ``<key>/<number>``, each prefixed with the number of parts, and deletes unused parts."""

    def __init__(self) -> None:
        self._parts: dict[str, int] = {}  # the number of parts of blobs with more than one

    def cut(self, blobs: Iterable[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
        """The records that store these blobs, in order. None deletes a record."""
        records: list[tuple[str, bytes | None]] = []
        for key, blob in blobs:
            if blob is not None and len(blob) <= PART_BYTES and key not in self._parts:
                records.append((f"{key}/0", _ONE_PART + blob))  # nearly all are so
                continue
            before = self._parts.pop(key, 1)
            count = 0
            if blob is not None:
                count = max(1, -(-len(blob) // PART_BYTES))
                lead = count.to_bytes(_COUNT_BYTES, "big")
                records += [
                    (f"{key}/{part}", lead + blob[part * PART_BYTES : (part + 1) * PART_BYTES]) for part in range(count)
                ]
                if count > 1:
                    self._parts[key] = count
            records += [(f"{key}/{part}", None) for part in range(count, before)]
        return records

    def join(self, records: Mapping[str, bytes]) -> dict[str, bytes]:
        """Join records to blobs. Raises MissingChunkError if a part is missing."""
        blobs: dict[str, bytes] = {}
        for name, value in records.items():
            key, _, part = name.rpartition("/")
            if part != "0":
                continue
            count = int.from_bytes(value[:_COUNT_BYTES], "big")
            try:
                blobs[key] = b"".join(records[f"{key}/{number}"][_COUNT_BYTES:] for number in range(count))
            except KeyError as missing:
                values = {"count": count, "key": key, "missing": missing.args[0]}
                raise MissingChunkError(state_text("missing_part", **values)) from None
            if count > 1:
                self._parts[key] = count
        return blobs


class MissingChunkError(ValueError):
    """The stored state is incomplete."""
