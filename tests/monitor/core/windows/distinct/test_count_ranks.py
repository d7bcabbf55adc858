"""Count ranks: changes that nobody asks for stay few in memory, and count nevertheless."""

import numpy as np
import pytest

from monitor.core.calls.key_placement import Placement
from monitor.core.windows.distinct.count_ranks import CountRanks


@pytest.mark.parametrize("with_top", [False, True])
def test_changes_are_collected_up_to_a_limit(with_top: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.windows.distinct.count_ranks._MOST_COLLECTED", 10)
    ranks = CountRanks(Placement(), with_top)
    who = np.array([0, 2], np.int32)
    for count in range(1, 30):
        ranks.change(who, np.array([count - 1, 0], np.int32), np.array([count, 3], np.int32))
        assert ranks._collected_rows <= 10
    assert ranks.peak(3).tolist() == [29, 0, 3]
    if with_top:
        assert ranks.top(3).tolist() == [29, 0, 30]
