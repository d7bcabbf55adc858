"""Fetches damaged batches again a few times: the damage may come from the network, not from the stored log."""

import logging
from typing import Final

from aiokafka import TopicPartition

from streams.kafka.api import TP, CorruptLog
from streams.kafka.fetch.columnar_fetch import CorruptBatch

_log = logging.getLogger(__name__)

TRIES: Final = 4
"""How often a damaged batch is fetched before the stored log is considered damaged."""


class DamageRetries:
    """The damaged batches that one reader found, and how often."""

    def __init__(self) -> None:
        self._found: dict[TopicPartition, tuple[int, int]] = {}

    def met(self, torn: CorruptBatch) -> CorruptLog | None:
        """Count a damaged batch: None to fetch it again, else the error to raise; then the count starts over."""
        offset, times = self._found.get(torn.tp, (torn.offset, 0))
        times = times + 1 if offset == torn.offset else 1
        if times < TRIES:
            self._found[torn.tp] = torn.offset, times
            _log.warning("fetching damaged data again: %s", torn)
            return None
        self._found.pop(torn.tp, None)
        return CorruptLog(TP(*torn.tp), torn.offset, torn.why, torn.last, torn.raw)
