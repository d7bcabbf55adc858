"""Calls as lines of JSON, in the format of `schemas.inputs.Cdr`.

Formatting takes nearly all of a run's time, so each combination (rang or not, answered or not, consent or not) has
its own template, and values from small sets are looked up as preformatted text.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.simulate.tenants.profiles import OUTCOMES
from monitor.simulate.tenants.traffic import NONE, ONE_CONSENT, SimulatedCalls, mix64

HANGUP = ("", "caller", "callee", "system")
ANSWERED_BY = ("", "human", "machine")
Lines = NDArray[np.object_]


class CallLines:
    """Formats the calls of tenants with these ids, each with at most ``most_agents`` agents.

    Without ``optional`` it omits `ring_ms`, `hangup_by`, `answered_by` and `consent_id`.
    """

    def __init__(self, tenant_ids: Sequence[str], most_agents: int, optional: bool) -> None:
        self.optional = optional
        self.tenants = np.array(tenant_ids, dtype=object)
        self.agents = np.array(["", *(f',"agent_id":"a{i}"' for i in range(1, most_agents + 1))], dtype=object)
        # By outcome, hang-up, answered by, direction, in that order.
        self.tails = np.array(
            [
                f',"direction":"{direction}","outcome":"{outcome}"' + (self._who(hangup, by) if optional else "")
                for outcome in OUTCOMES
                for hangup in HANGUP
                for by in ANSWERED_BY
                for direction in ("outbound", "inbound")
            ],
            dtype=object,
        )

    @staticmethod
    def _who(hangup: str, by: str) -> str:
        return (f',"hangup_by":"{hangup}"' if hangup else "") + (f',"answered_by":"{by}"' if by else "")

    def __call__(self, calls: SimulatedCalls) -> Lines:
        """One line a call, in the calls' order, each with its line feed."""
        tail = ((calls.outcome * len(HANGUP) + calls.hangup) * len(ANSWERED_BY) + calls.answered_by) * 2 + calls.inbound
        tenants = self.tenants[calls.tenant]
        agents = self.agents[calls.agent]
        tails = self.tails[tail]
        ids = mix64(calls.serial.astype(np.uint64))
        rang, answered = calls.ring != NONE, calls.answer != NONE
        consent = (calls.consent != 0) if self.optional else np.zeros(len(calls), dtype=bool)
        consents = np.where(calls.consent == ONE_CONSENT, calls.consent, calls.consent >> np.uint64(16))
        lines = np.empty(len(calls), dtype=object)
        for has_ring, has_answer in ((False, False), (True, False), (True, True)):
            for has_consent in (False, True):
                rows = np.flatnonzero((rang == has_ring) & (answered == has_answer) & (consent == has_consent))
                columns = [ids, tenants, calls.caller, calls.callee, calls.start, calls.end, tails, agents]
                template = (
                    '{"type":"cdr","call_id":"%016x","tenant_id":"%s","caller":"+%d","callee":"+%d",'
                    '"start_ms":%d,"end_ms":%d%s%s'
                )
                if has_ring and self.optional:
                    template += ',"ring_ms":%d'
                    columns.append(calls.ring)
                if has_answer:
                    template += ',"answer_ms":%d'
                    columns.append(calls.answer)
                if has_consent:
                    template += ',"consent_id":"k%x"'
                    columns.append(consents)
                values = zip(*(column[rows].tolist() for column in columns), strict=True)
                lines[rows] = [*map((template + "}\n").__mod__, values)]
        return lines
