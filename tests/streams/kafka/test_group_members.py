"""The number of running workers comes from the group's coordinator, which may not be available yet, or ever."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError, KafkaError

from streams.cli.judge.replay_topics import _at_work
from streams.kafka import admin
from streams.kafka.api import PermanentError

LOADING = 14


class Questions:
    """A cluster with given answers to group requests: an error, or its code and members."""

    def __init__(self, *answers: KafkaError | tuple[int, list[str]]) -> None:
        self._answers = list(answers)

    async def ask(self, doing: str, question: Any) -> Any:
        try:
            return await question(None, self)
        except GroupAuthorizationFailedError:
            raise PermanentError(f"{doing}: not authorised") from None

    async def describe_consumer_groups(self, groups: list[str]) -> list[Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, KafkaError):
            raise answer
        code, members = answer
        return [SimpleNamespace(groups=[(code, groups[0], "Stable", "consumer", "range", members)])]


def at_work(*answers: KafkaError | tuple[int, list[str]]) -> str | None:
    cluster: Any = SimpleNamespace(questions=Questions(*answers))
    return asyncio.run(_at_work(cluster, "app"))


def test_members_are_counted() -> None:
    assert at_work((0, [])) is None
    assert at_work((0, ["a"])) == "1 worker is at work"
    assert at_work((0, ["a", "b"])) == "2 workers are at work"


def test_a_coordinator_that_is_on_its_way_is_waited_for() -> None:
    assert at_work(GroupCoordinatorNotAvailableError(), (LOADING, []), (0, ["a"])) == "1 worker is at work"


def test_where_it_cannot_be_known_they_may_be_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_COORDINATOR_S", 0.0)
    output = at_work(GroupCoordinatorNotAvailableError())
    assert output == "workers may be at work (the group app has no coordinator: GroupCoordinatorNotAvailableError)"
    assert at_work(GroupAuthorizationFailedError()) == (
        "workers may be at work (looking at the group app: not authorised)"
    )
