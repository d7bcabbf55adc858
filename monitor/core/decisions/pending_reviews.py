"""Decisions that wait for a review, by the time at which they end without one."""

import heapq
from itertools import islice

from monitor.core.tenants.heaps import in_order, those_before
from monitor.core.tenants.tenant_record import DecisionCase, TenantRecord

_Entry = tuple[int, str, str, int, DecisionCase]  # when it ends, tenant id, case id, tenant number, the case


class PendingReviews:
    """The pending cases of all tenants. A case that was reviewed in time stays until its deadline.

    An application waits until its id is forgotten; each of its versions postpones that.
    """

    def __init__(self) -> None:
        self._lapses: list[_Entry] = []  # a heap
        self._kept_until: dict[str, int] = {}  # of cases without a review deadline, by first id
        self._decided = 0  # at least so many entries of such cases are no longer needed

    def add(self, tenant_record: TenantRecord, case: DecisionCase, kept_until_ms: int | None = None) -> None:
        """Add a case, which waits until its ``review_by_ms``, or if it has none, until ``kept_until_ms``."""
        if case.review_by_ms is None:
            assert kept_until_ms is not None
            self._kept_until[case.first_id] = kept_until_ms
        ends_ms = self._ends_ms(case)
        assert ends_ms is not None
        heapq.heappush(self._lapses, (ends_ms, tenant_record.tenant_id, case.first_id, tenant_record.tenant, case))

    def prolong(self, case: DecisionCase, kept_until_ms: int) -> None:
        """Let a case without a review deadline wait longer."""
        self._kept_until[case.first_id] = kept_until_ms

    def remove(self, case: DecisionCase) -> None:
        """Remove a case without a review deadline that is no longer pending."""
        if self._kept_until.pop(case.first_id, None) is None:
            return
        self._decided += 1
        if 2 * self._decided > len(self._lapses):  # they would stay for the whole of `retention`
            self._lapses = [entry for entry in self._lapses if entry[-1].status == "pending" and entry[-1] is not case]
            heapq.heapify(self._lapses)
            self._decided = 0

    def _ends_ms(self, case: DecisionCase) -> int | None:
        """When a pending case ends; None for a case that is no longer pending."""
        if case.status != "pending":
            return None
        return self._kept_until[case.first_id] if case.review_by_ms is None else case.review_by_ms

    def by_rule(self) -> dict[str, tuple[int, int]]:
        """The pending decisions by rule: their number, and the time of the first lapse."""
        found: dict[str, tuple[int, int]] = {}
        for *_, case in self._lapses:
            ends_ms = self._ends_ms(case)
            if ends_ms is not None:
                count, first_ms = found.get(case.rule_id, (0, ends_ms))
                found[case.rule_id] = count + 1, min(first_ms, ends_ms)
        return found

    def next_lapse(self, until_ms: int) -> int | None:
        """The next instant, up to ``until_ms``, at which a pending decision lapses."""
        while self._lapses and self._lapses[0][0] <= until_ms:
            at_ms, tenant_id, first_id, tenant, case = self._lapses[0]
            ends_ms = self._ends_ms(case)
            if ends_ms == at_ms:
                return at_ms
            heapq.heappop(self._lapses)  # it was reviewed in time
            if ends_ms is not None and ends_ms > at_ms:  # or it waits longer
                heapq.heappush(self._lapses, (ends_ms, tenant_id, first_id, tenant, case))
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
        self._kept_until.pop(case.first_id, None)
        return tenant, case
