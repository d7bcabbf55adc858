"""Measures are stored compressed by an earlier record; another one is taken when the rules are others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from schemas import codec
from schemas.measures import RuleMeasure, TenantHour
from streams.console import measure_values
from streams.console.tables import METADATA

HOUR_MS = 3_600_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{tmp_path}/console.db")
    METADATA.create_all(engine)
    with engine.begin() as made:
        yield made
    engine.dispose()


def hours(policy: str, count: int, rules: int = 40) -> list[bytes]:
    """Measures of tenants by the rules of a policy."""
    return [
        codec.encode(
            TenantHour(
                f"tenant-{n}",
                n % 24 * HOUR_MS,
                f"{policy}-0",
                0.5,
                tuple(
                    RuleMeasure(f"{policy}-{one}", n % (one + 3), n + 10, n / (n + 10), None, 0.25 + one, 20 + one)
                    for one in range(rules)
                ),
            )
        )
        for n in range(count)
    ]


def stored(connection: Connection, values: list[bytes]) -> tuple[int, list[bytes]]:
    number, compressed = measure_values.compress(connection, values)
    known = measure_values.dictionaries(connection, [number])
    assert [measure_values.decompress(one, number, known) for one in compressed] == values
    return number, compressed


def test_what_all_records_have_in_common_is_stored_once(connection: Connection) -> None:
    values = hours("rule", 100)
    number, compressed = stored(connection, values)
    assert number == 1
    assert sum(map(len, compressed)) < sum(map(len, values)) / 4
    assert stored(connection, hours("rule", 100)[40:])[0] == 1
    assert stored(connection, values[:1])[0] == 1, "a record alone needs none of its own"


def test_a_change_of_the_policy_takes_another_dictionary_and_a_mixture_keeps_both(connection: Connection) -> None:
    old, new = hours("rule-of-the-old-policy", 60), hours("other", 60)
    assert stored(connection, old)[0] == 1
    assert stored(connection, new)[0] == 2
    for values in (old, new) * 5:  # partitions that are before and after the change
        assert stored(connection, values)[0] == (1 if values is old else 2)


def test_the_number_of_dictionaries_is_bounded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_values, "MOST_DICTIONARIES", 3)
    for n in range(6):
        assert stored(connection, hours(f"{n}-" * 20, 20))[0] == min(n + 1, 3)


def test_a_record_longer_than_the_window_of_a_dictionary_is_stored(connection: Connection) -> None:
    values = hours("rule", 20, rules=2_000)
    assert min(map(len, values)) > 60_000
    stored(connection, values)
