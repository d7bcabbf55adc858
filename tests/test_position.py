"""A source's position: what holds at which offset."""

import numpy as np

from monitor.decoding.decode import NO_CLOCK_MS, Source
from monitor.partition.journal import Limit
from monitor.partition.source_position import Position, SourceHead


def test_a_limit_told_when_a_state_is_opened_begins_no_earlier_than_those_that_were_noted() -> None:
    stored = SourceHead(2, NO_CLOCK_MS, 3, NO_CLOCK_MS, [], [], [Limit(0, 5), Limit(9, 7)], [], [])
    position = Position(Source(0), [Limit(0, 5)])
    assert position.restore(stored, 6) == Limit(9, 6)
    assert position.max_ahead_ms(np.array([0, 8, 9, 10])).tolist() == [5, 5, 6, 6]
