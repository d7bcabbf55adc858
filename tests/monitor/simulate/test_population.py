"""Tenants are distributed over all kinds, and the requested load is the load written."""

from typing import get_args

import numpy as np
import pytest

from monitor.simulate.settings import SimulationSettings
from monitor.simulate.tenants.kinds import BY_NAME, KINDS
from monitor.simulate.tenants.population import allot, populate, sizes
from monitor.simulate.tenants.profiles import HOURS, OUTCOMES, PROFILES, WEEKS
from monitor.simulate.tenants.scripts import SCRIPTS
from monitor.simulate.tenants.texts import DECLARED, LISTS
from monitor.simulate.tenants.verdicts import COMPLAINTS, FINDINGS
from schemas.inputs import Outcome


def rng(seed: int = 5) -> np.random.Generator:
    print("seed", seed)
    return np.random.default_rng(seed)


@pytest.mark.parametrize("tenants", [len(KINDS), len(KINDS) + 1, 100, 1_000])
def test_no_kind_is_missing(tenants: int) -> None:
    kinds = allot(tenants, rng())
    assert len(kinds) == tenants
    assert {kind.name for kind in kinds} == set(BY_NAME)


def test_thirty_tenants_suffice_for_every_kind() -> None:
    assert len(KINDS) <= 30


@pytest.mark.parametrize("tenants", [1, 2, 7, 29])
def test_few_tenants_are_different_ones_and_not_all_of_one_side(tenants: int) -> None:
    kinds = allot(tenants, rng())
    assert len({kind.name for kind in kinds}) == tenants
    assert len({kind.honest for kind in kinds}) == min(tenants, 2)


def test_most_tenants_of_a_large_run_are_honest() -> None:
    kinds = allot(10_000, rng())
    assert 0.03 < sum(not kind.honest for kind in kinds) / len(kinds) < 0.12


@pytest.mark.parametrize(("tenants", "total"), [(1, 10.0), (7, 900.0), (30, 6_000.0), (500, 70_000.0), (10_000, 1e6)])
def test_sizes_sum_to_the_load_asked_for(tenants: int, total: float) -> None:
    kinds = allot(tenants, rng())
    daily = sizes(kinds, total, rng(6))
    assert (daily > 0).all()
    assert daily.sum() == pytest.approx(total, rel=0.02)


def test_sizes_are_skewed_and_the_giant_is_largest() -> None:
    kinds = allot(10_000, rng())
    daily = sizes(kinds, 1e6, rng(6))
    giant = next(i for i, kind in enumerate(kinds) if kind.name == "giant")
    assert daily.argmax() == giant
    assert daily[giant] == pytest.approx(200_000)
    ordinary = np.sort([d for d, kind in zip(daily, kinds, strict=True) if kind.name == "sales-desk"])
    assert ordinary[-len(ordinary) // 10 :].sum() > 4 * ordinary[: len(ordinary) // 2].sum()
    assert max(d for d, kind in zip(daily, kinds, strict=True) if kind.name == "tiny") <= 14


def test_the_giant_calls_through_few_numbers() -> None:
    people = populate(SimulationSettings(10_000, 1, 3, 1e6), rng())
    giant = next(i for i, kind in enumerate(people.kinds) if kind.name == "giant")
    assert people.numbers[giant] <= 12


def test_tables_name_only_what_exists() -> None:
    assert set(OUTCOMES) == set(get_args(Outcome))
    for profile in PROFILES.values():
        assert profile.hours in HOURS
        assert profile.week in WEEKS
        assert profile.callees in ("book", "fresh", "sequence", "few")
    for kind in KINDS:
        assert kind.profile in PROFILES
        assert kind.turns_to is None or kind.turns_to in PROFILES
        assert kind.script is None or kind.script in SCRIPTS
        assert kind.business in DECLARED
    assert {kind.script for kind in KINDS} - {None} == set(SCRIPTS)
    assert all(len(HOURS[name]) == 24 for name in HOURS)
    for step in (step for steps in SCRIPTS.values() for step in steps):
        assert step.wording is None or step.wording in LISTS
        assert step.what in {"complaint": {*COMPLAINTS, "other"}, "finding": FINDINGS, "application": {""}}[step.record]


def test_an_honest_kind_never_calls_like_a_bad_one() -> None:
    for kind in KINDS:
        if kind.honest:
            assert PROFILES[kind.profile].honest, kind.name
            assert kind.turns_to is None, kind.name
            assert kind.tier is None, kind.name


def test_an_honest_profile_brings_no_complaint_that_would_decide() -> None:
    for name, profile in PROFILES.items():
        if profile.honest:
            for grievance in profile.grievances:
                assert grievance.category == "other" or grievance.verified == 0, name
