"""The built-in policy on simulated records: each scripted kind gets the decisions that its label names."""

from collections import defaultdict
from pathlib import Path

import pytest
from simulated_world import World, make_world

from monitor.policy.catalogue import Catalogue
from monitor.policy.load import load
from monitor.replay.outcome import Outcome
from monitor.replay.run import replay
from monitor.simulate.tenants.kinds import BY_NAME, KINDS
from monitor.simulate.tenants.texts import DECLARED, LISTS
from schemas.outputs import EnforcementData


@pytest.fixture(scope="module")
def quiet_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Too few calls for measured rules to decide."""
    return make_world(tmp_path_factory.mktemp("quiet"), tenants=120, days=4, calls_per_day=1_200, late_share=0.0)


@pytest.fixture(scope="module")
def outcome(quiet_world: World) -> Outcome:
    return replay(quiet_world.summary.files, load(None))


def decided(outcome: Outcome) -> dict[str, list[EnforcementData]]:
    by_tenant = defaultdict(list)
    for event in outcome.enforcement:
        by_tenant[event.data.tenant_id].append(event.data)
    return by_tenant


def test_no_record_is_rejected_so_every_review_names_a_decision(outcome: Outcome) -> None:
    assert [rejection.reason for rejection in outcome.rejected] == []


def test_duplicates_are_as_many_as_were_sent(outcome: Outcome, quiet_world: World) -> None:
    assert outcome.summary.duplicates == quiet_world.summary.duplicates


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if kind.script and not kind.honest and kind.tier])
def test_a_bad_kind_meets_the_tier_of_its_label(kind: str, outcome: Outcome, quiet_world: World) -> None:
    events = decided(outcome)
    for label in quiet_world.labels.values():
        if label.kind == kind:
            final = {data.tier for data in events[label.tenant_id] if data.status == "final"}
            assert BY_NAME[kind].tier in final, label


def test_a_likely_match_is_pending_until_a_reviewer_upholds_it(outcome: Outcome, quiet_world: World) -> None:
    events = decided(outcome)
    tenants = [label.tenant_id for label in quiet_world.labels.values() if label.kind == "prohibited-likely"]
    assert tenants
    for tenant in tenants:
        assert [data.status for data in events[tenant] if data.clause == 3] == ["pending_review", "final"]


def test_the_wrongly_suspected_are_cleared(outcome: Outcome, quiet_world: World) -> None:
    events = decided(outcome)
    tenants = [label.tenant_id for label in quiet_world.labels.values() if label.kind == "wrongly-suspected"]
    assert tenants
    for tenant in tenants:
        made = [data for data in events[tenant] if data.kind != "reversal"]
        assert len(made) == sum(data.kind == "reversal" for data in events[tenant]) > 0
        assert not any(data.kind == "admission_rejected" for data in made)


def test_the_banned_who_come_back_are_refused_for_that(outcome: Outcome, quiet_world: World) -> None:
    events = decided(outcome)
    tenants = [label.tenant_id for label in quiet_world.labels.values() if label.kind == "banned-returner"]
    assert tenants
    for tenant in tenants:
        assert "banned_applicant" in {data.behaviour for data in events[tenant]}


def test_prohibited_applications_are_refused(outcome: Outcome, quiet_world: World) -> None:
    events = decided(outcome)
    tenants = [label.tenant_id for label in quiet_world.labels.values() if label.kind == "prohibited-applicant"]
    assert tenants
    for tenant in tenants:
        assert {data.behaviour for data in events[tenant]} == {"prohibited_business_application"}


def test_honest_tenants_without_a_script_are_never_decided_about(outcome: Outcome, quiet_world: World) -> None:
    events = decided(outcome)
    for label in quiet_world.labels.values():
        if label.honest and label.kind != "wrongly-suspected":
            assert events[label.tenant_id] == []


CERTAINTY: dict[str, tuple[bool | None, ...]] = {
    "certain": (True,),
    "likely": (False,),
    "mistaken": (False,),
    "harmless": (None,),
    "innocent": (None,),
    "returning": (None,),
    "prohibited": (True, False),
}


@pytest.mark.parametrize("name", sorted(LISTS))
def test_wordings_are_in_the_catalogue_as_their_list_claims(name: str) -> None:
    catalogue = Catalogue(load(None).catalogue)
    for wording in LISTS[name]:
        found = [match.certain if match else None for match in map(catalogue.match, wording)]
        if name == "prohibited":
            assert {True, False} & set(found), wording
        else:
            assert found[1] in CERTAINTY[name], wording
            assert found[0] is None, wording


def test_declared_businesses_are_innocent() -> None:
    catalogue = Catalogue(load(None).catalogue)
    for businesses in DECLARED.values():
        for business in businesses:
            assert catalogue.match(business) is None, business


def test_every_list_of_wordings_has_both_languages() -> None:
    for name, wordings in LISTS.items():
        ascii_ones = [wording.actual.isascii() for wording in wordings]
        assert any(ascii_ones), name
        assert not all(ascii_ones), name


def test_files_by_topic_give_the_same_decisions(tmp_path: Path, outcome: Outcome) -> None:
    """Even without late calls the sources of a split run are read in turns."""
    split = make_world(tmp_path, tenants=120, days=4, calls_per_day=1_200, late_share=0.0, split=True)
    again = replay(split.summary.files, load(None))
    assert [event.id for event in again.enforcement] == [event.id for event in outcome.enforcement]
