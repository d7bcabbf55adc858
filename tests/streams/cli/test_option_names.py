"""Over all commands, an option has one name, and a name has one meaning."""

import re
from collections import defaultdict

from command_tree import ALL

KINDS = {
    # These commands write folders or files.
    "--out": {"DIR", "FILE", "FILE|DIR"},
    # `backtest` calls its two policies A and B.
    "--policy": {"FILE", "A"},
    # `follow` names a table of a database; `settings --table` prints one.
    "--key": {"FILE", "COLUMN"},
    "--table": {"[SCHEMA.]NAME", "flag"},
}
"""The only options whose values have several kinds."""


def options() -> dict[str, dict[str, str]]:
    """Each option: the kind of its value by command; `flag` is an option without a value."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for words, command in ALL.items():
        for each in command.params:
            if each.param_type_name != "option" or getattr(each, "hidden", False):
                continue
            kind = "flag" if getattr(each, "is_flag", False) else each.metavar or "number"
            found[each.opts[0]][" ".join(words)] = kind
    return found


def test_no_option_name_has_two_meanings() -> None:
    kinds = {name: set(by_command.values()) for name, by_command in options().items()}
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == KINDS


def test_a_short_name_belongs_to_one_option_and_every_command_that_has_the_option_has_it() -> None:
    short = defaultdict(set)
    for command in ALL.values():
        for each in command.params:
            if each.param_type_name == "option":
                short[each.opts[0]].add(tuple(each.opts[1:]))
    assert [name for name, others in short.items() if len(others) > 1] == []
    assert {name: others for name, others in short.items() if others != {()}} == {
        "--out": {("-o",)},
        "--quiet": {("-q",)},
        "--yes": {("-y",)},
    }


def test_from_and_to_are_times_and_a_reason_is_no_filter() -> None:
    kinds = options()
    assert set(kinds["--from"].values()) == set(kinds["--to"].values()) == {"TIME"}
    assert set(kinds["--reason"].values()) == {"WHY"}


def test_a_position_is_given_by_topic_partition_and_offset() -> None:
    arguments = {
        each.metavar for command in ALL.values() for each in command.params if each.param_type_name != "option"
    }
    assert not arguments & {"TOPIC", "PARTITION", "OFFSET"}
    kinds = options()
    assert set(kinds["--topic"].values()) == {"TOPIC"}
    assert not [kind for by in kinds.values() for kind in by.values() if re.search("PARTITION|OFFSET", kind)]


def test_no_option_has_a_second_name() -> None:
    """Former or possible other names of options, each with the one to use."""
    instead = {
        "--web-port": "--port",
        "--reviewer": "--by",
        "--user": "--by",
        "--since": "--from",
        "--after": "--from",
        "--before": "--to",
        "--state-file": "--state",
        "--no-wait": "--wait 0",
        "--timeout": "--wait",
        "--config": "--settings",
        "--output": "--out",
        "--force": "--yes",
        "--brokers-list": "--bootstrap",
        "--bootstrap-server": "--bootstrap",
        "--accept-gone": "--accept-loss",
        "--given-up": "--failed",
        "--tell-again": "--send-again",
    }
    assert instead.keys() & options().keys() == set()
