"""Section 5: decisions, escalations, reversals and lapses."""

from typing import Any

from oracle import rulebook as book
from oracle.owners import Owners
from oracle.policy_timeline import Reign
from oracle.reading import Read
from oracle.rulebook import Escalation, Rulebook
from oracle.tenants import Decision, Outcome, Tenant, evidence_of


class Lifecycle:
    """Makes decisions and takes them back. It holds what all parts of a run share."""

    def __init__(self, reigns: list[Reign], read: Read, until_ms: int | None, enforce_from_ms: int) -> None:
        self.reigns = reigns
        self.number = 0  # the index of the policy that applies to the current instant
        self.enforce_from = enforce_from_ms
        self.read = read
        self.until = until_ms
        self.out = Outcome()
        self.tenants: dict[str, Tenant] = {}
        self.pendings: list[Decision] = []
        self.owners = Owners()
        self.duplicates = read.duplicates
        self.rejected = list(read.rejected)

    @property
    def rules(self) -> Rulebook:
        """The policy that applies to the current instant."""
        return self.reigns[self.number].rules

    def _decide(
        self,
        tenant: Tenant,
        *,
        status: str,
        behaviour: str,
        clause: int | None,
        tier: str | None,
        rule_id: str,
        at: int,
        freeze: bool,
        evidence: dict[str, list[Any]],
        cause: tuple[str | int, ...],
        window: dict[str, int] | None = None,
        measure: dict[str, Any] | None = None,
        shadow: bool = False,
        measured: str | None = None,
        escalation: Escalation | None = None,
        used: list[Decision] | None = None,
        supersedes: Decision | None = None,
        named: int | None = None,
        kind: str | None = None,
    ) -> Decision | None:
        """A new warning, termination, ban or decision on an application; None if its key exists already."""
        final = status == "final"
        if kind is None:
            kind = self.rules.kinds.get(behaviour) or (book.KINDS[tier] if tier else "admission_rejected")
        full = book.actions(kind, tier)
        # The id of a decision with a clause does not depend on what policy or review made of its kind.
        default = book.KINDS[book.BEHAVIOURS[behaviour][1]] if behaviour in book.BEHAVIOURS else kind
        freezes = bool(tier and self.rules.tier_freezes[tier] and (final or freeze))
        key = (tenant.id, default, status, rule_id, at if named is None else named, *cause)
        if key in (tenant.shadow_keys if shadow else tenant.decisions):
            return None
        violation = final and "record_violation" in full
        same = supersedes if supersedes is not None and supersedes.violation else None  # it stays one violation
        event = {
            "key": key,
            "tenant_id": tenant.id,
            "kind": kind,
            "status": status,
            "behaviour": behaviour,
            "clause": clause,
            "tier": tier,
            "actions": full if final else [],
            "proposed_actions": [] if final else full,
            "refunds": "frozen" if freezes else "unaffected",
            "rule_id": rule_id,
            "decided_ms": at,
            "review_by_ms": None if final or kind == "admission_review" else at + self.rules.review_within,
            "window": window,
            "measure": measure,
            "evidence": evidence,
            "violations_on_record": len(tenant.violations) + (violation and same is None),
            "reverses": None,
            "supersedes": supersedes.event["key"] if supersedes else None,
            "escalations_ahead": [],
            "escalations_affected": [],
        }
        decision = Decision(event, "final" if final else "pending", violation, escalation, used or [], measured)
        if shadow:
            tenant.shadow_keys.add(key)
            self.out.shadow.append(event)
            return decision
        tenant.decisions[key] = decision
        self.out.enforcement.append(event)
        if not final:
            self.pendings.append(decision)
        if supersedes is not None:
            self.owners.lift(supersedes.event["key"], at)
        if final and kind == "ban" and tenant.registered is not None:
            self.owners.ban(tenant.registered["owner_id"], event)
        if same is not None:
            decision.violation_at = same.violation_at
            tenant.violations = [decision if d is same else d for d in tenant.violations]
        elif violation:
            decision.violation_at = at
            tenant.violations.append(decision)
            self._escalate(tenant, decision, at, (*cause[:2], rule_id))
        return decision

    def _escalate(self, tenant: Tenant, violation: Decision, at: int, cause: tuple[str | int, ...]) -> None:
        if violation.escalation is not None:
            return
        if not tenant.terminated():
            violation.event["escalations_ahead"] = [
                {
                    "rule_id": each.id,
                    "kind": book.KINDS[each.tier],
                    "mode": each.mode,
                    "violations": len(counting(self._unused(tenant, each, at), each)),
                    "at_least": each.at_least,
                    "window_ms": each.window,
                }
                for each in self.rules.escalations
            ]
        for escalation in self.rules.escalations:
            if tenant.terminated():
                return
            unused = self._unused(tenant, escalation, at)
            counted = counting(unused, escalation)
            if len(counted) < escalation.at_least:
                continue
            decided = self._decide(
                tenant,
                status="final" if escalation.mode == "enforce" else "pending_review",
                behaviour="repeat_violation",
                clause=None,
                tier=escalation.tier,
                rule_id=escalation.id,
                at=at,
                freeze=escalation.freeze,
                measure={
                    "metric": "violations",
                    "numerator": len(counted),
                    "denominator": None,
                    "value": float(len(counted)),
                    "threshold": float(escalation.at_least),
                    "bound": None,
                },
                evidence=evidence_of(enforcement_ids=[d.event["key"] for d in counted]),
                cause=cause,
                escalation=escalation,
                used=unused,
            )
            if decided is not None:
                tenant.used[escalation.id].extend(unused)

    def _unused(self, tenant: Tenant, escalation: Escalation, at: int) -> list[Decision]:
        """The violations in the escalation's window that it has not used."""
        return [
            d
            for d in tenant.violations
            if d.escalation is None
            and at - escalation.window < d.violation_at <= at
            and all(d is not u for u in tenant.used[escalation.id])
        ]

    def _take_back(self, tenant: Tenant, old: Decision, kind: str, at: int, evidence: dict[str, list[Any]]) -> None:
        """A reversal or a lapse of a decision in force, and of the pending escalations that are withdrawn with it."""
        self.owners.lift(old.event["key"], at)
        users = [
            d
            for d in tenant.decisions.values()
            if d.in_force and d.escalation is not None and any(u is old for u in d.used)
        ]
        before_left = [left_of(d) for d in users]
        old.state = "lapsed" if kind == "lapse" else "reversed"
        tenant.violations = [d for d in tenant.violations if d is not old]
        before = old.event
        event = {
            **before,
            "key": (tenant.id, kind, "final", before["rule_id"], at, "reverses", before["key"]),
            "kind": kind,
            "status": "final",
            "actions": [],
            "proposed_actions": [],
            "refunds": "released" if before["refunds"] == "frozen" else "unaffected",
            "decided_ms": at,
            "review_by_ms": None,
            "window": None,
            "measure": None,
            "evidence": evidence,
            "violations_on_record": len(tenant.violations),
            "reverses": before["key"],
            "supersedes": None,
            "escalations_ahead": [],
            "escalations_affected": [
                {
                    "rule_id": d.event["rule_id"],
                    "enforcement_id": d.event["key"],
                    "status": "final" if d.state == "final" else "pending_review",
                    "violations": left_of(d),
                    "at_least": d.escalation.at_least if d.escalation else 0,
                }
                for d, left in sorted(zip(users, before_left, strict=True), key=lambda one: one[0].event["rule_id"])
                if left_of(d) < left
            ],
        }
        self.out.enforcement.append(event)
        for other in list(tenant.decisions.values()):
            if other.state != "pending" or other.escalation is None or all(u is not old for u in other.used):
                continue
            left = [u for u in other.used if u.state == "final"]
            if left_of(other) < other.escalation.at_least:
                name = other.escalation.id
                tenant.used[name] = [u for u in tenant.used[name] if all(u is not x for x in left)]
                self._take_back(tenant, other, "reversal", at, evidence)

    def _lapse(self, at: int) -> None:
        due = [(self._ends_at(d), n, d) for n, d in enumerate(self.pendings) if d.state == "pending"]
        for end, _, decision in sorted(one for one in due if one[0] <= at):
            tenant = self.tenants[decision.event["tenant_id"]]
            kind = "reversal" if decision.waits else "lapse"
            self._take_back(tenant, decision, kind, end, evidence_of())
        self.pendings = [d for d in self.pendings if d.state == "pending"]

    def _ends_at(self, decision: Decision) -> int:
        """When a pending decision ends without a review: an application waits as long as its id is remembered."""
        if not decision.waits:
            return int(decision.event["review_by_ms"])
        (name,) = decision.event["evidence"]["application_ids"]
        last = self.tenants[decision.event["tenant_id"]].lives["application", name].last
        return max(last + self.rules.retention, self.reigns[self.number].start)


def left_of(decision: Decision) -> int:
    """How many of the violations that an escalation's decision used are left, as it counts them."""
    assert decision.escalation is not None
    return len(counting([u for u in decision.used if u.state == "final"], decision.escalation))


def counting(violations: list[Decision], escalation: Escalation) -> list[Decision]:
    """Those that count, of ``violations`` in the order of their recording: of each measured rule the newest."""
    if not escalation.once_per_rule:
        return violations
    kept: dict[str, Decision] = {}
    for number, violation in enumerate(violations):
        measured = violation.event["measure"] is not None
        name = f"rule {violation.event['rule_id']}" if measured else f"number {number}"
        before = kept.get(name)
        if before is None or violation.violation_at >= before.violation_at:
            kept[name] = violation
    return list(kept.values())
