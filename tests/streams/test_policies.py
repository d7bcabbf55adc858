"""From when a policy can hold that follows others, and which of those are still to come."""

from monitor.notes import Switch
from monitor.policy.eras import Era
from monitor.policy.load import load
from streams.policies import Noted, earliest, in_the_way

HOUR = 3_600_000


def test_a_policy_follows_the_last_also_where_that_is_still_to_come() -> None:
    assert earliest(None, 10 * HOUR - 1) == 10 * HOUR
    assert earliest(Era(9 * HOUR, load(None)), 10 * HOUR) == 10 * HOUR
    assert earliest(Era(30 * HOUR, load(None)), 10 * HOUR) == 30 * HOUR + 300_000


def test_only_what_is_still_to_come_and_would_hold_later_is_in_the_way() -> None:
    first, begun, later = Switch(0, "a", {}), Switch(9 * HOUR, "b", {}), Switch(12 * HOUR, "c", {})
    found = {0: Noted(10 * HOUR, [first, begun]), 1: Noted(8 * HOUR, [first, begun, later])}
    assert [one.coming for one in found.values()] == [[], [begun, later]]
    assert in_the_way(found, 8 * HOUR) is later
    assert in_the_way(found, 12 * HOUR - 1) is later, "from the same time on"
    assert in_the_way(found, 12 * HOUR + 1) is None
    assert in_the_way({0: found[0]}, 8 * HOUR) is None, "what has begun is followed"
