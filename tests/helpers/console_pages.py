"""The pages of a console that is on topics in memory, as a signed-in user's browser asks for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from starlette.types import Receive, Scope, Send

from helpers.console_harness import ConsoleHarness
from helpers.console_policies import ThreadChecks
from schemas.inputs import Application, Review, Tenant
from schemas.outputs import Alert, Enforcement, EnforcementData, Evidence, Measure, PolicyRef, Reason, Window
from streams.console.app import make
from streams.console.identity.users import Role, User
from streams.console.security_headers import with_security_headers
from streams.reviews.validation import Verdict

NUMBER: Final = "+8613812345678"
HOSTILE: Final = f"<img src=x onerror=alert(1)>\"'{{{{7*7}}}}</script>\u202e {NUMBER}"
"""A text of a tenant that tries to act on a page and holds a telephone number."""
HOSTILE_ID: Final = HOSTILE.replace(f" {NUMBER}", "")
"""The same as an id, which is shown whole."""
DAY_MS: Final = 86_400_000


@asynccontextmanager
async def pages_of(
    console: ConsoleHarness, *roles: Role, subject: str = "local:li"
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is signed in with these roles; without any as a reviewer."""
    made = make(console.context)
    made.state.policy_checks = ThreadChecks()
    await made.state.changes.look()  # a process does so all the time: it counts the queue
    app = with_security_headers(made)
    user = User(subject, subject.removeprefix("local:").title(), frozenset(roles or {Role.REVIEWER}))

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "callwarden.user": user, "callwarden.csrf": "token"}, receive, send)

    transport = httpx.ASGITransport(app=signed_in)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
        yield client


def decided(number: int, tenant_id: str, at_ms: int, *, tier: str | None = "minor", **changes: object) -> Enforcement:
    """Decision ``number``; ``changes`` are fields of its data."""
    kind = {"minor": "warning", "major": "termination", "severe": "ban"}.get(tier or "", "warning")
    pending = changes.get("status") == "pending_review"
    actions = ("warn", "record_violation")
    fields: dict[str, Any] = {
        "tenant_id": tenant_id,
        "kind": kind,
        "status": "final",
        "behaviour": "blind_calling",
        "clause": 6,
        "tier": tier,
        "actions": () if pending else actions,
        "proposed_actions": actions if pending else (),
        "refunds": "unaffected" if tier == "minor" else "frozen",
        "rule_id": "short-calls-day",
        "policy": PolicyRef("access-rules", "1", "0" * 64),
        "decided_ms": at_ms,
        "review_by_ms": at_ms + 7 * DAY_MS if pending else None,
        "window": Window(at_ms - DAY_MS, at_ms),
        "measure": Measure("short_call_ratio", 200, 1_031, 200 / 1_031, 0.15, 0.1745),
        "evidence": Evidence(call_ids=(f"call-{number}",)),
        "violations_on_record": 1,
        "reverses": None,
        "supersedes": None,
        "reason": Reason("24 小时内 1,031 个接通中有 200 个不超过 6 秒", "200 of 1,031 answered calls lasted 6 s"),
        **changes,
    }
    event_id = f"cwe-{number:031x}f"
    return Enforcement(event_id, tenant_id, "2026-01-01T00:00:00.000Z", EnforcementData(**fields))


def alerted(tenant_id: str, at_ms: int, state: str = "firing", **changes: object) -> Alert:
    """An alert about the rule of `decided`."""
    fields: dict[str, Any] = {
        "alert_id": f"alert-{tenant_id[:20]}-{at_ms}",
        "tenant_id": tenant_id,
        "rule_id": "short-calls-day",
        "severity": "warning",
        "state": state,
        "measure": Measure("short_call_ratio", 180, 1_000, 0.18, 0.15, 0.16),
        "since_ms": at_ms,
        "updated_ms": at_ms,
        "enforcement_id": None,
        "reason": Reason("短呼过多", "too many short calls"),
        **changes,
    }
    return Alert(**fields)


def reviewed(event: Enforcement, at_ms: int, verdict: Verdict = "overturn", reason: str = "checked") -> Review:
    """A review of ``event``."""
    return Review(
        review_id=f"review-{at_ms}",
        enforcement_id=event.id,
        tenant_id=event.subject,
        verdict=verdict,
        reviewer="local:li",
        reason=reason,
        updated_ms=at_ms,
    )


def tenant(
    tenant_id: str, at_ms: int, name: str = "Acme", owner_id: str | None = None, businesses: tuple[str, ...] = ()
) -> Tenant:
    """The record of a tenant."""
    return Tenant(
        tenant_id=tenant_id,
        declared_businesses=list(businesses),
        numbers=[NUMBER],
        updated_ms=at_ms,
        name=name,
        owner_id=owner_id,
    )


def application(
    tenant_id: str, application_id: str, at_ms: int, business: str, scenario: str | None = None
) -> Application:
    """An application for numbers."""
    return Application(
        application_id=application_id,
        tenant_id=tenant_id,
        declared_business=business,
        scenario=scenario,
        updated_ms=at_ms,
    )
