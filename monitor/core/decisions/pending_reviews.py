"""Decisions that wait for a review, by review deadline."""

import heapq
from itertools import islice

from monitor.core.tenants.heaps import in_order, those_before
from monitor.core.tenants.tenant_record import DecisionCase, TenantRecord

_Entry = tuple[int, str, str, int, DecisionCase]  # review_by_ms, tenant id, case id, tenant number, the case


class PendingReviews:
    """The pending cases of all tenants. A case that was reviewed in time stays until its deadline."""

    def __init__(self) -> None:
        self._lapses: list[_Entry] = []  # a heap

    def add(self, tenant_record: TenantRecord, case: DecisionCase) -> None:
        """Add a case, which waits until its ``review_by_ms``."""
        assert case.review_by_ms is not None
        heapq.heappush(
            self._lapses, (case.review_by_ms, tenant_record.tenant_id, case.first_id, tenant_record.tenant, case)
        )

    def by_rule(self) -> dict[str, tuple[int, int]]:
        """The pending decisions by rule: their number, and the time of the first lapse."""
        found: dict[str, tuple[int, int]] = {}
        for at_ms, _, _, _, case in self._lapses:
            if case.status == "pending" and case.review_by_ms == at_ms:
                count, first_ms = found.get(case.rule_id, (0, at_ms))
                found[case.rule_id] = count + 1, min(first_ms, at_ms)
        return found

    def next_lapse(self, until_ms: int) -> int | None:
        """The next instant, up to ``until_ms``, at which a pending decision lapses."""
        while self._lapses and self._lapses[0][0] <= until_ms:
            at_ms, _, _, _, case = self._lapses[0]
            if case.status == "pending" and case.review_by_ms == at_ms:
                return at_ms
            heapq.heappop(self._lapses)  # it was reviewed in time
        return None

    def lapses_beyond(self, most: int, until_ms: int) -> int | None:
        """The instant, up to ``until_ms``, at which a decision lapses after ``most`` others; None if there is none.

        The result may be too early, because cases that were reviewed in time are counted too.
        """
        if len(self._lapses) <= most:
            return None
        at_ms = next(islice(in_order(self._lapses), most, None))[0]
        return at_ms if at_ms <= until_ms else None

    def lapses_due(self, until_ms: int, most: int) -> int:
        """The number of decisions that lapse up to ``until_ms`` or were reviewed in time, counted up to ``most``."""
        return sum(1 for _ in islice(those_before(self._lapses, (until_ms + 1,)), most))

    def pop(self) -> tuple[int, DecisionCase]:
        """Remove the case that `next_lapse` found. Returns the tenant number and the case."""
        _, _, _, tenant, case = heapq.heappop(self._lapses)
        return tenant, case
