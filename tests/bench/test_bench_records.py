"""The bench of one tenant's complaints sends all of them, and reports the cost of each size."""

from bench.records import complaints


def test_each_size_is_reported_with_the_cost_of_one_more() -> None:
    few, more = complaints((40, 80))
    assert [few["complaints"], more["complaints"]] == [40, 80]
    for row in (few, more):
        assert row["bytes_one_more"] > 100
        assert row["us_each"] > 0
        assert row["memory_each"] > 100
        assert {"feed", "transaction"} <= row["longest_ms"].keys()
