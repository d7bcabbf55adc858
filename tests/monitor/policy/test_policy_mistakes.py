"""Every kind of mistake in a policy file is reported with its line and column, in a file named after the mistake.

The first line of each file is ``# expect LINE:COLUMN part of the message``, several joined by `` | ``. They are all the
errors that the file has.
"""

from pathlib import Path

import pytest

from monitor.policy.load import PolicyError, load, loads

FILES = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mistake_is_reported_where_it_stands(file: Path) -> None:
    first = file.read_bytes().split(b"\n")[0].decode()
    assert first.startswith("# expect ")
    with pytest.raises(PolicyError) as caught:
        load(str(file))
    reported = {f"{fault.line}:{fault.column}": fault.message for fault in caught.value.faults}
    expected = dict(part.split(" ", 1) for part in first.removeprefix("# expect ").split(" | "))
    assert set(reported) == set(expected), reported
    assert len(caught.value.faults) == len(expected)
    for place, part in expected.items():
        assert part in reported[place]
    assert {fault.file for fault in caught.value.faults} == {str(file)}


def test_the_mistakes_are_there() -> None:
    assert len(FILES) >= 50


def test_one_fault_does_not_hide_the_others() -> None:
    text = """\
id: house
version: 2
defaults: {timezone: Mars/Olympus, retention: 4 weeks}
rules:
- {id: a, behaviour: blind_calling, metric: asr, below: x, window: 7m, step: 5m, mode: shaddow}
- {id: a, behaviour: blinding, metric: asrs, below: 0.1, window: 1h, step: 7m, cooldown: 5m, zeal: 1}
overrides:
- {tenant: t, rule: b, above: nan, owner: ops, reason: why, expires: soon}
exemptions:
- {tenant: t, rules: [a, c], owner: ops, expires: 2027-01-01}
prohibited_businesses:
- {key: k, zh: 贷款, en: loans, terms: 3}
"""
    with pytest.raises(PolicyError) as caught:
        loads(text, "p.yaml")
    places = [(fault.line, fault.column) for fault in caught.value.faults]
    assert places == sorted(places)
    assert [line for line, _ in places] == [2, 3, 3, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 8, 8, 8, 10, 10, 12]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(
        PolicyError, match=r"nowhere\.yaml:1:1: cannot be read: No such file .*; expected the path of a"
    ):
        load(str(tmp_path / "nowhere.yaml"))
    with pytest.raises(PolicyError, match="cannot be read: Is a directory"):
        load(str(tmp_path))
    with pytest.raises(PolicyError, match=r'^"":1:1: cannot be read: the path is empty; expected the path of a policy'):
        load("")


def test_aliases_cannot_blow_up_a_small_file() -> None:
    lines = ["id: house", 'version: "1"', "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(PolicyError, match="more than 200000 values"):
        loads("\n".join(lines), "p.yaml")


def test_a_file_too_long_is_refused_unread() -> None:
    with pytest.raises(PolicyError, match="the file is longer than"):
        loads("#" * (4 * 1024 * 1024 + 1), "p.yaml")


def test_no_minute_is_suggested_for_a_month() -> None:
    with pytest.raises(PolicyError) as caught:
        load(str(Path(__file__).parent / "mistakes" / "duration-of-a-month.yaml"))
    assert "did you mean" not in str(caught.value)
