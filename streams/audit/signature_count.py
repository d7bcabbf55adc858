"""Counts the signatures of the reviews that an audit has read: who vouches for them, and which were rejected."""

from collections import Counter
from collections.abc import Iterator

from monitor.partition.processing.task_output import TaskOutput
from monitor.text.masking import mask_text
from schemas.error_codes import ErrorCode

_CODES = (ErrorCode.UNSIGNED_REVIEW, ErrorCode.BAD_SIGNATURE)


class SignatureCount:
    """The count of one partition."""

    def __init__(self) -> None:
        self._vouched: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()

    def add(self, taken: TaskOutput) -> None:
        """Count the reviews of this output."""
        self._vouched += taken.vouched
        self._rejected.update(rejected.reason.partition(":")[0] for rejected in taken.rejected)

    def notes(self) -> Iterator[str]:
        """A sentence on the names that vouch, and one on each reason of rejections."""
        if self._vouched:
            names = ", ".join(f"{mask_text(name)} {count:,}" for name, count in sorted(self._vouched.items()))
            yield f"signed reviews by the name of the key: {names}"
        for code in _CODES:
            if self._rejected[code]:
                yield f"reviews rejected as {code}: {self._rejected[code]:,}"
