"""The panes of a step enter the windows together when the step has ended, and not while no rule can be evaluated."""

import numpy as np

from helpers.shard_samples import MINUTE, T0, cdr, columns, policy_of
from monitor.core.calls.fields import FieldLayout
from monitor.core.windows.pane import Pane, to_panes
from monitor.core.windows.pane_merger import PaneMerger
from monitor.core.windows.window import SlidingWindow

STEP = 15 * MINUTE
RULE = {"id": "r", "behaviour": "blind_calling", "metric": "callee_over_limit", "above": 1}
POLICY = policy_of(
    rules=[{**RULE, "window": "90m", "step": "30m"}, {**RULE, "id": "s", "window": "90m", "step": "45m"}]
)
LAYOUT = FieldLayout.of(POLICY.params, POLICY.rules)


def merger() -> tuple[PaneMerger, SlidingWindow]:
    window = SlidingWindow(90 * MINUTE, 5 * MINUTE, 0, POLICY.rules, LAYOUT)
    return PaneMerger(window.step_ms, [window]), window


def panes(*minutes: int) -> list[Pane]:
    _, calls, _ = columns(
        [cdr(call_id=str(m), callee="1", start_ms=T0 + m * MINUTE, end_ms=T0 + m * MINUTE) for m in minutes]
    )
    return to_panes(calls, 5 * MINUTE, LAYOUT, [])


def test_panes_of_a_step_enter_as_one_when_it_has_ended() -> None:
    some, window = merger()
    assert some.step_ms == STEP, "what divides all steps of the rules"
    some.panes += panes(0, 5, 11, 12)
    some.enter_ended(T0 + STEP - 1, 1)
    assert not window.live
    assert len(window.coming) == 3
    some.enter_ended(T0 + STEP, 1)
    assert window.running_sums.records == 4
    assert not window.coming
    assert window.distinct["callees"].distinct(1).tolist() == [1]
    window.leave(T0 + 1)
    assert not window.live, "they leave as one, too, from the beginning of the step"


def test_a_lonely_pane_is_as_old_as_its_step() -> None:
    some, window = merger()
    some.panes += panes(10)
    some.enter_ended(T0 + STEP, 1)
    window.leave(T0)
    assert window.running_sums.records == 1
    window.leave(T0 + 1)
    assert window.running_sums.records == 0


def test_a_step_ends_when_any_rule_may_be_judged_then() -> None:
    some, _ = merger()
    bounds = {30 * MINUTE: T0, 45 * MINUTE: T0 + STEP - 1}
    assert some.due(bounds) is None
    some.panes += panes(0)
    assert some.due(bounds) is None
    assert some.due({**bounds, 30 * MINUTE: T0 + STEP}) == T0 + STEP


def test_a_pane_that_has_left_already_does_not_enter() -> None:
    some, window = merger()
    window.leave(T0 + 1)
    some.panes += panes(0)
    some.enter_ended(T0 + STEP, 1)
    assert window.running_sums.records == 0
    assert np.array_equal(window.running_sums.field(0, 1), [0])
