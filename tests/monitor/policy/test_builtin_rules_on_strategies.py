"""The built-in rules on the hold-out: no odd business gets a final decision, and each strategy is found.

Undecided may be only what nothing but the consent ids reveals, and that leaves a line in the shadow output.
"""

from dataclasses import dataclass

import hidden_strategies as hidden
import pytest
from hidden_traffic import Filled, write

from helpers.thorough import thorough
from monitor.policy.load import load
from monitor.replay.run import replay

DAYS = 4
SEEDS = thorough((31, 32), 1)
BY_CONSENT_ALONE = {"without_consent", "copied_consent"}


@dataclass
class Judged:
    """The measured decisions of one platform: (tenant, status) and, in shadow, tenants."""

    decided: set[tuple[str, str]]
    shadow: set[str]


@pytest.fixture(scope="module", params=SEEDS)
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    print("seed", request.param)
    file = tmp_path_factory.mktemp("strategies") / "records.jsonl"
    write(file, [hidden.tenant(kind, request.param, DAYS, Filled()) for kind in (*hidden.ODD, *hidden.STRATEGIES)])
    outcome = replay([file], load(None))
    file.unlink()
    assert outcome.summary.rejected == outcome.summary.late == outcome.summary.duplicates == 0
    measured = [event for event in outcome.enforcement if event.data.window is not None]
    shadow = {event.subject for event in outcome.shadow if event.data.window is not None}
    return Judged({(event.subject, event.data.status) for event in measured}, shadow)


def test_no_odd_business_gets_a_final_decision(judged: Judged) -> None:
    assert {tenant for tenant, status in judged.decided if status == "final"} & set(hidden.ODD) == set()


def test_every_strategy_is_decided_or_shown(judged: Judged) -> None:
    undecided = set(hidden.STRATEGIES) - {tenant for tenant, _ in judged.decided}
    assert undecided <= BY_CONSENT_ALONE
    assert undecided <= judged.shadow
