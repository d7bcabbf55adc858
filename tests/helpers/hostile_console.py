"""A console whose tables and files contain hostile texts in each place that another party fills."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import httpx
import msgspec
from argon2 import PasswordHasher
from sqlalchemy import insert
from starlette.types import Receive, Scope, Send

from helpers.console_harness import ConsoleHarness
from helpers.console_pages import (
    DAY_MS,
    HOSTILE,
    HOSTILE_ID,
    NUMBER,
    alerted,
    application,
    decided,
    reviewed,
    tenant,
)
from helpers.console_policies import ThreadChecks, file_of, recorded, started
from monitor.policy.load import loads
from oracle.ledger import T0
from schemas import codec
from schemas.inputs import Complaint
from schemas.outputs import Evidence, Reason
from streams.console.app import make
from streams.console.cases import verdicts
from streams.console.cases.verdicts import VerdictRules, WantedVerdict
from streams.console.cluster_reports import ClusterReport
from streams.console.evidence.masked_record import masked
from streams.console.evidence.tables import EVIDENCE
from streams.console.identity.components import Identity
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.sessions import Session, Stage
from streams.console.identity.users import Role, User
from streams.console.policies import drafts
from streams.console.policies.checker import CheckRequest, check
from streams.console.policies.proposals import PolicyProposals
from streams.console.policies.requests import RequestedChange
from streams.console.previews.result import (
    ChangedTenant,
    ComparedPolicy,
    PreviewResult,
    RecordCounts,
    RuleCount,
    RuleStep,
)
from streams.console.previews.tables import PREVIEWS
from streams.console.security_headers import with_security_headers
from streams.kafka.api import TP
from streams.ops.dead_letters import DeadLetter
from streams.topics.reported_waits import ReportedWaits

NOW: Final = T0 + 10 * DAY_MS
EVERYBODY: Final = User("local:chen", "Chen", frozenset(Role))
LI: Final = User("local:li", HOSTILE, frozenset(Role))
TEXTS: Final = Reason(HOSTILE, HOSTILE)
WAITS: Final = decided(
    50, HOSTILE_ID, NOW - 2 * DAY_MS, tier="severe", status="pending_review", reason=TEXTS, rule_id=HOSTILE_ID,
    evidence=Evidence(call_ids=(HOSTILE_ID,), complaint_ids=(HOSTILE_ID,)),
)  # fmt: skip
BAN: Final = decided(51, HOSTILE_ID, NOW - DAY_MS, tier="severe", status="pending_review", reason=TEXTS)
FINAL: Final = decided(52, HOSTILE_ID, NOW - DAY_MS, tier="minor", reason=TEXTS, evidence=Evidence(review_ids=("r-1",)))
APPLICATION: Final = decided(
    53, HOSTILE_ID, NOW - DAY_MS, kind="admission_review", status="pending_review", behaviour="application_review",
    tier=None, rule_id="application_review", measure=None, window=None, clause=None, refunds="unaffected",
    review_by_ms=None, evidence=Evidence(application_ids=(HOSTILE_ID,)), reason=TEXTS,
)  # fmt: skip
HOSTILE_POLICY: Final = file_of("2") + f"# {HOSTILE}\n"
PREVIEW: Final = "cwp-1"


class Reports:
    """Stands for Kafka: a dead letter and a wait with hostile texts."""

    async def report(self) -> ClusterReport:
        letter = DeadLetter(0, 5, T0, b"k", b"v", f"invalid_record {HOSTILE}", TP("callwarden.calls", 0), 9)
        return ClusterReport(ReportedWaits(T0, {3: [HOSTILE]}), [letter], set())

    async def retry(self, letter_id: str) -> bool:
        return True


def complaint() -> Complaint:
    record = codec.convert(
        {
            "type": "complaint", "complaint_id": HOSTILE_ID, "tenant_id": HOSTILE_ID, "category": "fraud",
            "status": "verified", "caller": NUMBER, "complainant": "person-1", "channel": HOSTILE, "reported_ms": T0,
            "updated_ms": T0,
        }
    )  # fmt: skip
    assert isinstance(record, Complaint)
    return record


def preview_of(text: str) -> dict[str, Any]:
    """A finished preview whose texts are hostile."""
    after = loads(text, "f")
    step = RuleStep(HOSTILE_ID, "final", True, "minor", 0, HOSTILE, HOSTILE)
    none: dict[str, str | None] = {"final": None, "pending": None, "shadow": None}
    compared = ComparedPolicy(HOSTILE, HOSTILE, after.sha256)
    result = PreviewResult(
        before=compared, after=compared, records=RecordCounts(1, 1, 1, 0, 0, 1, None, [("bad_field", 1)]), tiers=[],
        changed=[ChangedTenant(HOSTILE_ID, none, none | {"final": "minor"}, [step])], changed_total=1, new_total=1,
        gone_total=0, rules=[RuleCount(HOSTILE_ID, (1, 2), (3, 4), (5, 6))], scores=[],
    )  # fmt: skip
    return {
        "id": PREVIEW, "subject": LI.subject, "name": HOSTILE, "state": "done", "source": "file", "days": 1,
        "file_name": HOSTILE, "file_bytes": 9, "title": HOSTILE, "base_name": HOSTILE, "base_sha256": after.sha256,
        "asked_ms": NOW, "alive_ms": NOW, "step": "after", "read": 0, "total": 0, "policy_sha256": after.sha256,
        "result": msgspec.json.encode(result),
    }  # fmt: skip


def address_with(ids: Mapping[str, str], address: str) -> str:
    """The address with the ids that `fill` gave, in place of their names."""
    for name, value in ids.items():
        address = address.replace(name, value)
    return address


async def fill(console: ConsoleHarness) -> dict[str, str]:
    """Hostile texts wherever a record or a user can put one. The ids that stand for words in the addresses."""
    await console.put(tenant(HOSTILE_ID, T0, f"hostile {HOSTILE}", HOSTILE_ID, (HOSTILE,)))
    await console.put(
        tenant("b", T0, HOSTILE, HOSTILE_ID), application(HOSTILE_ID, HOSTILE_ID, T0, f"催收 {HOSTILE}", HOSTILE)
    )
    await console.put(WAITS, BAN, FINAL, APPLICATION, alerted(HOSTILE_ID, NOW - DAY_MS, reason=TEXTS))
    await console.put(reviewed(FINAL, NOW - 1, "uphold", HOSTILE), reviewed(WAITS, NOW - 1, "overturn", HOSTILE))
    await console.put(decided(54, HOSTILE_ID, T0, reason=TEXTS, rule_id=HOSTILE_ID), shadow=True)
    await recorded(console, started(loads(file_of("1"), "f"), T0, HOSTILE))
    kept = {"enforcement_id": WAITS.id, "tenant_id": HOSTILE_ID, "topic": "c", "partition": 0, "added_ms": T0}
    value = msgspec.json.encode(masked(complaint()))
    rows = [
        kept | {"number": 0, "offset": 0, "state": "kept", "value": value},
        kept | {"number": 1, "offset": 1, "state": "expired", "value": None},
    ]
    rules = VerdictRules(0, 60_000, four_eyes=True)
    steps = PolicyProposals(console.context.policies, True, 1_000)
    checked = check(CheckRequest(HOSTILE_POLICY, 0)).policy
    assert checked is not None

    def work(connection: Any) -> dict[str, str]:
        connection.execute(insert(EVIDENCE), rows)
        given = verdicts.give(connection, [BAN.id], WantedVerdict("uphold", HOSTILE), LI, rules, NOW)
        assert not given.refused
        draft = drafts.create(connection, EVERYBODY, HOSTILE_POLICY, HOSTILE, NOW)
        other = drafts.create(connection, LI, HOSTILE_POLICY, HOSTILE, NOW)
        faulty = drafts.create(connection, LI, f"id: house\n'{HOSTILE}': 1\n", HOSTILE, NOW)
        wanted = RequestedChange("apply", (checked.sha256,), None, HOSTILE)
        proposal = steps.propose(connection, LI, other, checked, wanted, NOW)
        assert proposal is not None
        connection.execute(insert(PREVIEWS).values(preview_of(HOSTILE_POLICY)))
        return {"DRAFT": draft.id, "OTHER": other.id, "FAULTY": faulty.id, "PROPOSAL": proposal, "SHA": checked.sha256}

    return await console.database.run(work)


@asynccontextmanager
async def browser_of(console: ConsoleHarness) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with every role, signed in."""
    passwords = PasswordChecks(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    identity = Identity(console.settings, console.database, console.clock, passwords)
    await identity.prepare()
    console.context = replace(console.context, reports=Reports())  # type: ignore[arg-type]  # what pages use of it
    made = make(console.context)
    made.state.policy_checks, made.state.identity = ThreadChecks(), identity
    await made.state.changes.look()
    app = with_security_headers(made)
    session = Session("h", EVERYBODY, Stage.FULL, "password", NOW, NOW, "192.0.2.1", HOSTILE)

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        await app(
            {**scope, "callwarden.user": EVERYBODY, "callwarden.csrf": "t", "callwarden.session": session},
            receive,
            send,
        )

    transport = httpx.ASGITransport(app=signed_in, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:6071") as client:
            yield client
    finally:
        passwords.close()
