"""The independent oracle: the whole contract (sections 2 to 7) by brute force, in plain Python.

Plain loops over all records, straight from the contract's sentences: no panes, no running sums, no distinct counts, no
evaluation plan, and no code shared with ``monitor``. It is slow; read it beside the contract.

Interpretations, where a sentence of the contract leaves room:

1.  A record beyond ``--not-after`` is rejected before it can advance its source's clock or be remembered.
2.  The ids of late and duplicate calls are not remembered: only accepted calls count as "used before".
3.  Calls: the late line is that of the new record's source, with the new record itself in the clock. A call that
    used the id and was accepted at e makes the new one a duplicate while ``e >= clock - lateness``.
4.  The largest event time of all input is the largest clock: late records, duplicates and records rejected later
    count; records rejected when read do not.
5.  An id (other than a call's) is forgotten at a record with ``event time > last accepted record + retention``;
    event times are those after raising; duplicates and rejected records do not prolong it. A forgotten id starts again.
    The newest `tenant` record is never forgotten, so that a copy of it stays a duplicate.
6.  Decisions are not input records, but closed ones (reversed, lapsed) and those that are no violation (admission) are
    forgotten likewise: at a record with ``event time > its last event + retention``. Pending decisions stay.
7.  A review is checked for being a duplicate before it is checked for a reason to reject it (an uphold repeated under
    the same id is a duplicate); a finding with an unknown row is rejected even if it would be a duplicate.
8.  At one instant, for one id and status, the order is that of the log (tenants and applications: all of them).
    Reviews of one id at one instant: uphold before overturn.
9.  Duplicates of complaints are not complaint records in the window: they do not cause a tenant to be evaluated.
10. Complainants: at equal ``updated_ms`` the record later in decision order is the newest. Null is not a complainant.
11. Evidence of complaints is the newest by the event time of the record that the metric counts (the first; for the
    `verified_` metrics the verified one).
12. A mean or a median (`acd_s`, `pdd_s`, `median_talk_s`), either way: the calls that enter it. `below` of a count:
    none, nor of the metrics of complaints, the two rates included.
13. A shadow decision has status final, the full actions, the tier's refunds, and the count of violations that
    it would have caused. An alert's ``enforcement_id`` never names a shadow decision.
14. An alert's ``enforcement_id`` is the newest decision of that rule and tenant while the alert was active, up to that
    record's instant. Severity is by the rule in effect at that record's instant.
15. The cool-down that counts is that of the deciding rule at its instant (overrides included).
16. A decision that itself terminates or bans takes effect before escalations are evaluated: they decide nothing.
17. An escalation's own final decision is a violation on the record, but counts for no escalation.
18. An event whose key exists already for the tenant is not emitted again (an application raised to one instant
    twice; an escalation triggered twice at one instant by measured decisions), and changes nothing.
19. Lapses stop at the largest event time (or `--until`), though windows continue to the next multiple of the step.
20. Text is compared "as written" after NFKC alone; a Latin letter is one whose Unicode name begins with LATIN, a
    digit one of category Nd. The edge condition holds for `unless` words as for terms.
21. A finding with an unknown ``catalogue_row`` is rejected in its turn whatever its status, if its behaviour is
    `undeclared_business`; with another behaviour the row is ignored.
22. A reversal of a pending escalation that is withdrawn carries the evidence of the reversal that caused it.
23. Reversal of a superseded decision names the id in force; an admission can be upheld, overturned, and lapses.
24. An alert resolved at an end without records has measure null.
25. A digit of a number is one of 0 to 9. A number of value 0 has no predecessor.
26. A review that names an id of another tenant, or of the shadow output, names an unknown id.
27. With `--until`, rules are evaluated up to the last multiple of their step that is not after it, and no further.
28. A lone surrogate makes a line invalid wherever it occurs, also in names and in unknown fields.
29. "The first whole five minutes after" a time is later than the time: a ban at 10:05 takes effect at 10:10.
30. A tenant of several banned owners is refused once an application, and gets one pending ban for each ban of an
    owner. A `tenant` record that is not the newest makes the tenant belong to its owner, too.
"""

from oracle.deciding import judge
from oracle.tenants import Outcome

__all__ = ["Outcome", "judge"]
