"""Which worker may start under an application id: none that would fence the writers of another output prefix."""

from collections.abc import Mapping

import pytest

from streams.kafka.application_id import ConsumerGroup, startup_fault
from streams.kafka.topic_names import TopicNames
from streams.settings.load import load

PRODUCTION = TopicNames()
CANARY = TopicNames(output_prefix="canary.")


def group(names: TopicNames | None, committed: bool = True) -> ConsumerGroup:
    """The group of one worker of these topics; None: its workers have ended."""
    members = () if names is None else (frozenset(tp.topic for tp in names.of(0)),)
    return ConsumerGroup(members, frozenset(PRODUCTION.inputs) if committed else frozenset())


NOBODY = ConsumerGroup()


@pytest.mark.parametrize(
    ("printed", "mine", "usual", "begun"),
    [
        ({}, NOBODY, NOBODY, False),  # the very first worker
        ({}, group(PRODUCTION, committed=False), group(PRODUCTION, committed=False), False),
        ({}, group(PRODUCTION), group(PRODUCTION), True),
        ({}, group(None), group(None), True),
        ({"output_prefix": "canary."}, NOBODY, group(PRODUCTION), False),
        ({"output_prefix": "canary."}, group(CANARY), group(PRODUCTION), True),
        ({"output_prefix": "canary."}, group(None), NOBODY, True),
    ],
)
def test_whose_group_it_is_may_start(
    printed: Mapping[str, str], mine: ConsumerGroup, usual: ConsumerGroup, begun: bool
) -> None:
    assert startup_fault(load(printed), mine, usual, begun) is None


@pytest.mark.parametrize("begun", [True, False])
def test_a_canary_under_productions_id_is_refused_while_production_is_at_work(begun: bool) -> None:
    settings = load({"output_prefix": "canary.", "application_id": "callwarden"})
    why = startup_fault(settings, group(PRODUCTION), group(PRODUCTION), begun)
    assert why is not None
    assert "they listen to callwarden.control; expected canary.control" in why
    assert "then it follows CALLWARDEN_OUTPUT_PREFIX" in why


def test_it_is_refused_while_production_is_away_too() -> None:
    settings = load({"output_prefix": "canary.", "application_id": "callwarden"})
    why = startup_fault(settings, group(None), NOBODY, begun=False)
    assert why is not None
    assert "canary.state" in why
    assert "--delete --group callwarden" in why


def test_a_group_that_has_read_other_topics_is_no_hindrance() -> None:
    other = ConsumerGroup((), frozenset({"elsewhere.cdr"}))
    assert startup_fault(load({"output_prefix": "canary."}), other, NOBODY, begun=False) is None


def test_production_does_not_start_among_canaries_either() -> None:
    why = startup_fault(load({}), group(CANARY), group(CANARY), begun=True)
    assert why is not None
    assert "they listen to canary.control" in why


def test_workers_that_were_begun_without_an_id_of_their_own_are_not_joined_under_another() -> None:
    """Before the id followed the prefix, they were in the default group."""
    why = startup_fault(load({"output_prefix": "canary."}), NOBODY, group(CANARY), begun=True)
    assert why is not None
    assert "expected CALLWARDEN_APPLICATION_ID=callwarden" in why
