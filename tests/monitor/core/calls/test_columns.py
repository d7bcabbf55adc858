"""Columns: each bit and sum of a call follows the contract's definition, on random calls, one by one."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_samples import LAYOUT, MINUTE, OUTCOMES, PARAMS, T0, cdr, columns, some_cdrs
from helpers.thorough import examples
from monitor.core.calls.columns import Calls
from monitor.core.calls.fields import FieldLayout
from monitor.core.calls.keys import modulus_of, number_keys, text_keys
from monitor.core.calls.local_hours import zone
from monitor.policy.model import Params
from schemas import codec
from schemas.inputs import Cdr


def network(c: Cdr) -> bool:
    """Attempts that reached the network: every outbound call but `policy_blocked`."""
    return c.direction == "outbound" and c.outcome != "policy_blocked"


def answered(c: Cdr) -> bool:
    return network(c) and c.outcome == "answered"


def talk(c: Cdr) -> int:
    return c.end_ms - int(c.answer_ms or 0)


def out_of_hours(c: Cdr, timezone: str) -> bool:
    local = datetime.fromtimestamp(c.start_ms / 1000, UTC).astimezone(zone(timezone))
    return not 8 <= local.hour < 21


def rang_before_cancel(c: Cdr, at_most_ms: int) -> bool:
    return network(c) and c.outcome == "cancelled" and bool(c.ring_ms) and c.end_ms - int(c.ring_ms or 0) <= at_most_ms


def refused(c: Cdr) -> bool:
    return c.outcome == "rejected" or (answered(c) and c.hangup_by == "callee" and talk(c) <= 10_000)


SENTENCES: dict[str, Callable[[Cdr], bool]] = {
    "rows": lambda c: True,
    "attempts": network,
    "answered": answered,
    "policy_blocked": lambda c: c.direction == "outbound" and c.outcome == "policy_blocked",
    "network_effective": lambda c: network(c) and c.outcome in ("answered", "busy", "no_answer", "rejected"),
    "rang": lambda c: network(c) and bool(c.ring_ms),
    "zero_second": lambda c: answered(c) and talk(c) == 0,
    "long": lambda c: answered(c) and talk(c) >= 60_000,
    "invalid_number": lambda c: network(c) and c.outcome == "invalid_number",
    "rejected": lambda c: network(c) and c.outcome == "rejected",
    "cancelled": lambda c: network(c) and c.outcome == "cancelled",
    "carrier_blocked": lambda c: network(c) and c.outcome == "carrier_blocked",
    "callee_hangup": lambda c: answered(c) and c.hangup_by == "callee" and talk(c) <= 10_000,
    "consented": lambda c: answered(c) and bool(c.consent_id),
    "inbound": lambda c: c.direction == "inbound",
    "inbound_cancelled": lambda c: c.direction == "inbound" and c.outcome == "cancelled",
}


def plain_word(c: Cdr, layout: FieldLayout) -> set[int]:
    """The numbers of the fields that a call counts in."""
    bits = {layout.field(name, PARAMS) for name, holds in SENTENCES.items() if holds(c)}
    bits |= {layout.short_bit(ms) for ms in layout.short_call_ms if answered(c) and 0 < talk(c) <= ms}
    bits |= {layout.ring_bit(ms) for ms in layout.short_ring_ms if rang_before_cancel(c, ms)}
    bits |= {layout.refused_bit(tz) for tz in layout.refused_zones if network(c) and out_of_hours(c, tz) and refused(c)}
    return bits | {layout.hours_bit(tz) for tz in layout.timezones if network(c) and out_of_hours(c, tz)}


def bits_of(word: int) -> set[int]:
    return {bit for bit in range(64) if word >> bit & 1}


@examples(some_cdrs(most=12), fast=25, most=100)
def test_each_field_counts_the_calls_that_its_sentence_names(cdrs: list[Cdr]) -> None:
    _, calls, valid = columns(cdrs)
    assert valid.all()
    for row, c in enumerate(cdrs):
        assert bits_of(int(calls.word[row])) == plain_word(c, LAYOUT), c
        assert calls.talk_ms[row] == (talk(c) if answered(c) else 0)
        assert calls.ring_delay_ms[row] == (int(c.ring_ms or 0) - c.start_ms if network(c) and c.ring_ms else 0)
        assert calls.end_ms[row] == c.end_ms
        assert calls.call_id[row] == c.call_id


@examples(some_cdrs(valid=False, most=8), fast=30, most=120)
def test_rows_that_the_contract_rejects_are_invalid_and_do_not_affect_others(cdrs: list[Cdr]) -> None:
    _, calls, valid = columns(cdrs)
    for row, c in enumerate(cdrs):
        times = [int(ms) for ms in (c.start_ms, c.ring_ms, c.answer_ms, c.end_ms) if ms]
        right = times == sorted(times) and bool(c.answer_ms) == (c.outcome == "answered")
        assert valid[row] == right, c
        assert (codec.check(c) is None) == right, c
        if right:
            assert bits_of(int(calls.word[row])) == plain_word(c, LAYOUT), c


@examples(some_cdrs(most=12), st.integers(0, 2**64 - 1), fast=15, most=40)
def test_keys_are_those_of_the_tenant_and_tenants_are_found_by_name(cdrs: list[Cdr], salt: int) -> None:
    names, calls, _ = columns(cdrs, salt=salt)
    assert [names[i] for i in calls.tenant] == [c.tenant_id for c in cdrs]
    assert names == list(dict.fromkeys(c.tenant_id for c in cdrs))
    for row, c in enumerate(cdrs):
        own = text_keys([c.tenant_id], np.array([salt], np.uint64))
        assert calls.id_key[row] == text_keys([c.call_id], own)[0]
        assert (calls.callee_key[row], calls.callee_numeric[row]) == tuple(x[0] for x in number_keys([c.callee], own))
        assert calls.caller_key[row] == number_keys([c.caller], own)[0][0]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_every_outcome_in_both_directions_counts_as_the_table_of_metrics_says(direction: str, outcome: str) -> None:
    answer = T0 - 3_000 if outcome == "answered" else None
    c = cdr(
        direction=direction,
        outcome=outcome,
        answer_ms=answer,
        ring_ms=T0 - 4_000,
        start_ms=T0 - 5_000,
        consent_id="k1",
        hangup_by="callee",
    )
    _, calls, valid = columns([c])
    assert valid[0]
    assert bits_of(int(calls.word[0])) == plain_word(c, LAYOUT)


@pytest.mark.parametrize(
    ("hour", "minute", "second", "outside"),
    [(7, 59, 59, True), (8, 0, 0, False), (20, 59, 59, False), (21, 0, 0, True), (0, 0, 0, True), (12, 0, 0, False)],
)
def test_the_day_opens_at_eight_and_closes_at_twenty_one(hour: int, minute: int, second: int, outside: bool) -> None:
    start = int(datetime(2026, 7, 1, hour, minute, second, 999_000, zone("Asia/Shanghai")).timestamp() * 1000)
    _, calls, _ = columns([cdr(start_ms=start, end_ms=start + MINUTE)])
    assert (LAYOUT.hours_bit("Asia/Shanghai") in bits_of(int(calls.word[0]))) == outside


def test_fields_of_more_rules_are_distinguished() -> None:
    """Bits of one parameter do not hide those of another."""
    layout = FieldLayout((500, 1_000, 2_000), ("Asia/Shanghai", "Europe/London", "UTC"))
    cdrs = [
        cdr(call_id=str(d), outcome="answered", answer_ms=T0 - d, start_ms=T0 - d) for d in (0, 1, 500, 1_500, 9_000)
    ]
    _, calls, _ = columns(cdrs, layout)
    for row, c in enumerate(cdrs):
        assert bits_of(int(calls.word[row])) == plain_word(c, layout)
    assert layout.field("short", Params(2_000, 5, "UTC")) in bits_of(int(calls.word[3]))


@examples(some_cdrs(most=12), st.data(), fast=15, most=30)
def test_taking_rows_and_joining_parts_keeps_columns_in_step(cdrs: list[Cdr], data: st.DataObject) -> None:
    _, calls, _ = columns(cdrs)
    rows = data.draw(st.lists(st.integers(0, len(cdrs) - 1), max_size=10))
    taken = calls.take(np.array(rows, np.intp))
    assert taken.call_id.tolist() == [cdrs[row].call_id for row in rows]
    joined = Calls.concat([taken, calls, calls.take(np.zeros(len(cdrs), np.bool_))])
    assert joined.call_id.tolist() == [cdrs[row].call_id for row in rows] + [c.call_id for c in cdrs]
    assert joined.word.tolist() == [*taken.word.tolist(), *calls.word.tolist()]


def test_long_numbers_that_share_a_key_without_a_secret_do_not_with_one() -> None:
    """With knowledge of the modulus one can dial numbers that count as one."""
    numbers = [10**20, 10**20 + int(modulus_of(0))]
    calls = [cdr(call_id=f"c{n}", callee=str(number)) for n, number in enumerate(numbers)]
    public, secret = (columns(calls, salt=salt)[1].callee_key.tolist() for salt in (0, 5))
    assert len(set(public)) == 1
    assert len(set(secret)) == 2
