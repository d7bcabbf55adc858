"""`callwarden reviews list` and `show`: what the ledger has of cases."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.consume.reviewing.review_options import From, Rule, Tenant, To, case_query, review_settings
from streams.cli.options import Bootstrap, Json, LedgerDatabase
from streams.cli.outputs import print_json
from streams.runtime.wall_clock import epoch_ms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streams.consumers.ledger.queries.cases import LedgerCase
    from streams.reviews.reservations import Reservation

_STATUSES = ("pending", "final", "reversed", "lapsed", "all")


def list_(
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="pending, final, reversed, lapsed or all.")
    ] = "pending",
    tenant: Tenant = None,
    rule: Rule = None,
    from_: From = None,
    to: To = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """List decisions: by default those that wait for a review, the first to lapse first, then applications.

    The command only reads the ledger's database. It prints the time up to which that is current, and how many records
    it lacks. Telephone numbers are masked.

    Exit status: 2 no ledger; 3 the database cannot be reached.
    """
    from rich.console import Console

    from streams.cli.consume.case_format import case_json, case_line, claim_line, evidence_line
    from streams.cli.consume.ledger_reading import read_ledger, report
    from streams.cli.inputs import fail
    from streams.consumers.ledger.queries.lookup import cases
    from streams.reviews.reservations import claims_on

    if status not in _STATUSES:
        fail(f"--status {status}: expected one of {', '.join(_STATUSES)}")
    wanted = case_query(None if status == "all" else status, tenant, rule, from_, to)

    def look(connection: "Connection") -> "tuple[list[LedgerCase], dict[str, Reservation]]":
        found = cases(connection, wanted)
        return found, claims_on(connection, found)

    settings = review_settings(bootstrap, database)
    (found, claims), currency = read_ledger("reviews list", settings, look)
    report(currency, line=not as_json)
    console, now_ms, display = Console(highlight=False), epoch_ms(), settings.display
    found.sort(key=_urgency)
    if as_json:
        decisions = [case_json(case, claims.get(case.in_force.id), now_ms) for case in found]
        print_json(currency.plain | {"decisions": decisions})
        return
    for case in found:
        claim = claims.get(case.in_force.id)
        lines = [case_line(case, now_ms, display), *evidence_line(case, display), *claim_line(claim, display, case)]
        for text in lines:
            console.print(text, soft_wrap=True)
    if not found:
        typer.echo("没有符合条件的决定 / no such decisions")


def show(
    decision: Annotated[str, typer.Argument(metavar="ID", help="The id of the decision, or of any event of its case.")],
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Show a case in full: its status, evidence, and every event and review with its reason, in two languages.

    The last line is the command that explains the rule, if a measured rule or an escalation decided.

    A signed review is shown with the name of its key. The signature is verified with the keys of
    CALLWARDEN_REVIEW_KEYS_FILE, if that is set.

    The command only reads the ledger's database. It prints the time up to which that is current, and how many records
    it lacks. Telephone numbers are masked.

    Exit status: 1 no such decision; 2 no ledger; 3 the database cannot be reached.
    """
    from rich.console import Console

    from streams.cli.consume.case_format import case_json, case_lines, claim_line, explain_line, review_json
    from streams.cli.consume.ledger_reading import read_ledger, report
    from streams.cli.inputs import fail
    from streams.consumers.ledger.queries.lookup import case_of
    from streams.reviews.reservations import claims_on
    from streams.reviews.signers import ReviewSigner, signers_of
    from streams.reviews.validation import GivenVerdict, rejection_reason

    settings = review_settings(bootstrap, database)
    keys = settings.review_keys()

    def look(
        connection: "Connection",
    ) -> "tuple[LedgerCase | None, dict[str, Reservation], list[tuple[ReviewSigner, ...]]]":
        case = case_of(connection, decision)
        if case is None:
            return None, {}, []
        return case, claims_on(connection, [case]), signers_of(connection, case.reviews, keys)

    (case, claims, signers), currency = read_ledger("reviews show", settings, look)
    report(currency, line=not as_json)
    if case is None:
        why = rejection_reason(None, decision, GivenVerdict("overturn"), 0)
        assert why is not None
        fail(why.en, 1)
    if as_json:
        plain = case_json(case, claims.get(case.in_force.id), epoch_ms())
        reviews = [review_json(one, case, by) for one, by in zip(case.reviews, signers, strict=True)]
        plain |= {"events": case.events, "reviews": reviews}
        print_json(currency.plain | {"decision": plain})
        return
    console, display = Console(highlight=False), settings.display
    claim = claims.get(case.in_force.id)
    lines = [*case_lines(case, epoch_ms(), display, signers), *claim_line(claim, display, case)]
    for line in [*lines, *explain_line(case, display)]:
        console.print(line, soft_wrap=True)


def _urgency(case: "LedgerCase") -> tuple[bool, bool, int, str]:
    """The sort key of a list: pending first, by their deadline; an application has none, the oldest comes first."""
    data = case.in_force.data
    at_ms = data.decided_ms if data.review_by_ms is None and case.status == "pending" else data.review_by_ms or 0
    return case.status != "pending", data.review_by_ms is None, at_ms, case.in_force.id
