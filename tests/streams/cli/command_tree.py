"""All commands, for tests that iterate over them."""

from collections.abc import Iterator

import click
import typer

from streams.cli.app import COMMANDS, build


def _commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in COMMANDS:
        command = typer.main.get_command(build(name)).commands[name]  # type: ignore[attr-defined]
        yield from _below((name,), command)


def _below(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
        return
    for word, each in below.items():
        yield from _below((*words, word), each)


ALL: dict[tuple[str, ...], click.Command] = dict(_commands())
"""Each command that is not a group, by its words."""
