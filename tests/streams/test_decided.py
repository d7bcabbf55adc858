"""Of what two workers have decided, that is compared up to which both have judged, partition by partition."""

from typing import Any

from streams.decided import Decided, until_both


def event(at_ms: int) -> dict[str, Any]:
    return {"id": f"e{at_ms}", "data": {"decided_ms": at_ms}}


def test_a_partition_is_compared_up_to_where_the_slower_of_both_has_judged_it() -> None:
    a = Decided([(0, event(at_ms)) for at_ms in (5, 10, 20)] + [(1, event(25))], [30, 40])
    b = Decided([], [20, 40])
    until_ms = until_both(a, b)
    assert until_ms == [20, 40]
    # At the very instant of a watermark windows are judged, and records are not yet.
    assert [e["id"] for e in a.between(0, until_ms)] == ["e5", "e10", "e25"]
    assert [e["id"] for e in a.between(10, until_ms)] == ["e10", "e25"]


def test_a_partition_that_one_has_not_begun_is_not_compared() -> None:
    a, b = Decided([(0, event(5))], [30]), Decided([], [0])
    assert a.between(0, until_both(a, b)) == []
