"""What is damaged is fetched again some times: it may have been the network, and not what is stored."""

import logging
from typing import Final

from aiokafka import TopicPartition

from streams.kafka.api import TP, CorruptLog
from streams.kafka.fetch.columnar_fetch import CorruptBatch

_log = logging.getLogger(__name__)

TRIES: Final = 4
"""How often a damaged batch is fetched before it is taken to be stored so."""


class DamageRetries:
    """What one reader found damaged, and how often."""

    def __init__(self) -> None:
        self._found: dict[TopicPartition, tuple[int, int]] = {}

    def met(self, torn: CorruptBatch) -> CorruptLog | None:
        """None: it is to be fetched again. Else what is to be raised, and then it may be tried as often once more."""
        offset, times = self._found.get(torn.tp, (torn.offset, 0))
        times = times + 1 if offset == torn.offset else 1
        if times < TRIES:
            self._found[torn.tp] = torn.offset, times
            _log.warning("fetching again what came damaged: %s", torn)
            return None
        self._found.pop(torn.tp, None)
        return CorruptLog(TP(*torn.tp), torn.offset, torn.why, torn.last, torn.raw)
