"""Ids of events: the same for the same facts for ever, and different for any other fact."""

import hashlib

from hypothesis import strategies as st

from helpers.shard_samples import T0
from helpers.thorough import examples
from monitor.core.tenants.ids import MEASURED, Origin, alert_id, enforcement_id

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
Facts = tuple[str, str, str, str, int, tuple[str, str], tuple[int | str, ...]]
further = st.one_of(st.just(()), st.tuples(text), st.tuples(st.integers(0, 2**42)))
facts = st.tuples(text, text, text, text, st.integers(0, 2**42), st.tuples(text, text), further)


def test_ids_do_not_change_between_releases() -> None:
    """Ledgers and reviews hold them."""
    made = enforcement_id("acme", "warning", "final", "short-calls-day", T0, MEASURED)
    facts = b'["acme","warning","final","short-calls-day",1772409600000,"",""]'
    assert made == "cwe-" + hashlib.sha256(facts).hexdigest()[:32]
    assert made == "cwe-39a2c10200f6cdfec112123ba6caf7f5"
    assert (
        enforcement_id("公司", "ban", "final", "r", T0, Origin("complaint", "p1"))
        == "cwe-2c6dfcd0498ab10ee4dadcd67be2e35a"
    )
    assert alert_id("acme", "short-calls-day", T0) == "cwa-d16b076010a9ac147a1df40992b49f6e"


@examples(facts, facts, fast=37, most=150)
def test_other_facts_give_another_id_and_the_same_facts_the_same(one: Facts, other: Facts) -> None:
    ids = [enforcement_id(*made[:5], Origin(*made[5]), made[6]) for made in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


def test_the_boundaries_of_facts_cannot_be_forged() -> None:
    """No name can imitate a separator."""
    for a, b in (
        (("a", "b,c"), ("a,b", "c")),
        (('a"', "b"), ("a", '"b')),
        (("a\0", "b"), ("a", "\0b")),
        (("", "a"), ("a", "")),
    ):
        ids = {enforcement_id(x, "warning", y, "r", T0, MEASURED) for x, y in (a, b)}
        assert len(ids) == 2


def test_an_alert_is_one_by_tenant_rule_and_the_time_since_which_it_fires() -> None:
    made = {alert_id(t, r, ms) for t in ("a", "b") for r in ("a", "b") for ms in (T0, T0 + 1)}
    assert len(made) == 8
