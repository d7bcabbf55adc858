"""A command's whole docstring, including warnings and exit statuses, appears in its help."""

import inspect
import re

import pytest
from command_tree import ALL
from typer.testing import CliRunner

from streams.cli.app import build


def printed(*words: str) -> str:
    """The help of a command as one line."""
    shown = CliRunner().invoke(build(words[0]), [*words, "--help"])
    assert shown.exit_code == 0, shown.output
    return " ".join(shown.output.split())


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_whole_docstring_and_every_default_are_in_the_help(words: tuple[str, ...]) -> None:
    command, help_ = ALL[words], printed(*words)
    assert command.callback is not None
    docstring = " ".join((inspect.getdoc(command.callback) or "").split())
    assert docstring
    assert docstring in help_
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        text = getattr(parameter, "help", None)
        assert text, parameter.name
        default = re.search(r"\[default: .*?\]", text)
        if default:
            assert default[0] in help_
        elif isinstance(parameter.default, (int, float, str)) and not isinstance(parameter.default, bool):
            assert f"default: {parameter.default}" in help_


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_an_option_names_the_kind_of_its_text(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(build(words[0]), [*words, "--help"]).output
    assert re.findall(r"^ +(?:-\w, )?(--[\w-]+) +(?:<(?:str|path)|TEXT\b|PATH\b)", shown, re.MULTILINE) == []


@pytest.mark.parametrize("words", [words for words in ALL if len(words) > 1], ids=" ".join)
def test_a_group_describes_each_command_without_truncation(words: tuple[str, ...]) -> None:
    callback = ALL[words].callback
    first = (inspect.getdoc(callback) or "").partition("\n\n")[0]
    assert " ".join(first.split()) in printed(*words[:-1])
