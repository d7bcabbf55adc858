"""What the commands of `reviews` share: their options, their settings, and the query that options make."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streams.consumers.ledger.queries.lookup import CaseQuery
    from streams.settings.load import Settings

Tenant = Annotated[str | None, typer.Option("--tenant", metavar="ID", help="Only decisions on this tenant.")]
Rule = Annotated[
    str | None, typer.Option("--rule", metavar="ID", help="Only decisions by this rule, escalation or behaviour.")
]
From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Only decisions first made from this time on.")
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only decisions first made before this time.")]
Reason = Annotated[str, typer.Option("--reason", metavar="WHY", help="Why; it is part of the decision's reason.")]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="FILE", help="The private key that signs the verdict, as `reviews keygen` makes it."),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Show earlier verdicts that had no effect, and replace them once you agree."),
]


def review_settings(bootstrap: str | None, database: str | None, key: str | None = None) -> "Settings":
    """The settings, overridden by these options."""
    from streams.cli.inputs import settings_for

    return settings_for({"bootstrap_servers": bootstrap, "ledger_database": database, "reviews_signing_key_file": key})


def case_query(status: Any, tenant: str | None, rule: str | None, from_: str | None, to: str | None) -> "CaseQuery":
    """The query of the cases that the options name. Ends the command if a time cannot be read, or none is between."""
    from streams.cli.inputs import fail, parse_time
    from streams.consumers.ledger.queries.lookup import CaseQuery

    from_ms = None if from_ is None else parse_time("--from", from_)
    to_ms = None if to is None else parse_time("--to", to)
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        fail(f"--to {to}: expected a time after --from {from_}")
    return CaseQuery(status, tenant, rule, from_ms, to_ms)
