"""`callwarden policy`: check, show, compare and explain policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monitor.policy.model import Policy

app = typer.Typer(no_args_is_help=True)

PolicyOption = Annotated[
    str | None, typer.Option("--policy", metavar="FILE", help="A policy file.  [default: the built-in one]")
]


@app.command()
def check(file: Annotated[str, typer.Argument(help="A policy file.")]) -> None:
    """Say every fault of a policy file, with its line and column; exit 2 if there is one."""
    import time

    from monitor.policy.notes import notes

    policy = _load(file)
    for note in notes(policy, int(time.time() * 1000)):
        typer.echo(f"{file}: note: {note}", err=True)
    parts = (
        _count(len(policy.rules), "rule"),
        _count(len(policy.escalations), "escalation"),
        _count(len(policy.overrides), "override"),
        _count(len(policy.exemptions), "exemption"),
        _count(len(policy.catalogue), "prohibited business", "es"),
    )
    typer.echo(f"{file}: good: {policy.id} {policy.version}, {', '.join(parts)}, sha256 {policy.sha256}")


@app.command()
def show(
    file: Annotated[str | None, typer.Argument(help="A policy file.  [default: the built-in policy]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Print the resolved policy, every value written out; it is a policy file itself, of the same hash."""
    import sys

    from monitor.policy.plain import to_plain
    from monitor.policy.write import dump_json, dump_yaml

    policy = _load(file)
    plain = to_plain(policy)
    text = dump_json(plain) if as_json else f"# sha256 {policy.sha256}\n{dump_yaml(plain)}"
    sys.stdout.buffer.write(text.encode())  # whatever the terminal's encoding: the file is UTF-8


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="A policy file, or `access-rules` for the built-in policy.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
) -> None:
    """Say what changes from policy A to policy B once both are resolved."""
    from monitor.policy.diff import diff as differences

    old, new = (_load(None if name == "access-rules" and not Path(name).exists() else name) for name in (a, b))
    lines = differences(old, new)
    if not lines:
        typer.echo(f"the same policy, sha256 {old.sha256}")
    for line in lines:
        typer.echo(line)


@app.command()
def explain(
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    policy: PolicyOption = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339 or epoch ms.  [default: now]")] = None,
) -> None:
    """Say which rules hold for one tenant, with whose overrides and exemptions, in Chinese and English."""
    from monitor.policy.explain import explain as explained

    at_ms = _time_ms(at)
    for line in explained(_load(policy), tenant, at_ms):
        typer.echo(line)


@app.command()
def match(
    text: Annotated[str, typer.Argument(help="A business, as declared or as found.")], policy: PolicyOption = None
) -> None:
    """Say which prohibited businesses a text names: row, term, and the `unless` word that takes a match away."""
    from monitor.policy.catalogue import Catalogue

    catalogue = Catalogue(_load(policy).catalogue)
    best = catalogue.match(text)
    hits = catalogue.explain(text)
    for hit in hits:
        row = f"{hit.row.key} ({hit.row.zh}; {hit.row.en})"
        if hit.unless is not None:
            said = f"no match: {row}: contains `{hit.term}`, but `{hit.unless}` takes it away"
        elif hit.certain:
            said = f"certain: {row}: is `{hit.term}`"
        else:
            said = f"likely: {row}: contains `{hit.term}`"
        typer.echo(said)
    if best is None:
        typer.echo("not prohibited" if hits else "not prohibited: no term of the catalogue is in it")
    else:
        typer.echo(f"prohibited, {'certain' if best.certain else 'likely'}: {best.row.key}, by `{best.term}`")


def _load(path: str | None) -> "Policy":
    from monitor.policy.load import PolicyError, load

    try:
        return load(path)
    except PolicyError as error:
        for fault in error.faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(2) from None


def _time_ms(text: str | None) -> int:
    import time

    from monitor.policy.durations import parse_instant

    if text is None:
        return int(time.time() * 1000)
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        return parse_instant(text)
    except ValueError as error:
        typer.echo(f"callwarden policy: --at: {error}", err=True)
        raise typer.Exit(2) from None


def _count(number: int, word: str, plural: str = "s") -> str:
    return f"{number} {word}{plural if number != 1 else ''}"
