"""From when a policy can hold that follows others."""

from monitor.policy.eras import Era
from monitor.policy.load import load
from streams.policies import earliest

HOUR = 3_600_000


def test_a_policy_follows_the_last_also_where_that_is_still_to_come() -> None:
    assert earliest(None, 10 * HOUR - 1) == 10 * HOUR
    assert earliest(Era(9 * HOUR, load(None)), 10 * HOUR) == 10 * HOUR
    assert earliest(Era(30 * HOUR, load(None)), 10 * HOUR) == 30 * HOUR + 300_000
