"""A source's position: what applies at which offset."""

import numpy as np

from monitor.decoding.source import NO_CLOCK_MS, Source
from monitor.partition.journal import MaxAheadChange
from monitor.partition.source_position import SourceHead, SourceProgress


def test_a_limit_set_when_a_state_is_opened_begins_no_earlier_than_recorded_ones() -> None:
    stored = SourceHead(2, NO_CLOCK_MS, 3, NO_CLOCK_MS, [], [], [MaxAheadChange(0, 5), MaxAheadChange(9, 7)], [], [])
    position = SourceProgress(Source(0), [MaxAheadChange(0, 5)])
    assert position.restore(stored, 6) == MaxAheadChange(9, 6)
    assert position.max_ahead_ms(np.array([0, 8, 9, 10])).tolist() == [5, 5, 6, 6]
