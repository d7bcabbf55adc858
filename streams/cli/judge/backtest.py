"""`callwarden backtest`: compare two policies on the same records."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import Constants, Format, Json, NotAfter
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from monitor.text.display import Display
    from monitor.whatif.backtest import Change, PolicyOutcome, Score, Scores

BUILT_IN = "access-rules"


def run(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Files of records, as for replay; not standard input, no pipes."),
    ],
    against: Annotated[str, typer.Option(metavar="B", help="The policy to try.")],
    policy: Annotated[
        str, typer.Option(metavar="A", help="The policy in force; `access-rules` is built in.")
    ] = BUILT_IN,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="labels.jsonl of `simulate`.  [default: the reviews among the records]"),
    ] = None,
    format_: Format = None,
    set_: Constants = None,
    not_after: NotAfter = None,
    as_json: Json = False,
) -> None:
    """Show which tenants change tier from policy A to B and why, and the precision and recall of each policy."""
    from monitor.whatif import backtest
    from streams.cli.inputs import (
        describe_os_error,
        display_setting,
        fail,
        formatted_files,
        latest_event_ms,
        policy_for,
        reading,
    )

    policies = [
        policy_for(None if name == BUILT_IN and not Path(name).exists() else name) for name in (policy, against)
    ]
    names, adapters, _ = formatted_files(files, format_ or [], set_ or [])
    paths, display = [Path(name) for name in names], display_setting()
    not_after_ms = latest_event_ms(not_after)
    for path in paths:
        if str(path) == "-" or path.is_fifo() or path.is_char_device():  # it would be empty for the second policy
            fail(f"{path}: expected a file: it is read once for each policy; save the records to a file")
    with reading(paths):
        for path in paths:
            path.open("rb").close()
    try:
        if labels:
            truths = backtest.truths_of_labels(labels)
        else:
            truths = backtest.truths_of_reviews(
                backtest.verdicts([path for path, adapter in zip(paths, adapters, strict=True) if adapter is None])
            )
    except OSError as error:
        fail(f"callwarden backtest: {describe_os_error(error)[0]}")
    except ValueError as error:
        fail(f"callwarden backtest: {error}")
    with reading(paths):
        before, after = (backtest.judge_files(paths, each, not_after_ms, adapters) for each in policies)
    changed = backtest.changes(before, after)
    scored = {
        side: [backtest.scores(judged, truths, selection) for selection in backtest.SELECTIONS] if truths else []
        for side, judged in (("a", before), ("b", after))
    }
    source = None if not truths else "labels" if labels else "reviews"
    if as_json:
        print_json(_as_json(before, after, changed, scored, source))
    else:
        _print(before, after, changed, scored, source, display)


def _as_json(
    before: "PolicyOutcome",
    after: "PolicyOutcome",
    changed: "list[Change]",
    scored: "dict[str, list[Scores]]",
    source: str | None,
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
    before: "PolicyOutcome",
    after: "PolicyOutcome",
    changed: "list[Change]",
    scored: "dict[str, list[Scores]]",
    source: str | None,
    display: "Display",
) -> None:
    for side, judged in (("A", before), ("B", after)):
        ref = judged.policy
        typer.echo(f"{side}: {ref.id} {ref.version}, {len(judged.decisions):,} decisions, sha256 {ref.sha256[:12]}")
    typer.echo(f"{len(changed):,} tenants change tier")
    for line in change_lines(changed, display):
        typer.echo(line)
    if source is None:
        typer.echo("no labels and no reviews among the records: precision and recall are not known")
    for a, b in zip(scored["a"], scored["b"], strict=True):
        typer.echo(f"\n{a.selection} decisions, judged by {source}: A | B")
        for line in _aligned(_score_rows(a, b)):
            typer.echo(line)


def _score_rows(a: "Scores", b: "Scores") -> Iterator[list[str]]:
    yield ["", "tenants", "right", "wrong", "taken back", "precision", "recall", "median h", "p90 h"]
    yield _cells("all bad", a.overall.bad, a.overall, b.overall)
    for kind, (tenants, score) in a.kinds.items():
        yield _cells(kind, tenants, score, b.kinds[kind][1])
    for rule_id in sorted(a.rules.keys() | b.rules.keys()):
        yield _cells(f"rule {rule_id}", None, a.rules.get(rule_id), b.rules.get(rule_id))


def _aligned(rows: Iterable[list[str]]) -> Iterator[str]:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *figures in table:
        cells = (figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *cells))


def change_lines(changed: "list[Change]", display: "Display") -> Iterator[str]:
    """Each tenant's tiers before and after, with the rules that make the difference."""
    for change in changed:
        moves = ", ".join(
            f"{channel} {change.before[channel] or 'none'} -> {change.after[channel] or 'none'}"
            for channel in change.before
            if change.before[channel] != change.after[channel]
        )
        yield f"{display.id(change.tenant_id)}: {moves}"
        for rule in change.rules:
            sign = "+" if rule.appears else "-"
            reason, ids = rule.first.reason, (change.tenant_id, rule.rule_id, rule.first.id)
            yield f"  {sign} {display.id(rule.rule_id)} ({rule.channel}): {display.reason(reason.zh, ids)}"
            yield f"    {display.reason(reason.en, ids)}"


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
