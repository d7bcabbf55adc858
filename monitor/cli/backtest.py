"""`callwarden backtest`: compare two policies on the same records."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from monitor.backtest import Change, Judged, Score, Scores
    from monitor.policy.model import Policy

BUILT_IN = "access-rules"


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of records, as for replay.")],
    against: Annotated[str, typer.Option(metavar="B", help="The policy to try.")],
    policy: Annotated[
        str, typer.Option(metavar="A", help="The policy in force; `access-rules` is built in.")
    ] = BUILT_IN,
    labels: Annotated[
        Path | None, typer.Option(help="labels.jsonl of simulate.  [default: the reviews among the records]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say which tenants change tier from policy A to B and why, and how often each policy is right."""
    from monitor import backtest

    try:
        policies = [_load(name) for name in (policy, against)]
        for path in files:
            path.open("rb").close()
        truths = backtest.truths_of_labels(labels) if labels else backtest.truths_of_reviews(backtest.verdicts(files))
    except (OSError, ValueError) as error:
        typer.echo(f"callwarden backtest: {error}", err=True)
        raise typer.Exit(2) from error
    before, after = (backtest.judge(files, each) for each in policies)
    changed = backtest.changes(before, after)
    scored = {
        side: [backtest.scores(judged, truths, selection) for selection in backtest.SELECTIONS] if truths else []
        for side, judged in (("a", before), ("b", after))
    }
    source = "labels" if labels else "reviews" if truths else None
    if as_json:
        import orjson

        result = _as_json(before, after, changed, scored, source)
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(before, after, changed, scored, source)


def _load(name: str) -> "Policy":
    from monitor.policy.load import load

    return load(None if name == BUILT_IN and not Path(name).exists() else name)


def _as_json(
    before: "Judged", after: "Judged", changed: "list[Change]", scored: "dict[str, list[Scores]]", source: str | None
) -> dict[str, Any]:
    return {
        "policies": {
            side: {"id": judged.policy.id, "version": judged.policy.version, "sha256": judged.policy.sha256}
            for side, judged in (("a", before), ("b", after))
        },
        "changes": [
            {
                "tenant_id": change.tenant_id,
                "before": change.before,
                "after": change.after,
                "rules": [
                    {
                        "rule_id": rule.rule_id,
                        "channel": rule.channel,
                        "change": "appears" if rule.appears else "vanishes",
                        "decided_ms": rule.first.decided_ms,
                        "tier": rule.first.tier,
                        "enforcement_id": rule.first.id,
                        "reason": {"zh": rule.first.reason.zh, "en": rule.first.reason.en},
                    }
                    for rule in change.rules
                ],
            }
            for change in changed
        ],
        "truth": source,
        "scores": {
            side: {
                scores.selection: {
                    "overall": _score(scores.overall),
                    "kinds": {kind: {"tenants": n} | _score(score) for kind, (n, score) in scores.kinds.items()},
                    "rules": {rule_id: _score(score) for rule_id, score in scores.rules.items()},
                }
                for scores in each
            }
            for side, each in scored.items()
        },
    }


def _score(score: "Score") -> dict[str, Any]:
    return {
        "bad": score.bad,
        "right": score.right,
        "wrong": score.wrong,
        "taken_back": score.taken_back,
        "precision": score.precision,
        "recall": score.recall,
        "median_hours": score.median_hours,
        "p90_hours": score.p90_hours,
    }


def _print(
    before: "Judged", after: "Judged", changed: "list[Change]", scored: "dict[str, list[Scores]]", source: str | None
) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    for side, judged in (("A", before), ("B", after)):
        ref = judged.policy
        console.print(f"{side}: {ref.id} {ref.version}, {len(judged.decisions):,} decisions, sha256 {ref.sha256[:12]}")
    console.print(f"{len(changed):,} tenants change tier", markup=False)
    for line in _change_lines(changed):
        console.print(line, markup=False)
    if source is None:
        console.print("no labels and no reviews among the records: precision and recall are not known")
        return
    for n, selection in enumerate(scores.selection for scores in scored["a"]):
        a, b = scored["a"][n], scored["b"][n]
        table = Table(title=f"{selection} decisions, judged by {source}: A | B", title_justify="left")
        for heading in ("", "tenants", "right", "wrong", "taken back", "precision", "recall", "median h", "p90 h"):
            table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
        table.add_row(*_cells("all", a.overall.bad, a.overall, b.overall))
        table.add_section()
        for kind, (tenants, score) in a.kinds.items():
            table.add_row(*_cells(kind, tenants, score, b.kinds[kind][1]))
        table.add_section()
        for rule_id in sorted(a.rules.keys() | b.rules.keys()):
            table.add_row(*_cells(f"rule {rule_id}", None, a.rules.get(rule_id), b.rules.get(rule_id)))
        console.print(table, soft_wrap=False, width=max(console.width, 150))


def _change_lines(changed: "list[Change]") -> Iterator[str]:
    for change in changed:
        moves = ", ".join(
            f"{channel} {change.before[channel] or 'none'} -> {change.after[channel] or 'none'}"
            for channel in change.before
            if change.before[channel] != change.after[channel]
        )
        yield f"{change.tenant_id}: {moves}"
        for rule in change.rules:
            sign = "+" if rule.appears else "-"
            yield f"  {sign} {rule.rule_id} ({rule.channel}): {rule.first.reason.zh}"
            yield f"    {rule.first.reason.en}"


def _cells(name: str, tenants: int | None, a: "Score | None", b: "Score | None") -> list[str]:
    def both(value: str, share: bool = False) -> str:
        return " | ".join(_figure(getattr(score, value) if score else None, share) for score in (a, b))

    return [
        name,
        "" if tenants is None else f"{tenants:,}",
        both("right"),
        both("wrong"),
        both("taken_back"),
        both("precision", share=True),
        both("recall", share=True),
        both("median_hours"),
        both("p90_hours"),
    ]


def _figure(value: float | int | None, share: bool) -> str:
    if value is None:
        return "-"
    if share:
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
