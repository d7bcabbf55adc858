"""`callwarden reviews`: list decisions, uphold or overturn them, and approve or reject applications."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from streams.cli.options import Bootstrap, By, Json, LedgerDatabase, Wait, Yes
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from monitor.policy.model import OpenKind
    from streams.consumers.ledger.queries.cases import LedgerCase
    from streams.consumers.ledger.queries.lookup import CaseQuery
    from streams.kafka.cluster import KafkaCluster
    from streams.reviews.reservations import Replace as Replacing
    from streams.reviews.reservations import Reservation
    from streams.reviews.service import ReviewService
    from streams.reviews.signatures import SigningKey
    from streams.reviews.validation import Verdict
    from streams.settings.load import Settings

app = typer.Typer()

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

_MARGIN_MS = 5 * 60_000
_TOLD_MS = 86_400_000  # decisions that come later are of a worker that catches up: nothing is to be said by them
_STATUSES = ("pending", "final", "reversed", "lapsed", "all")


@app.command("list")
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
    wanted = _wanted(None if status == "all" else status, tenant, rule, from_, to)

    def look(connection: "Connection") -> "tuple[list[LedgerCase], dict[str, Reservation]]":
        found = cases(connection, wanted)
        return found, claims_on(connection, found)

    settings = _settings(bootstrap, database)
    (found, claims), currency = read_ledger("reviews list", settings, look)
    report(currency, line=not as_json)
    console, now_ms, display = Console(highlight=False), _now_ms(), settings.display
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


@app.command("show")
def show(
    decision: Annotated[str, typer.Argument(metavar="ID", help="The id of the decision, or of any event of its case.")],
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    database: LedgerDatabase = None,
) -> None:
    """Show a case in full: its status, evidence, and every event and review with its reason, in two languages.

    A signed review is shown with the name of its key. The signature is verified with the keys of
    CALLWARDEN_REVIEW_KEYS_FILE, if that is set.

    The command only reads the ledger's database. It prints the time up to which that is current, and how many records
    it lacks. Telephone numbers are masked.

    Exit status: 1 no such decision; 2 no ledger; 3 the database cannot be reached.
    """
    from rich.console import Console

    from streams.cli.consume.case_format import case_json, case_lines, claim_line, review_json
    from streams.cli.consume.ledger_reading import read_ledger, report
    from streams.cli.inputs import fail
    from streams.consumers.ledger.queries.lookup import case_of
    from streams.reviews.reservations import claims_on
    from streams.reviews.signers import ReviewSigner, signers_of
    from streams.reviews.validation import GivenVerdict, rejection_reason

    settings = _settings(bootstrap, database)
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
        fail(str(rejection_reason(None, decision, GivenVerdict("overturn"), 0)), 1)
    if as_json:
        plain = case_json(case, claims.get(case.in_force.id), _now_ms())
        reviews = [review_json(one, case, by) for one, by in zip(case.reviews, signers, strict=True)]
        plain |= {"events": case.events, "reviews": reviews}
        print_json(currency.plain | {"decision": plain})
        return
    console, display = Console(highlight=False), settings.display
    claim = claims.get(case.in_force.id)
    for line in [*case_lines(case, _now_ms(), display, signers), *claim_line(claim, display, case)]:
        console.print(line, soft_wrap=True)


@app.command("uphold")
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
    settings = _settings(bootstrap, database, key)
    _one("uphold", decision, _VerdictOptions(reason, by, wait, chosen), replace, yes, settings)


@app.command("approve")
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
    _one("approve", decision, _VerdictOptions(reason, by, wait), replace, yes, _settings(bootstrap, database, key))


@app.command("reject")
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
    _one("reject", decision, _VerdictOptions(reason, by, wait), replace, yes, _settings(bootstrap, database, key))


@app.command("overturn")
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

    settings = _settings(bootstrap, database, key)
    checked_reason(reason)
    if decision is not None:
        if rule or tenant or from_ or to or dry_run:
            fail("ID names one decision; expected no --rule, --tenant, --from, --to or --dry-run beside it")
        _one("overturn", decision, _VerdictOptions(reason, by, wait), replace, yes, settings)
        return
    if not (rule and from_ and to):
        fail("expected an ID; or --rule, --from and --to for all that a rule decided in that time")
    wanted = _wanted(None, tenant, rule, from_, to)
    ids, replacing = _chosen(wanted, settings, replace)
    if not ids:
        typer.echo("没有需要撤销的决定 / nothing to overturn")
        return
    if dry_run:
        typer.echo(f"{len(ids)} 个决定将被撤销（未执行）/ {len(ids)} would be overturned; nothing was changed")
        return
    if not yes:
        typer.confirm(f"撤销以上 {len(ids)} 个决定？/ Overturn these {len(ids)}?", abort=True)
    _decide("overturn", ids, _VerdictOptions(reason, by, wait), replacing, settings)


@app.command("keygen")
def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that vouches for the reviews, as `li-min`.")],
    folder: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="The folder of the new file NAME.pem.")
    ] = ".",
    as_json: Json = False,
) -> None:
    """Make a key that signs reviews: the private key as the file NAME.pem, and the line that workers need of it.

    The line goes into the file of CALLWARDEN_REVIEW_KEYS_FILE, below `keys:`. Only the file's owner can read NAME.pem.

    Exit status: 2 the file exists, or cannot be written.
    """
    from pathlib import Path

    from streams.cli.inputs import fail
    from streams.reviews.signatures import KeyFileError, make_key

    try:
        key, path = make_key(name, Path(folder))
    except KeyFileError as error:
        fail(str(error))
    if as_json:
        print_json({"name": key.name, "public_key": key.public_text, "file": str(path)})
        return
    typer.echo(f"{path}: the private key; keep it to yourself", err=True)
    typer.echo(f"  {key.name}: {key.public_text}")


def _replacing(decision: str, settings: "Settings", yes: bool) -> "Replacing":
    """The verdict to replace, if there is one, after the reviewer has seen it and agreed."""
    from rich.console import Console

    from streams.cli.consume.case_format import claim_line
    from streams.cli.consume.review_session import look_up
    from streams.consumers.ledger.queries.lookup import case_of
    from streams.reviews.reservations import Replace, claims_on

    def look(connection: "Connection") -> "tuple[LedgerCase | None, dict[str, Reservation]]":
        case = case_of(connection, decision)
        return case, claims_on(connection, [case] if case else [])

    case, claims = look_up("reviews", settings, look)
    replacing = Replace(claims, _patience_ms(settings))
    for claim in replacing.seen.values():
        if replacing.replaces(claim, _now_ms()):
            for line in claim_line(claim, settings.display, case):
                Console(highlight=False).print(line, soft_wrap=True)
            if not yes:
                typer.confirm("以新的结论取代？/ Replace this verdict?", abort=True)
    return replacing


def _patience_ms(settings: "Settings") -> int:
    """For how long something may still come of a verdict: the watermark waits for late calls, and for a feed."""
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import policy_for
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count
    from streams.topics.policy_log import LoggedPolicies, lateness_ms, logged_policies

    names = TopicNames(settings.input_prefix, settings.output_prefix)

    async def look(cluster: "KafkaCluster") -> dict[int, LoggedPolicies]:
        return await logged_policies(cluster, names, range(await partition_count(cluster, names)))

    policy = policy_for(str(settings.policy) if settings.policy else None)
    waits_ms = lateness_ms(operate("reviews", settings, look), policy.lateness_ms)
    return waits_ms + settings.outage_grace_ms + _MARGIN_MS


def _chosen(wanted: "CaseQuery", settings: "Settings", replace: bool) -> "tuple[list[str], Replacing | None]":
    """The ids in force of the decisions to overturn, after they have been shown; and the verdicts to be replaced."""
    from rich.console import Console

    from streams.cli.consume.case_format import case_line, claim_line
    from streams.cli.consume.review_session import look_up
    from streams.consumers.ledger.queries.lookup import cases, resting_on
    from streams.reviews.reservations import Replace, claims_on

    def look(connection: "Connection") -> "tuple[list[LedgerCase], dict[str, Reservation], list[LedgerCase]]":
        found = [case for case in cases(connection, wanted) if case.stands]
        return found, claims_on(connection, found), resting_on(connection, found)

    found, claims, resting = look_up("reviews overturn", settings, look)
    replacing = Replace(claims, _patience_ms(settings)) if replace else None
    console, now_ms, ids = Console(highlight=False), _now_ms(), []
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


def _urgency(case: "LedgerCase") -> tuple[bool, bool, int, str]:
    """The sort key of a list: pending first, by their deadline; an application has none, the oldest comes first."""
    data = case.in_force.data
    at_ms = data.decided_ms if data.review_by_ms is None and case.status == "pending" else data.review_by_ms or 0
    return case.status != "pending", data.review_by_ms is None, at_ms, case.in_force.id


class _VerdictOptions(NamedTuple):
    """The options of a verdict: its reason, its reviewer, how long to wait for it, and the kind that it chooses."""

    reason: str
    reviewer: str | None
    wait: float
    kind: "OpenKind | None" = None


def _one(
    verdict: "Verdict", decision: str, by: _VerdictOptions, replace: bool, yes: bool, settings: "Settings"
) -> None:
    """Give a verdict on one decision."""
    from streams.cli.inputs import checked_reason

    checked_reason(by.reason)
    _decide(verdict, [decision], by, _replacing(decision, settings, yes) if replace else None, settings)


def _decide(
    verdict: "Verdict", ids: list[str], by: _VerdictOptions, replacing: "Replacing | None", settings: "Settings"
) -> None:
    from rich.console import Console

    from streams.cli.consume.case_format import event_lines
    from streams.cli.consume.review_session import decide
    from streams.cli.inputs import operator_name
    from streams.kafka.topic_names import TopicNames
    from streams.reviews.rejections import RejectedReviews
    from streams.reviews.reservations import ReviewedBy
    from streams.reviews.service import ReviewOutcomes, SubmittedReviews

    key = _signing_key(settings)
    who, wait = ReviewedBy(operator_name("--by", by.reviewer), by.reason, key), by.wait

    async def give(
        service: "ReviewService", cluster: "KafkaCluster"
    ) -> tuple[SubmittedReviews, ReviewOutcomes, int | None]:
        rejections = RejectedReviews(cluster, TopicNames(settings.input_prefix, settings.output_prefix))
        if wait:
            await rejections.begin()
        given = await service.give(ids, verdict, who, again=replacing, kind=by.kind)
        for why in given.refused.values():
            typer.echo(str(why), err=True)
        if given.claims:
            by_whom = settings.display.text(who.reviewer)
            signed = "" if key is None else f", signed by {key.name}"
            typer.echo(f"已提交 {len(given.claims)} 个复核结论 / sent: {len(given.claims)} by {by_whom}{signed}")
        outcomes = await service.outcomes(given.claims, wait, rejections.read_new) if wait else ReviewOutcomes()
        return given, outcomes, await service.delay_ms()

    given, outcomes, delay_ms = decide(f"reviews {verdict}", settings, give)
    console = Console(highlight=False)
    for events in outcomes.events.values():
        for event in events:
            for line in event_lines(event, settings.display):
                console.print(line, soft_wrap=True)
    for event_id, why in outcomes.rejected.items():
        typer.echo(f"{event_id}: the judge has rejected it: {why}", err=True)
    open_ = len(given.claims) - len(outcomes.events) - len(outcomes.rejected)
    if open_:
        typer.echo(_waiting(open_, delay_ms))
    if given.refused or outcomes.rejected:
        if len(ids) > 1:  # of one decision its own line has said so
            typer.echo(f"{len(given.refused) + len(outcomes.rejected)} of {len(ids)} not given", err=True)
        raise typer.Exit(1)


def _waiting(count: int, delay_ms: int | None) -> str:
    """A line for verdicts without effect yet, with the time at which they take effect, estimated from decisions."""
    from monitor.text.timestamps import instant

    zh, en = "待水位线越过现在时刻", "takes effect once the watermark has passed the current time"
    if delay_ms is not None and delay_ms < _TOLD_MS:
        about = instant(_now_ms() + delay_ms + 60_000)  # the minute after it
        zh, en = f"约于 {about} 生效", f"takes effect about {about}"
    return f"{count} 个尚未生效，{zh} / {count} not decided yet: {en}; `callwarden reviews show ID` shows the state"


def _settings(bootstrap: str | None, database: str | None, key: str | None = None) -> "Settings":
    from streams.cli.inputs import settings_for

    return settings_for({"bootstrap_servers": bootstrap, "ledger_database": database, "reviews_signing_key_file": key})


def _signing_key(settings: "Settings") -> "SigningKey | None":
    """The key that signs verdicts. Fails if it cannot be used, or if the workers, as far as known, would reject it."""
    from streams.cli.inputs import fail
    from streams.reviews.signatures import KeyFileError, load_signing_key

    path, known = settings.reviews_signing_key_file, settings.review_keys()
    if path is None:
        if known:
            fail("the workers accept signed verdicts only (CALLWARDEN_REVIEW_KEYS_FILE); expected --key FILE")
        return None
    try:
        key = load_signing_key(path)
    except KeyFileError as error:
        fail(str(error))
    if known and known.get(key.name) != key.public_text:
        what = "has another key with the name" if key.name in known else "has no key with the name"
        fail(f"{path}: {settings.review_keys_file} {what} {key.name}, and the workers would reject the verdict")
    return key


def _wanted(status: Any, tenant: str | None, rule: str | None, from_: str | None, to: str | None) -> "CaseQuery":
    from streams.cli.inputs import parse_time
    from streams.consumers.ledger.queries.lookup import CaseQuery

    return CaseQuery(
        status,
        tenant,
        rule,
        None if from_ is None else parse_time("--from", from_),
        None if to is None else parse_time("--to", to),
    )


def _now_ms() -> int:
    import time

    return time.time_ns() // 1_000_000
