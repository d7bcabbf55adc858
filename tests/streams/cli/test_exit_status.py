"""The table of exit statuses in docs/reference/commands.md equals the help of each command."""

import inspect
import re
from pathlib import Path

from command_tree import ALL

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
HEAD = ["| command | exit status |", "| --- | --- |"]


def stated() -> list[str]:
    """The rows: each command whose help states statuses of its own, and their meanings."""
    found = []
    for words, command in ALL.items():
        assert command.callback is not None
        text = " ".join((inspect.getdoc(command.callback) or "").split())
        if said := re.search(r"Exit status: (.*)\.$", text):
            found.append(f"| `{' '.join(words)}` | {said[1]} |")
        else:
            assert "xit status" not in text, f"{words}: the statuses stand at the end, after `Exit status: `"
    return sorted(found)


def test_the_page_of_commands_lists_the_statuses_of_every_help() -> None:
    _, head, listed = PAGE.read_text("utf-8").partition("\n".join(HEAD))
    assert head
    assert listed.strip().splitlines() == stated(), "\n".join(["the table should be", *HEAD, *stated()])


def test_a_status_means_the_same_kind_of_thing_everywhere() -> None:
    """1: a negative answer, a refusal, or an unexpected error. 2: wrong usage. 3: a service is unavailable."""
    for row in stated():
        numbers = re.findall(r"(?:^\| .*? \| |; )([0-9]) ", row)
        assert numbers, row
        assert numbers == [number for number in "123" if number in numbers], row
        three = re.search(r"; 3 (.*) \|$|\| 3 (.*) \|$", row)
        if three:
            assert re.search(r"cannot be reached|no Java|test message", row), row
