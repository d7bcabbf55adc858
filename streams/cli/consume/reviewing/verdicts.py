"""`callwarden reviews uphold`, `approve`, `reject` and `overturn`."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.consume.reviewing.replacement import patience_ms
from streams.cli.consume.reviewing.review_options import (
    From,
    Key,
    Reason,
    Replace,
    Rule,
    Tenant,
    To,
    case_query,
    review_settings,
)
from streams.cli.consume.reviewing.submission import VerdictOptions, submit, submit_one
from streams.cli.options import Bootstrap, By, LedgerDatabase, Wait, Yes
from streams.runtime.wall_clock import epoch_ms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from monitor.policy.model import OpenKind
    from streams.consumers.ledger.queries.cases import LedgerCase
    from streams.consumers.ledger.queries.lookup import CaseQuery
    from streams.reviews.reservations import Replace as Replacing
    from streams.reviews.reservations import Reservation
    from streams.settings.load import Settings


def uphold(
    decision: Annotated[
        str, typer.Argument(metavar="ID", help="The id of the pending decision; with --kind also of a final one.")
    ],
    reason: Reason,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="termination or ban: what to make of it, by clause 1, 2, 3 or 5."),
    ] = None,
    by: By = None,
    key: Key = None,
    wait: Wait = 0,
    replace: Replace = False,
    yes: Yes = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Make a pending decision final: its actions take effect, and it counts as a violation.

    The access rules leave termination or ban open for clauses 1, 2, 3 and 5: --kind chooses, and also changes the kind
    of a decision that is final. Without it the decision has the kind that it proposes.

    The command refuses what the workers would reject, and what another reviewer has decided. It ends once the broker
    has the verdict, and prints when that takes effect: once the workers' watermark is past the present, at least after
    the policy's lateness. --wait waits for that.

    Exit status: 1 refused, or rejected by the worker; 3 Kafka cannot be reached: once the verdict is reserved,
    `callwarden ledger run` sends it.
    """
    from typing import cast

    from streams.cli.inputs import fail

    if kind not in (None, "termination", "ban"):
        fail(f"--kind {kind}: expected termination or ban")
    chosen = cast("OpenKind | None", kind)
    settings = review_settings(bootstrap, database, key)
    submit_one("uphold", decision, VerdictOptions(reason, by, wait, chosen), replace, yes, settings)


def approve(
    decision: Annotated[str, typer.Argument(metavar="ID", help="The id of the application's `admission_review`.")],
    reason: Reason,
    by: By = None,
    key: Key = None,
    wait: Wait = 0,
    replace: Replace = False,
    yes: Yes = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Approve an application for numbers that waits for its review (`admissions: review`).

    Refused while the tenant is banned. `reviews overturn` takes an approval back; then only a newer version of the
    application is reviewed again.

    Exit status: 1 refused, or rejected by the worker; 3 Kafka cannot be reached: once the verdict is reserved,
    `callwarden ledger run` sends it.
    """
    submit_one(
        "approve", decision, VerdictOptions(reason, by, wait), replace, yes, review_settings(bootstrap, database, key)
    )


def reject(
    decision: Annotated[str, typer.Argument(metavar="ID", help="The id of the application's `admission_review`.")],
    reason: Reason,
    by: By = None,
    key: Key = None,
    wait: Wait = 0,
    replace: Replace = False,
    yes: Yes = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Reject an application for numbers that waits for its review (`admissions: review`).

    `reviews overturn` takes the rejection back; then only a newer version of the application is reviewed again.

    Exit status: 1 refused, or rejected by the worker; 3 Kafka cannot be reached: once the verdict is reserved,
    `callwarden ledger run` sends it.
    """
    submit_one(
        "reject", decision, VerdictOptions(reason, by, wait), replace, yes, review_settings(bootstrap, database, key)
    )


def overturn(
    reason: Reason,
    decision: Annotated[
        str | None, typer.Argument(metavar="ID", help="The id of the decision; either id of an upheld one.")
    ] = None,
    rule: Rule = None,
    tenant: Tenant = None,
    from_: From = None,
    to: To = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be overturned, and change nothing.")
    ] = False,
    yes: Yes = False,
    by: By = None,
    key: Key = None,
    wait: Wait = 0,
    replace: Replace = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Reverse a decision, pending or final; or, with --rule, --from and --to, all decisions of a rule in that time.

    The latter is for mass mistakes: the command shows what it would overturn, asks, and writes one review for each
    decision. It leaves out reversed and lapsed decisions and those with a verdict, so you can run it
    again wherever it was stopped.

    Exit status: 1 refused, or rejected by the worker; 3 Kafka cannot be reached: `callwarden ledger run` sends what is
    reserved.
    """
    from streams.cli.inputs import checked_reason, fail

    settings = review_settings(bootstrap, database, key)
    checked_reason(reason)
    if decision is not None:
        if rule or tenant or from_ or to or dry_run:
            fail("ID names one decision; expected no --rule, --tenant, --from, --to or --dry-run beside it")
        submit_one("overturn", decision, VerdictOptions(reason, by, wait), replace, yes, settings)
        return
    if not (rule and from_ and to):
        fail("expected an ID; or --rule, --from and --to for all that a rule decided in that time")
    wanted = case_query(None, tenant, rule, from_, to)
    ids, replacing = _chosen(wanted, settings, replace)
    if not ids:
        typer.echo("没有需要撤销的决定 / nothing to overturn")
        return
    if dry_run:
        typer.echo(f"{len(ids)} 个决定将被撤销（未执行）/ {len(ids)} would be overturned; nothing was changed")
        return
    if not yes:
        typer.confirm(f"撤销以上 {len(ids)} 个决定？/ Overturn these {len(ids)}?", abort=True)
    submit("overturn", ids, VerdictOptions(reason, by, wait), replacing, settings)


def _chosen(wanted: "CaseQuery", settings: "Settings", replace: bool) -> "tuple[list[str], Replacing | None]":
    """The ids in force of the decisions to overturn, after they have been shown; and the verdicts to be replaced."""
    from rich.console import Console

    from streams.cli.consume.case_format import case_line, claim_line
    from streams.cli.consume.reviewing.review_session import look_up
    from streams.consumers.ledger.queries.lookup import cases, resting_on
    from streams.reviews.reservations import Replace, claims_on

    def look(connection: "Connection") -> "tuple[list[LedgerCase], dict[str, Reservation], list[LedgerCase]]":
        found = [case for case in cases(connection, wanted) if case.stands]
        return found, claims_on(connection, found), resting_on(connection, found)

    found, claims, resting = look_up("reviews overturn", settings, look)
    replacing = Replace(claims, patience_ms(settings)) if replace else None
    console, now_ms, ids = Console(highlight=False), epoch_ms(), []
    for case in found:
        claim = claims.get(case.in_force.id)
        for line in [case_line(case, now_ms, settings.display), *claim_line(claim, settings.display, case)]:
            console.print(line, soft_wrap=True)
        if claim is None or (replacing and replacing.replaces(claim, now_ms)):
            ids.append(case.in_force.id)
    for case in resting:
        typer.echo(
            f"{case.in_force.id}：最终升级决定依据其中的违规，不会自动撤销 / "
            "a final escalation counts some of these; it stays in force until you overturn it, too"
        )
    return ids, replacing
