"""`callwarden policy`: check, show, compare and explain policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.inputs import display_setting, fail, parse_time, policy_for
from streams.cli.options import Json
from streams.cli.outputs import print_json
from streams.cli.policy import policy_change
from streams.cli.policy.policy_across import across
from streams.cli.policy.policy_attack import attack
from streams.cli.policy.policy_preflight import preflight

if TYPE_CHECKING:
    from monitor.policy.diff import ChangedItem
    from monitor.policy.model import Policy

app = typer.Typer(no_args_is_help=True)
app.command()(policy_change.apply)
app.command()(policy_change.withdraw)
app.command()(policy_change.status)
app.command()(preflight)
app.command()(attack)
app.command()(across)

PolicyOption = Annotated[
    str | None, typer.Option("--policy", metavar="FILE", help="The policy file.  [default: the built-in policy]")
]


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Policy files, or - for standard input.")],
    strict: Annotated[bool, typer.Option("--strict", help="Fail on notes, too.")] = False,
    as_json: Json = False,
) -> None:
    """Check policy files: print each fault as FILE:LINE:COLUMN, and note what is probably not intended.

    Exit status: 2 a file has a fault, or with --strict a note.
    """
    from monitor.policy.file.errors import PolicyError
    from monitor.policy.warnings import notes
    from streams.runtime.wall_clock import epoch_ms

    if files.count("-") > 1:
        fail("-: standard input can be read once; expected it once")
    now_ms, checked, wrong = epoch_ms(), [], False
    for file in files:
        try:
            policy = _read(file)
        except PolicyError as error:
            wrong = True
            checked.append(_checked(file, None, [], error))
            if not as_json:
                typer.echo(str(error), err=True)
            continue
        found = [note.en for note in notes(policy, now_ms)]
        wrong |= strict and bool(found)
        checked.append(_checked(file, policy, found, None))
        if not as_json:
            for note in found:
                typer.echo(f"{file}: note: {note}", err=True)
            typer.echo(f"{file}: good: {_summary(policy)}")
    if as_json:
        print_json({"ok": not wrong, "files": checked})
    if wrong:
        raise typer.Exit(2)


@app.command()
def show(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A policy file.  [default: the built-in policy]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a policy with each value written out. The output is a policy file with the same hash."""
    import sys

    from monitor.policy.serialize import written_out
    from monitor.policy.write import dump_json, dump_yaml

    policy = policy_for(file)
    plain = written_out(policy)
    text = dump_json(plain) if as_json else f"# sha256 {policy.sha256}\n{dump_yaml(plain)}"
    sys.stdout.buffer.write(text.encode())  # whatever the terminal's encoding: the file is UTF-8
    sys.stdout.buffer.flush()  # here a closed pipe is handled, at the end of Python it is printed


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A policy file, or `access-rules` for the built-in policy.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another policy file, or `access-rules`.")],
    as_json: Json = False,
) -> None:
    """Show what changes from policy A to policy B, with the inherited values of both."""
    from monitor.policy.diff import changes
    from monitor.policy.diff import diff as differences

    old, new = (policy_for(None if name == "access-rules" and not Path(name).exists() else name) for name in (a, b))
    if as_json:
        items = _plain(changes(old, new))
        print_json({"same": not items, "a": _reference(old), "b": _reference(new), "changes": items})
        return
    lines = differences(old, new)
    if not lines and old.sha256 == new.sha256:
        typer.echo(f"the same policy, sha256 {old.sha256}")
    elif not lines:
        typer.echo(f"both decide alike, but are written differently: sha256 {old.sha256} and {new.sha256}")
    for line in lines:
        typer.echo(line)


@app.command()
def explain(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")],
    policy: PolicyOption = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339 or epoch ms.  [default: now]")] = None,
    as_json: Json = False,
) -> None:
    """Show which rules apply to a tenant, with its overrides, exemptions and profiles, in Chinese and English."""
    from monitor.policy.explain import explain as explained
    from monitor.policy.explain import explain_lines
    from streams.runtime.wall_clock import epoch_ms

    at_ms = parse_time("--at", at) if at is not None else epoch_ms()
    found = explained(policy_for(policy), tenant, at_ms)
    if as_json:
        print_json(found)
        return
    for line in explain_lines(found, display_setting()):
        typer.echo(line)


@app.command()
def match(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A business, as declared or as found.")],
    policy: PolicyOption = None,
    as_json: Json = False,
) -> None:
    """Show which prohibited businesses a text names: row, term, and the `unless` word that cancels a match.

    Exit status: 1 the business is prohibited, for certain or likely.
    """
    from monitor.policy.catalogue import Catalogue

    catalogue = Catalogue(policy_for(policy).catalogue)
    best = catalogue.match(text)
    hits = catalogue.explain(text)
    if as_json:
        matches = [
            {
                "row": hit.row.key,
                "words": {"zh": hit.row.zh, "en": hit.row.en},
                "term": hit.term,
                "certain": hit.certain,
                "unless": hit.unless,
            }
            for hit in hits
        ]
        by = best and {"row": best.row.key, "term": best.term, "certain": best.certain}
        print_json({"prohibited": best is not None, "by": by, "matches": matches})
    else:
        for hit in hits:
            row = f"{hit.row.key} ({hit.row.zh}; {hit.row.en})"
            if hit.unless is not None:
                said = f"no match: {row}: contains `{hit.term}`, but `{hit.unless}` excludes it"
            elif hit.certain:
                said = f"certain: {row}: is `{hit.term}`"
            else:
                said = f"likely: {row}: contains `{hit.term}`"
            typer.echo(said)
        if best is None:
            typer.echo("not prohibited" if hits else "not prohibited: it contains no term of the catalogue")
        else:
            typer.echo(f"prohibited, {'certain' if best.certain else 'likely'}: {best.row.key}, by `{best.term}`")
    if best is not None:
        raise typer.Exit(1)


def _read(file: str) -> "Policy":
    """The policy of a file, or of standard input. Raises PolicyError."""
    import sys

    from monitor.policy.file.yaml_source import MAX_BYTES
    from monitor.policy.load import load, load_bytes

    return load_bytes(sys.stdin.buffer.read(4 * MAX_BYTES + 1), file) if file == "-" else load(file)


def _checked(file: str, policy: "Policy | None", notes: list[str], error: Any) -> dict[str, Any]:
    return {
        "file": file,
        "ok": error is None,
        "policy": policy and _reference(policy),
        "faults": [
            {"line": fault.line, "column": fault.column, "message": fault.message}
            for fault in (error.faults if error else ())
        ],
        "notes": notes,
    }


def _reference(policy: "Policy") -> dict[str, str]:
    return {"id": policy.id, "version": policy.version, "sha256": policy.sha256}


def _plain(items: "list[ChangedItem]") -> list[dict[str, Any]]:
    return [
        {"change": each.change, "what": each.what.en, "fields": [line.en for line in each.fields]} for each in items
    ]


def _summary(policy: "Policy") -> str:
    parts = (
        (len(policy.rules), "rule", "s"),
        (len(policy.escalations), "escalation", "s"),
        (len(policy.overrides), "override", "s"),
        (len(policy.exemptions), "exemption", "s"),
        *([(len(policy.profiles), "profile", "s")] if policy.profiles else []),
        (len(policy.catalogue), "prohibited business", "es"),
    )
    counts = ", ".join(f"{number:,} {word}{plural if number != 1 else ''}" for number, word, plural in parts)
    counts += ", applications are reviewed" if policy.admissions == "review" else ""
    return f"{policy.id} {policy.version}, {counts}, sha256 {policy.sha256}"
