"""`callwarden policy attack`: what a policy makes of strategies against it, and of odd but honest businesses."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.inputs import describe_os_error, fail, policy_for
from streams.cli.options import Json
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.whatif.attack import AttackReport, KindResult

_TITLES = {
    "strategy": "strategies of a fraudster who reads the policy",
    "offender": "offenders who do not",
    "odd": "odd but honest businesses",
    "honest": "ordinary honest tenants",
}
_NAMED_RULES = 3


def attack(
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="FILE", help="The policy file.  [default: the built-in policy]")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many platforms to draw.", min=1, max=10_000)] = 4,
    seed: Annotated[int, typer.Option(help="The seed of the first; each other has the next.", min=0)] = 1,
    days: Annotated[int, typer.Option(help="How many days each has.", min=2, max=60)] = 4,
    optional: Annotated[bool, typer.Option(help="Fill consent_id, hangup_by, answered_by and ring_ms.")] = True,
    as_json: Json = False,
) -> None:
    """Try a policy on generated traffic: show which strategies it catches, when, and which honest tenants it wrongs.

    Each platform has a tenant of each kind, with figures from wide ranges. A tenant counts by the strongest decision
    of a measured rule: final, review (pending), shadow, or none. The time is that from the first unwanted call to the
    first final or pending decision, as a median.

    Exit status: 1 an honest tenant has a final decision, or a dishonest one is not even in the shadow output.
    """
    from tempfile import TemporaryDirectory

    from monitor.whatif.attack import attack as tried
    from streams.runtime.signals import through_clean_up

    ruled = policy_for(policy)
    try:
        with through_clean_up(), TemporaryDirectory(prefix="callwarden-attack-") as folder:
            report = tried(ruled, range(seed, seed + seeds), Path(folder), days=days, optional=optional)
    except OSError as error:
        fail(f"temporary files: {describe_os_error(error)[0]}; TMPDIR names another folder", 1)
    if as_json:
        print_json(_as_json(report))
    else:
        for line in attack_lines(report):
            typer.echo(line)
    if report.wronged or report.unseen:
        raise typer.Exit(1)


def attack_lines(report: "AttackReport") -> "Iterator[str]":
    """The report as text; the same for the same policy and seeds."""
    first, last = report.seeds[0], report.seeds[-1]
    yield f"policy {report.policy.id} {report.policy.version}; seeds {first} to {last}, {report.days} days each"
    for role, title in _TITLES.items():
        yield ""
        timed = role in ("strategy", "offender")
        yield f"{title:<48}final review shadow  none{'   after' if timed else ''}  rules"
        for result in report.of(role):
            yield _row(result, timed)
    tenants = sum(len(result.results) for result in report.of("strategy", "offender"))
    honest = sum(len(result.results) for result in report.of("odd", "honest"))
    yield ""
    decided = tenants - len(report.undecided)
    yield f"decided: {decided} of {tenants} dishonest tenants; {len(report.unseen)} are not even in the shadow output"
    yield f"wronged: {len(report.wronged)} of {honest} honest tenants have a final decision"


def _row(result: "KindResult", timed: bool) -> str:
    from monitor.whatif.attack import CAUGHT

    counts = "".join(
        f"{result.count(caught) or '-':>{width}}" for caught, width in zip(CAUGHT, (5, 7, 7, 6), strict=True)
    )
    hours = "-" if result.median_ms is None else f"{result.median_ms / 3_600_000:.1f} h"
    return f"{result.kind.name:<48}{counts}{f'{hours:>8}' if timed else ''}  {_named(result.rules)}".rstrip()


def _named(rules: "Sequence[str]") -> str:
    more = f" and {len(rules) - _NAMED_RULES} more" if len(rules) > _NAMED_RULES else ""
    return ", ".join(rules[:_NAMED_RULES]) + more


def _as_json(report: "AttackReport") -> dict[str, object]:
    return {
        "policy": {"id": report.policy.id, "version": report.policy.version, "sha256": report.policy.sha256},
        "seeds": report.seeds,
        "days": report.days,
        "wronged": len(report.wronged),
        "undecided": len(report.undecided),
        "unseen": len(report.unseen),
        "kinds": [
            {
                "kind": each.kind.name,
                "role": each.kind.role,
                "about": each.kind.about,
                "median_ms": each.median_ms,
                "tenants": [
                    {
                        "seed": result.seed,
                        "caught": None if result.caught == "nothing" else result.caught,
                        "after_ms": result.after_ms,
                        "rules": result.rules,
                        "shadow_rules": result.shadow_rules,
                    }
                    for result in each.results
                ],
            }
            for each in report.kinds
        ],
    }
