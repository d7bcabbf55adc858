"""The command `callwarden`: one file a command, imported only when that command is called."""

import gc
import importlib
import inspect
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import typer
from typer.core import TyperGroup

from streams.cli.command import Command
from streams.cli.fatal import json_wanted, say
from streams.cli.inputs import describe_os_error
from streams.cli.terminal import guard

# `--help` must not import numpy, the shard or the policy, so the one-line helps stand here; the help of a
# command itself is its docstring. A module with one command calls it `run`; one with several exposes `app`.
GROUPS: Final = {
    "judge": (
        "Judge files",
        {
            "replay": "Judge files of records, or topics, and write every decision with its reason.",
            "backtest": "Compare two policies on the same records.",
            "report": "Make one self-contained HTML page of a replay.",
            "simulate": "Write labelled traffic of honest and bad tenants.",
            "demo": "Simulate, judge with a live view, and make the report.",
            "map": "Check how a mapping turns a file into records.",
        },
    ),
    "policy": (
        "Policies",
        {
            "policy": "Check, show, compare and explain policies; change the policy of the workers.",
        },
    ),
    "operate": (
        "Operate workers and topics",
        {
            "worker": "Judge the records of the input topics; start as many as you like.",
            "topics": "Create and check the topics of a Kafka cluster.",
            "state": "Export, restore and rescale the workers' state.",
            "audit": "Prove that no decision was lost, invented or changed.",
            "compare": "Compare the decisions of two workers.",
            "dead-letter": "List records that could not be read, and write them back.",
            "skip": "Send a record that stops its partition to the dead letters.",
            "accept": "Let a worker continue after a loss of state or of input records.",
            "end-outage": "Tell the workers that no calls are missing.",
            "settings": "Show all settings, where each value comes from, and what it means.",
            "schema": "Export JSON Schemas, the AsyncAPI document and the table of metrics.",
        },
    ),
    "consume": (
        "Producers, consumers and reviews",
        {
            "ingest": "Take records over HTTP, and write them to the input topics.",
            "follow": "Follow files that grow and rotate, or a table, and write their rows.",
            "bridge": "Map the records of another topic, and write them to the input topics.",
            "assemble": "Make calls of the events in callwarden.raw, where several are one call.",
            "billing": "Answer whether a tenant may be refunded and may cancel: a consumer with an API.",
            "notify": "Send alerts and decisions to people as they happen.",
            "ledger": "Store, verify and show every decision, review and reversal.",
            "reviews": "List and review decisions, and applications for numbers.",
            "console": "Review cases in a browser: queue, case, tenant, policy.",
        },
    ),
    "develop": (
        "Develop",
        {
            "live": "Run everything on a Kafka node of its own: topics, worker, traffic, decisions.",
            "dev-kafka": "Run a real Kafka node for development, without Docker.",
            "traffic": "Send simulated traffic to Kafka: the past day, then in real time.",
            "tail": "Show decisions and alerts as they come out of Kafka.",
        },
    ),
}
"""The commands by the package in `streams.cli` that has them: a title for `--help`, and a line of help for each."""
_LOGGING: Final = ("worker", "assemble", "billing", "bridge", "follow", "ingest", "notify")
COMMANDS: Final = {name: text for _, commands in GROUPS.values() for name, text in commands.items()}


class _Grouped(TyperGroup):
    """Lists the commands of `--help` by group."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # of classes that typer keeps private
        for title, commands in GROUPS.values():
            with formatter.section(title):
                formatter.write_dl([(name, commands[name]) for name in commands])


def _module_of(command: str) -> str:
    """The module of a command: one file each, in the folder of its group."""
    group = next(group for group, (_, commands) in GROUPS.items() if command in commands)
    return f"streams.cli.{group}.{command.replace('-', '_')}"


def build(chosen: str | None) -> typer.Typer:
    """The application with the ``chosen`` command loaded and every other one only named."""
    app = typer.Typer(
        name="callwarden",
        cls=_Grouped,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # or `[default: 8]` in a help would be taken for markup, and vanish
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Callwarden watches the calls of a call-centre platform and acts when a tenant breaks the access rules.",
    )

    @app.callback(invoke_without_command=True)
    def top(
        version: bool = typer.Option(False, "--version", "-V", help="Show the version and exit."),
        settings: str = typer.Option(
            "",
            "--settings",
            metavar="FILE",
            help="A YAML file of settings.  [default: CALLWARDEN_SETTINGS, else callwarden.yaml here, if it exists]",
        ),
    ) -> None:
        if settings:
            os.environ["CALLWARDEN_SETTINGS"] = settings
        if version:
            from importlib.metadata import version as installed

            from streams.cli import extensions

            without = f" without the extensions {', '.join(unused)}" if (unused := extensions.missing()) else ""
            typer.echo(f"callwarden {installed('callwarden')}{without}")
            raise typer.Exit

    for name, text in COMMANDS.items():
        if name != chosen:
            app.command(name, short_help=text)(_named_only)
            continue
        module = importlib.import_module(_module_of(name))
        if hasattr(module, "app"):
            for each in _all_commands(module.app):
                each.cls = Command
                # Or it would be cut off where a line ends.
                each.short_help = (inspect.getdoc(each.callback) or "").partition("\n\n")[0]
            app.add_typer(module.app, name=name, help=text, no_args_is_help=True)
        else:
            app.command(name, short_help=text, cls=Command)(module.run)
    return app


def _all_commands(app: typer.Typer) -> Iterator[Any]:
    """The commands of a group, and of the groups in it."""
    yield from app.registered_commands
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.no_args_is_help = True
            yield from _all_commands(group.typer_instance)


def _named_only() -> None:
    raise AssertionError("expected the chosen command")


def main() -> None:
    """Run the command that the arguments name; `streams.cli.__main__` is the entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no Chinese ends no command
    # pydantic would look for its plugins in everything that is installed, at the first model; we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    guard()
    if _is_brief(sys.argv[1:]) or _chosen(sys.argv[1:]) in ("replay", "worker"):
        gc.disable()  # an eighth of the time of a command that imports much; these two enable it when they have done so
    try:
        build(_chosen(_to_complete() or sys.argv[1:]))(prog_name="callwarden")
    except OSError as error:
        # A path that cannot be read or written is no fault of the program's: a sentence, not a traceback.
        message, status = describe_os_error(error)
        say(message, status, wanted=_logs(sys.argv[1:]) and json_wanted("--json-logs" in sys.argv))
        sys.exit(status)
    except UnicodeEncodeError:
        wrong = [argument for argument in sys.argv[1:] if not _is_text(argument)]
        if not wrong:
            raise
        typer.echo(f"{wrong[0]!a}: expected UTF-8 text", err=True)
        sys.exit(2)
    finally:
        gc.enable()


def _is_brief(arguments: list[str]) -> bool:
    """Whether it is a command of the reviewers, for whom each second counts."""
    command = _chosen(arguments)
    return command == "reviews" or (command == "ledger" and "show" in arguments)


def _logs(arguments: list[str]) -> bool:
    """Whether the command keeps a log, on standard error."""
    command = _chosen(arguments)
    return command in _LOGGING or (command in ("ledger", "console") and "run" in arguments)


def _is_text(argument: str) -> bool:
    """False for bytes that are no characters: they are valid in the name of a file."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _to_complete() -> list[str]:
    """The arguments so far, if a shell asks how to complete them."""
    if "_CALLWARDEN_COMPLETE" not in os.environ:
        return []
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    return words.split()[1:]


def _chosen(arguments: list[str]) -> str | None:
    """The command among the arguments: the first that is no option of ours."""
    rest = iter(arguments)
    for argument in rest:
        if argument == "--settings":
            next(rest, None)
        elif not argument.startswith("--settings="):
            return argument
    return None
