"""The earliest effective time of a policy that follows others, and which of those are still in the future."""

import pytest

from monitor.partition.journal import PolicyChange
from monitor.policy.load import load, loads
from monitor.policy.serialize import to_plain
from monitor.policy.timeline import PolicyVersion
from streams.kafka.api import PermanentError
from streams.topics.policy_log import LoggedPolicies, earliest, in_the_way, lateness_ms, shortest_lateness_ms

HOUR = 3_600_000


def test_a_policy_follows_the_last_also_where_that_is_still_to_come() -> None:
    assert earliest(None, 10 * HOUR - 1) == 10 * HOUR
    assert earliest(PolicyVersion(9 * HOUR, load(None)), 10 * HOUR) == 10 * HOUR
    assert earliest(PolicyVersion(30 * HOUR, load(None)), 10 * HOUR) == 30 * HOUR + 300_000


def test_late_calls_are_waited_for_as_the_policies_say_that_hold_or_are_to_come() -> None:
    def switch(from_ms: int, lateness: str) -> PolicyChange:
        policy = loads(f"id: house\nversion: '1'\ndefaults: {{lateness: {lateness}}}\n", "house.yaml")
        return PolicyChange(from_ms, policy.sha256, to_plain(policy))

    past, holds, coming = switch(0, "3h"), switch(9 * HOUR, "2m"), switch(12 * HOUR, "1h")
    assert lateness_ms({0: LoggedPolicies(10 * HOUR, [past, holds])}, 7 * HOUR) == 120_000
    assert lateness_ms({0: LoggedPolicies(10 * HOUR, [past, holds, coming])}, 7 * HOUR) == HOUR
    assert lateness_ms({0: LoggedPolicies(10 * HOUR, [past, holds]), 1: LoggedPolicies(0)}, 7 * HOUR) == 7 * HOUR, (
        "none is noted there"
    )
    assert lateness_ms({0: LoggedPolicies(0, [coming])}, 600_000) == HOUR
    assert shortest_lateness_ms({0: LoggedPolicies(0, [coming])}, 600_000) == 600_000
    assert shortest_lateness_ms({0: LoggedPolicies(10 * HOUR, [past, holds, coming])}, 7 * HOUR) == 120_000
    assert shortest_lateness_ms({}, 600_000) == 600_000
    with pytest.raises(PermanentError, match="expected a policy that this release can read"):
        lateness_ms({0: LoggedPolicies(HOUR, [PolicyChange(0, "a", {})])}, 0)


def test_only_what_is_still_to_come_and_would_hold_later_is_in_the_way() -> None:
    first, begun, later = PolicyChange(0, "a", {}), PolicyChange(9 * HOUR, "b", {}), PolicyChange(12 * HOUR, "c", {})
    found = {0: LoggedPolicies(10 * HOUR, [first, begun]), 1: LoggedPolicies(8 * HOUR, [first, begun, later])}
    assert [one.coming for one in found.values()] == [[], [begun, later]]
    assert in_the_way(found, 8 * HOUR) is later
    assert in_the_way(found, 12 * HOUR - 1) is later, "from the same time on"
    assert in_the_way(found, 12 * HOUR + 1) is None
    assert in_the_way({0: found[0]}, 8 * HOUR) is None, "what has begun is followed"
