"""Options that several commands share. A name means the same in every command."""

import math
from pathlib import Path
from typing import Annotated

import typer


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):  # which a range of numbers lets pass, and which no wait ends at
        raise typer.BadParameter(f"{seconds} is not a number of seconds")
    return seconds


Bootstrap = Annotated[
    str | None,
    typer.Option("--bootstrap", metavar="HOST:PORT,...", help="The Kafka brokers: CALLWARDEN_BOOTSTRAP_SERVERS."),
]
InputPrefix = Annotated[
    str | None,
    typer.Option("--input-prefix", metavar="PREFIX", help="The prefix of the input topics: CALLWARDEN_INPUT_PREFIX."),
]
OutputPrefix = Annotated[
    str | None,
    typer.Option(
        "--output-prefix", metavar="PREFIX", help="The prefix of the output topics: CALLWARDEN_OUTPUT_PREFIX."
    ),
]
WorkersPolicy = Annotated[
    str | None,
    typer.Option(
        "--policy", metavar="FILE", help="The policy file.  [default: CALLWARDEN_POLICY, else the built-in policy]"
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="The salt for keys of numbers and ids: CALLWARDEN_KEY_FILE."),
]
LedgerDatabase = Annotated[
    str | None,
    typer.Option("--database", metavar="ADDRESS", help="The ledger's database: CALLWARDEN_LEDGER_DATABASE."),
]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Your name.  [default: the login name]")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        callback=_finite,
        help="How long to wait until it takes effect; 0 does not wait at all.",
    ),
]
Format = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAME|MAPPING.yaml",
        help="The format of the files, if they are not records; NAME=FILE: of that file alone, repeatable.",
    ),
]
RecordFiles = Annotated[
    list[str] | None, typer.Argument(metavar="FILE", help="Records: .jsonl, .gz, .zst, or - for standard input.")
]
FromTopics = Annotated[
    bool, typer.Option("--from-topics", help="Read the input topics of a Kafka cluster instead of files.")
]
Constants = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A constant value of a field for the mapping; repeatable."),
]
NotAfter = Annotated[
    str | None,
    typer.Option("--not-after", metavar="TIME", help="Reject later event times.  [default: now + 5 min]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def named(value: str | Path) -> Path:
    """A path that is written to. An empty one, as of a variable that is not set, does not mean the current folder."""
    if not str(value):
        raise typer.BadParameter("it is empty; expected a name, or . for the current folder")
    return Path(value)
