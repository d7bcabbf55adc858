"""At one window end the rules come in file order, then the tenants by their ids, whichever was read first."""

from helpers.shard_harness import ShardHarness, rule


def test_tenants_of_a_window_end_come_by_their_ids_and_not_as_they_were_first_read() -> None:
    override = {"tenant": "b", "rule": "two", "above": 0.4, "owner": "ops", "reason": "agreed", "expires": "2099-01-01"}
    harness = ShardHarness(rules=[rule("two"), rule("one", mode="shadow")], overrides=[override])
    for tenant in ("d", "b", "c", "a"):
        harness.short_calls(1, tenant=tenant)
    assert [(event.data.rule_id, event.subject) for event in harness.until(5)] == [("two", each) for each in "abcd"]
    assert [(event.data.rule_id, event.subject) for event in harness.output.shadow] == [
        ("one", each) for each in "abcd"
    ]
    reported = [(alert.rule_id, alert.tenant_id) for alert in harness.output.alerts]
    assert reported == [(name, each) for name in ("two", "one") for each in "abcd"]
    harness.until(20)
    assert [(alert.rule_id, alert.state, alert.tenant_id) for alert in harness.output.alerts] == [
        (name, "resolved", each) for name in ("two", "one") for each in "abcd"
    ]
