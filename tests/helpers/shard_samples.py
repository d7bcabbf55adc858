"""Samples for tests of the shard's parts: calls, columns, policies, and the number of examples of hypothesis."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.core.calls.columns import Calls, Gathered, to_columns
from monitor.core.calls.fields import FieldLayout
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.pane import KEY_SETS
from monitor.policy.load import loads
from monitor.policy.model import Params, Policy
from schemas.inputs import Cdr

T0 = 1_772_409_600_000  # 2026-03-02T00:00:00Z
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
LAYOUT = FieldLayout(
    (1_000, 6_000),
    ("America/New_York", "Asia/Shanghai"),
    frozenset(KEY_SETS),
    True,
    (1, 3_000),
    ("America/New_York", "Asia/Shanghai"),
)
BARE_LAYOUT = replace(LAYOUT, key_sets=frozenset(), talk=False)
PARAMS = Params(6_000, 5, "Asia/Shanghai")
OUTCOMES = (
    "answered",
    "no_answer",
    "busy",
    "rejected",
    "invalid_number",
    "unreachable",
    "carrier_blocked",
    "policy_blocked",
    "cancelled",
    "failed",
)


def tries(count: int) -> settings:
    """Run that many examples, however long they take to draw."""
    return settings(
        max_examples=count,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def cdr(**changes: Any) -> Cdr:
    """An unanswered outbound call; ``changes`` replace fields."""
    fields: dict[str, Any] = {
        "call_id": "c1",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8619000000001",
        "callee": "+8613800000001",
        "start_ms": T0,
        "end_ms": T0,
        "outcome": "no_answer",
    }
    return Cdr(**{**fields, **changes})


def columns(
    cdrs: Sequence[Cdr], layout: FieldLayout = LAYOUT, salt: int = 0
) -> tuple[list[str], Calls, NDArray[np.bool_]]:
    """The calls as columns: the table of tenants, the columns, and which are valid."""
    gathered = Gathered(consents="consents" in layout.key_sets)
    gathered.add(cdrs)
    return to_columns(gathered, layout, np.uint64(salt))


@st.composite
def some_cdrs(draw: st.DrawFn, valid: bool = True, most: int = 30, span_ms: int = 3 * MINUTE) -> list[Cdr]:
    """Calls of a few tenants that end within ``span_ms`` from `T0`; with ``valid`` the contract rejects
    none of them.
    """
    return [draw(_one_cdr(serial, valid, span_ms)) for serial in range(draw(st.integers(1, most)))]


_TALKS = st.sampled_from((0, 1, 999, 1_000, 1_001, 6_000, 6_001, 9_999, 10_000, 10_001, 59_999, 60_000, 60_001))
_WAITS = st.sampled_from((0, 1, 2, 2_500, 3_000, 3_001))


@st.composite
def _one_cdr(draw: st.DrawFn, serial: int, valid: bool, span_ms: int) -> Cdr:
    outcome = draw(st.sampled_from(OUTCOMES))
    answered = outcome == "answered" if valid or draw(st.integers(0, 3)) else draw(st.booleans())
    rang = draw(st.booleans())
    end = T0 + draw(st.integers(0, span_ms))
    answer = end - draw(_TALKS) if answered else None
    ring = (answer or end) - draw(_WAITS) if rang else None
    start = (ring or answer or end) - draw(_WAITS)
    times = [start, ring, answer, end]
    if not valid and draw(st.booleans()):
        place = draw(st.integers(0, 3))
        moved = times[place]
        if moved is not None:
            times[place] = moved + draw(st.sampled_from((-3_000, -1, 1, 3_000)))
    nothing = st.sampled_from((None, ""))
    return cdr(
        call_id=f"c{serial}",
        tenant_id=draw(st.sampled_from(("acme", "bravo", "公司", "a\0b"))),
        direction=draw(st.sampled_from(("outbound", "outbound", "outbound", "inbound"))),
        caller=draw(st.sampled_from(("+861900", "001", "who"))),
        callee=draw(st.sampled_from(("+1", "+2", "+3", "1", "2", "099", "100", "who", "+"))),
        outcome=outcome,
        start_ms=times[0],
        ring_ms=times[1] if times[1] is not None else draw(nothing),
        answer_ms=times[2] if times[2] is not None else draw(nothing),
        end_ms=times[3],
        hangup_by=draw(st.sampled_from(("callee", "callee", "caller", "system", "", None))),
        consent_id=draw(st.sampled_from(("k1", "k2", "", None))),
    )


def policy_of(**sections: Any) -> Policy:
    """A policy of these sections on top of the access rules; by default no rule measures and nothing escalates."""
    whole = {"id": "test", "version": "1", "extends": "access-rules", "rules": [], "escalations": [], **sections}
    return loads(json.dumps(whole, ensure_ascii=False), "policy.json")


def key_counts(rows: Sequence[tuple[int, int, bool]]) -> KeyCounts:
    """The counts of attempts given as ``(key, tenant, is it a number)``."""
    return counted_keys(
        np.array([key for key, _, _ in rows], np.uint64),
        np.array([tenant for _, tenant, _ in rows], np.int32),
        np.array([numeric for _, _, numeric in rows], np.bool_),
    )


def counted_keys(keys: NDArray[np.uint64], owner: NDArray[np.int32], numeric: NDArray[np.bool_]) -> KeyCounts:
    """The distinct keys of these attempts."""
    return KeyCounts.of_each(1, np.zeros(len(keys), np.intp), keys, owner, numeric)[0]
