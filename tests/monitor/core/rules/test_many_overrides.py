"""Many overrides: a window end costs one evaluation per set of parameters, not per override."""

from collections import Counter

import pytest

from helpers.shard_harness import ShardHarness, rule, summaries
from monitor.core.windows.window import SlidingWindow


def test_overrides_with_the_same_parameters_share_one_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"owner": "ops", "reason": "agreed", "expires": "2099-01-01", "rule": "one"}
    strict = [{"tenant": f"t{n}", "above": 0.4 + n / 1000, "with": {"short_call_s": 2}, **said} for n in range(30)]
    absent = [{"tenant": f"gone{n}", "with": {"short_call_s": 3 + n % 5}, **said} for n in range(30)]
    harness = ShardHarness(rules=[rule("one")], overrides=strict + absent)
    harness.short_calls(1, talk_ms=3_000)
    for n in range(30):
        harness.short_calls(1, tenant=f"t{n}")
    looked: Counter[str] = Counter()
    measure = SlidingWindow.measure

    def counted(window: SlidingWindow, name: str, *arguments: object) -> object:
        looked[name] += 1
        return measure(window, name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SlidingWindow, "measure", counted)
    assert len(summaries(harness.until(5))) == 31
    assert looked == {"short_call_ratio": 2}
