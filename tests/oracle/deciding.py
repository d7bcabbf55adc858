"""Section 5: windows, rules, records, tenant states, escalations, reviews, admission, alerts, in decision order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from oracle import rulebook as book
from oracle.catalogue import sureness
from oracle.measures import Call, Seen, behind, measure, wilson
from oracle.owners import Owners
from oracle.policy_timeline import Reign, forgotten, is_evidence, is_whole, late_line, reign_of
from oracle.reading import Read, read_files
from oracle.records import ID_FIELD
from oracle.rulebook import Escalation, Rule, Rulebook, rulebook

Key = tuple[Any, ...]
TYPE_ORDER = {"tenant": 0, "application": 1, "complaint": 2, "finding": 3, "review": 4}
STATUS_ORDER = {
    "received": 0,
    "suspected": 0,
    "verified": 1,
    "confirmed": 1,
    "dismissed": 2,
    "uphold": 0,
    "overturn": 1,
    "approve": 0,
    "reject": 1,
}
EVIDENCE = ("call_ids", "complaint_ids", "finding_ids", "application_ids", "review_ids", "enforcement_ids")


@dataclass
class Outcome:
    """The complete result of a run. An event's ``key`` stands for its id; ``reverses`` and ``supersedes`` are keys,
    too.
    """

    enforcement: list[dict[str, Any]] = field(default_factory=list)
    shadow: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[tuple[int, int, str]] = field(default_factory=list)  # file, line, coarse reason
    summary: dict[str, int] = field(default_factory=dict)
    holds: dict[str, list[Key]] = field(default_factory=dict)


@dataclass
class Decision:
    """A decision and its state: ``pending``, ``final``, ``superseded``, ``reversed``, ``lapsed``."""

    event: dict[str, Any]
    state: str
    violation: bool = False
    escalation: Escalation | None = None
    used: list["Decision"] = field(default_factory=list)
    measured: str | None = None  # the mode of the measured rule
    upheld_as: "Decision | None" = None
    violation_at: int = 0
    reviews: list[tuple[int, str]] = field(default_factory=list)

    @property
    def newest(self) -> "Decision":
        """The decision as its last review left it."""
        return self if self.upheld_as is None else self.upheld_as.newest

    @property
    def waits(self) -> bool:
        """Whether it is an application that waits."""
        return self.state == "pending" and self.event["kind"] == "admission_review"

    @property
    def in_force(self) -> bool:
        return self.state in {"pending", "final"}


@dataclass
class Life:
    """The record of one id (other than a call's), until it is forgotten."""

    last: int
    seen: set[Any] = field(default_factory=set)
    records: list[dict[str, Any]] = field(default_factory=list)
    dismissed: bool = False
    decision: Decision | None = None


@dataclass
class Firing:
    """An active alert: its firing record, and the newest decision made while it is active."""

    record: dict[str, Any]
    named: Key | None = None


@dataclass
class Tenant:
    """One tenant's records and state."""

    id: str
    calls: list[Call] = field(default_factory=list)
    complaint_times: list[int] = field(default_factory=list)
    complaints: list[Life] = field(default_factory=list)
    lives: dict[tuple[str, str], Life] = field(default_factory=dict)
    decisions: dict[Key, Decision] = field(default_factory=dict)
    violations: list[Decision] = field(default_factory=list)
    used: dict[str, list[Decision]] = field(default_factory=lambda: defaultdict(list))
    quiet_enforce: dict[str, int] = field(default_factory=dict)
    quiet_review: dict[str, int] = field(default_factory=dict)
    quiet_shadow: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, Firing] = field(default_factory=dict)
    shadow_keys: set[Key] = field(default_factory=set)
    registered: dict[str, Any] | None = None  # the newest `tenant` record
    owners: set[str] = field(default_factory=set)  # all that a `tenant` record has named

    def terminated(self) -> bool:
        """Whether a final termination or ban is in force."""
        return any(d.state == "final" and d.event["kind"] in {"termination", "ban"} for d in self.decisions.values())

    def banned(self) -> bool:
        """Whether a final ban is in force."""
        return any(d.state == "final" and d.event["kind"] == "ban" for d in self.decisions.values())


def judge(
    files: Sequence[Sequence[str | bytes]],
    policy: dict[str, Any],
    *,
    not_after_ms: int | None = None,
    until_ms: int | None = None,
    enforce_from_ms: int = 0,
    switches: Sequence[tuple[int, dict[str, Any]]] = (),
) -> Outcome:
    """Evaluate files of lines. Raises ValueError where ``until_ms`` lies before the largest event time.

    Records before ``enforce_from_ms`` count and decide nothing. ``switches`` are later policies, each with the event
    time from which it applies.
    """
    reigns = [Reign(0, rulebook(policy)), *(Reign(start, rulebook(plain)) for start, plain in switches)]
    read = read_files(files, partial(late_line, reigns), not_after_ms)
    if until_ms is not None and read.largest is not None and until_ms < read.largest:
        raise ValueError("--until lies before the largest event time of the input")
    return _Harness(reigns, read, until_ms, enforce_from_ms).run()


def judge_read(reigns: list[Reign], read: Read, until_ms: int | None) -> Outcome:
    """Evaluate the records, up to ``until_ms``; None: nothing can be decided yet."""
    return _Harness(reigns, read, until_ms, 0).run()


class _Harness:
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

    # -- decision order

    def run(self) -> Outcome:
        for record in [*self.read.calls, *self.read.others]:
            self.tenants.setdefault(record["tenant_id"], Tenant(record["tenant_id"]))
        for call in self.read.calls:
            self.tenants[call["tenant_id"]].calls.append(call)
        if self.read.largest is not None:
            self._in_order(self.read.largest)
        self._finish()
        return self.out

    def _in_order(self, largest: int) -> None:
        last_lapse = largest if self.until is None else self.until
        agenda: list[tuple[Any, ...]] = []
        for number, reign in enumerate(self.reigns):
            if number:
                steps = {rule.step for one in self.reigns[number - 1 : number + 1] for rule in one.rules.rules}
                last_end = max([largest, *((largest // step + 1) * step for step in steps)])
                if reign.start > (last_end if self.until is None else self.until):
                    break  # its time never comes
                agenda.append((reign.start, -1, number))
            for index, rule in enumerate(reign.rules.rules):
                last_end = (largest // rule.step + 1) * rule.step if self.until is None else self.until
                for tenant in self.tenants.values():
                    ends = self._ends(rule, tenant, last_end, reign.start)
                    mine = [end for end in ends if reign_of(self.reigns, end) == number]
                    agenda.extend((end, 0, index, tenant.id) for end in mine)
        for r in self.read.others:
            name = r[ID_FIELD[r["type"]]]
            status = STATUS_ORDER[r.get("status") or r.get("verdict") or "received"]
            agenda.append((r["t"], 1, TYPE_ORDER[r["type"]], name, status, r["seq"], r))
        agenda.sort(key=lambda item: item[:6])
        for item in agenda:
            self._owners_until(min(item[0] - (item[1] < 1), last_lapse))
            self._lapse(min(item[0] - (item[1] < 0), last_lapse))
            if item[1] < 0:
                self._begin(item[2])
            elif item[1] == 0:
                self._judge_window(self.rules.rules[item[2]], self.tenants[item[3]], item[0])
            else:
                self._take(item[6])
        self._owners_until(last_lapse)
        self._lapse(last_lapse)

    def _owners_until(self, until: int) -> None:
        """Bans of owners and their liftings take effect, after the lapses of each instant."""
        while (due := self.owners.next_due(until)) is not None:
            at, ban = due
            self._lapse(at)
            evidence = _evidence(enforcement_ids=[ban.event["key"]])
            if ban.begun:
                ban.ended = True
                for tenant in self.tenants.values():
                    for decision in list(tenant.decisions.values()):
                        event = decision.event
                        mine = event["behaviour"] == "owner_banned" and event["evidence"] == evidence
                        if mine and decision.state == "pending":
                            self._take_back(tenant, decision, "reversal", at, evidence)
                continue
            ban.begun = True
            for tenant in self.tenants.values():
                other = tenant.id != ban.event["tenant_id"] and ban.owner in tenant.owners
                if other and not tenant.terminated() and at >= self.enforce_from:
                    self._decide(
                        tenant,
                        status="pending_review",
                        behaviour="owner_banned",
                        clause=ban.event["clause"],
                        tier=ban.event["tier"],
                        rule_id="owner_banned",
                        at=at,
                        freeze=True,
                        evidence=evidence,
                        cause=("enforcement", ban.event["key"]),
                        kind="ban",
                        named=ban.event["decided_ms"],
                    )

    def _begin(self, number: int) -> None:
        """Another policy applies from now on; alerts of rules that it lacks are resolved."""
        at, former = self.reigns[number].start, self.rules
        kept = {rule.id for rule in self.reigns[number].rules.rules}
        for rule in former.rules:
            if rule.id not in kept:
                for tenant in self.tenants.values():
                    self._resolve(rule, tenant, at, None)
        self.number = number

    def _ends(self, rule: Rule, tenant: Tenant, last_end: int, start: int) -> set[int]:
        """Every end whose window holds a record, and the one after (where an alert without records resolves).

        After a policy change also the ends at which an earlier alert may resolve.
        """
        times = {c["t"] for c in tenant.calls}
        times |= {r["t"] for r in self.read.others if r["type"] == "complaint" and r["tenant_id"] == tenant.id}
        ends = set(range(-(-start // rule.step) * rule.step, start + rule.window + rule.step + 1, rule.step))
        ends = ends if start else set()
        for time in times:
            first = (time // rule.step + 1) * rule.step
            ends.update(range(first, time + rule.window + rule.step + 1, rule.step))
        return {end for end in ends if end <= last_end}

    # -- windows and rules

    def _judge_window(self, base: Rule, tenant: Tenant, end: int) -> None:
        if end < self.enforce_from:
            return
        start = end - base.window
        calls = [c for c in tenant.calls if start <= c["t"] < end]
        judged = bool(calls) or any(start <= t < end for t in tenant.complaint_times)
        rule = self.rules.rule_for(base, tenant.id, end)
        exempt = self.rules.exempt(base, tenant.id, end)
        if not all(is_whole(self.reigns, self.number, one, start) for one in (base, rule)):
            return
        in_time = rule.judged(end, (c["t"] for c in tenant.calls))
        if not judged or exempt or not in_time:
            self._resolve(rule, tenant, end, None)
        if not judged or not in_time:
            return
        seen = self._seen(tenant, calls, start, end)
        num, den, value = measure(rule.metric, seen, rule.params)
        self.out.windows.append(
            {
                "tenant_id": tenant.id,
                "rule_id": rule.id,
                "metric": rule.metric,
                "window_ms": rule.window,
                "end_ms": end,
                "numerator": num,
                "denominator": den,
                "value": value,
            }
        )
        if exempt:
            return
        bound = None
        if rule.confidence is not None and den:
            bound = wilson(num, den, rule.confidence, rule.direction)
        measured = {
            "metric": rule.metric,
            "numerator": num,
            "denominator": den,
            "value": value,
            "threshold": rule.threshold,
            "bound": None if bound is None else float(f"{bound:.12g}"),
        }
        enough = den is None or den >= rule.min_denominator
        if value is None or not enough or not _beyond(value, rule.recover, rule.direction):
            self._resolve(rule, tenant, end, measured)
        breach = (
            value is not None
            and enough
            and _beyond(value, rule.threshold, rule.direction)
            and all(_holds(measure(m, seen, rule.params)[2], op, x) for m, op, x in rule.also)
            and (rule.confidence is None or (bound is not None and _beyond(bound, rule.threshold, rule.direction)))
        )
        if not breach:
            return
        if rule.id not in tenant.alerts:
            tenant.alerts[rule.id] = Firing(self._alert(rule, tenant, end, "firing", measured, end, None))
        self._decide_measured(rule, tenant, end, measured, seen)

    def _seen(self, tenant: Tenant, calls: list[Call], start: int, end: int) -> Seen:
        first, verified = [], []
        for life in tenant.complaints:
            if life.dismissed:
                continue
            newest = max(enumerate(life.records), key=lambda item: (item[1]["updated_ms"], item[0]))[1]
            at_first = life.records[0]["t"]
            entry = {"complaint_id": newest["complaint_id"], "complainant": newest["complainant"]}
            if start <= at_first < end:
                first.append({**entry, "t": at_first})
            for record in life.records:
                if record["status"] == "verified" and start <= record["t"] < end:
                    verified.append({**entry, "t": record["t"]})
        return Seen(calls, first, verified)

    def _decide_measured(self, rule: Rule, tenant: Tenant, end: int, measured: dict[str, Any], seen: Seen) -> None:
        name = rule.behaviour
        if rule.mode == "shadow":
            if end < tenant.quiet_shadow.get(rule.id, end):
                return
            tenant.quiet_shadow[rule.id] = end + rule.cooldown
        else:
            if tenant.terminated() or end < tenant.quiet_enforce.get(name, end):
                return
            if rule.mode == "review":
                waits = any(d.state == "pending" and d.event["behaviour"] == name and d.measured == "review"
                            for d in tenant.decisions.values())  # fmt: skip
                if waits or end < tenant.quiet_review.get(name, end):
                    return
                tenant.quiet_review[name] = end + rule.cooldown
            else:
                tenant.quiet_enforce[name] = end + rule.cooldown
        calls, complaints = behind(rule.metric, rule.direction, seen, rule.params)
        calls = [c for c in calls if is_evidence(self.reigns, self.number, rule, c["t"])]
        clause, tier = book.BEHAVIOURS[name]
        decision = self._decide(
            tenant,
            status="pending_review" if rule.mode == "review" else "final",
            behaviour=name,
            clause=clause,
            tier=tier,
            rule_id=rule.id,
            at=end,
            freeze=rule.freeze,
            window={"start_ms": end - rule.window, "end_ms": end},
            measure=measured,
            evidence=_evidence(
                call_ids=_newest([(c["t"], c["call_id"]) for c in calls]),
                complaint_ids=_newest([(c["t"], c["complaint_id"]) for c in complaints]),
            ),
            cause=("", ""),
            shadow=rule.mode == "shadow",
            measured=rule.mode,
        )
        firing = tenant.alerts[rule.id]
        if decision and rule.mode != "shadow":
            firing.named = decision.event["key"]
            if firing.record["updated_ms"] == end:
                firing.record["enforcement"] = firing.named

    def _resolve(self, rule: Rule, tenant: Tenant, end: int, measured: dict[str, Any] | None) -> None:
        firing = tenant.alerts.pop(rule.id, None)
        if firing is not None:
            self._alert(rule, tenant, end, "resolved", measured, firing.record["since_ms"], firing.named)

    def _alert(
        self,
        rule: Rule,
        tenant: Tenant,
        at: int,
        state: str,
        measured: dict[str, Any] | None,
        since: int,
        named: Key | None,
    ) -> dict[str, Any]:
        minor = book.BEHAVIOURS[rule.behaviour][1] == "minor"
        alert = {
            "tenant_id": tenant.id,
            "rule_id": rule.id,
            "severity": "info" if rule.mode == "shadow" else "warning" if minor else "critical",
            "state": state,
            "measure": measured,
            "since_ms": since,
            "updated_ms": at,
            "enforcement": named,
        }
        self.out.alerts.append(alert)
        return alert

    # -- decisions

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
        for escalation in self.rules.escalations:
            if tenant.terminated():
                return
            unused = [
                d
                for d in tenant.violations
                if d.escalation is None
                and at - escalation.window < d.violation_at <= at
                and all(d is not u for u in tenant.used[escalation.id])
            ]
            counted = _counted(unused, escalation)
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
                evidence=_evidence(enforcement_ids=[d.event["key"] for d in counted]),
                cause=cause,
                escalation=escalation,
                used=unused,
            )
            if decided is not None:
                tenant.used[escalation.id].extend(unused)

    def _take_back(self, tenant: Tenant, old: Decision, kind: str, at: int, evidence: dict[str, list[Any]]) -> None:
        """A reversal or a lapse of a decision in force, and of the pending escalations that are withdrawn with it."""
        self.owners.lift(old.event["key"], at)
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
        }
        self.out.enforcement.append(event)
        for other in list(tenant.decisions.values()):
            if other.state != "pending" or other.escalation is None or all(u is not old for u in other.used):
                continue
            left = [u for u in other.used if u.state == "final"]
            if len(_counted(left, other.escalation)) < other.escalation.at_least:
                name = other.escalation.id
                tenant.used[name] = [u for u in tenant.used[name] if all(u is not x for x in left)]
                self._take_back(tenant, other, "reversal", at, evidence)

    def _lapse(self, at: int) -> None:
        due = [(self._ends_at(d), n, d) for n, d in enumerate(self.pendings) if d.state == "pending"]
        for end, _, decision in sorted(one for one in due if one[0] <= at):
            tenant = self.tenants[decision.event["tenant_id"]]
            kind = "reversal" if decision.waits else "lapse"
            self._take_back(tenant, decision, kind, end, _evidence())
        self.pendings = [d for d in self.pendings if d.state == "pending"]

    def _ends_at(self, decision: Decision) -> int:
        """When a pending decision ends without a review: an application waits as long as its id is remembered."""
        if not decision.waits:
            return int(decision.event["review_by_ms"])
        (name,) = decision.event["evidence"]["application_ids"]
        last = self.tenants[decision.event["tenant_id"]].lives["application", name].last
        return max(last + self.rules.retention, self.reigns[self.number].start)

    # -- records

    def _take(self, r: dict[str, Any]) -> None:
        tenant = self.tenants[r["tenant_id"]]
        history = r["t"] < self.enforce_from
        if history and r["type"] == "review":
            return  # another system made the decision that it refers to
        name = (r["type"], r[ID_FIELD[r["type"]]])
        mark = r.get("status") or r.get("verdict") or r["updated_ms"]
        life = tenant.lives.get(name)
        if life is not None and forgotten(self.reigns, life.last, r["t"]):
            life = None
        reason = self._unknown_row(r)
        if reason is None and life is not None and mark in life.seen:
            self.duplicates += 1
            return
        reason = reason or self._refused(tenant, r)
        if reason is not None:
            self.rejected.append((r["seq"], r["file"], r["line"], reason))
            return
        if life is None:
            life = Life(r["t"])
            tenant.lives[name] = life
            if r["type"] == "complaint":
                tenant.complaints.append(life)
        life.last = r["t"]
        life.seen.add(mark)
        life.records.append(r)
        if r["type"] == "complaint":
            tenant.complaint_times.append(r["t"])
        if r["type"] in {"complaint", "finding"}:
            self._statement(tenant, life, r, history)
        elif r["type"] == "application" and not history:
            self._application(tenant, r, all(r["updated_ms"] > other["updated_ms"] for other in life.records[:-1]))
        elif r["type"] == "tenant":
            self._registered(tenant, r, history)
        elif r["type"] == "review":
            self._review(tenant, r)

    def _unknown_row(self, r: dict[str, Any]) -> str | None:
        if r["type"] != "finding" or r["behaviour"] != "undeclared_business" or r["catalogue_row"] is None:
            return None
        return None if r["catalogue_row"] in {row["key"] for row in self.rules.catalogue} else "unknown_row"

    def _refused(self, tenant: Tenant, r: dict[str, Any]) -> str | None:
        if r["type"] != "review":
            return None
        named = self._named(tenant, r)
        if named is None:
            return "review_unknown"
        verdict, kind = r["verdict"], r["kind"]
        if named.waits != (verdict in {"approve", "reject"}):
            return "not_reviewable"
        if named.waits:
            if kind is not None:
                return "kind_not_open"
            return "banned" if verdict == "approve" and (tenant.banned() or self.owners.banned(tenant.owners)) else None
        if kind is not None and (verdict != "uphold" or named.event["behaviour"] not in book.OPEN):
            return "kind_not_open"
        if verdict == "overturn" or named.state == "pending":
            return None if named.in_force else "review_changes_nothing"
        changes = named.state == "final" and kind not in {None, named.event["kind"]}
        return None if changes else "review_changes_nothing"

    def _named(self, tenant: Tenant, review: dict[str, Any]) -> Decision | None:
        """The decision that a review refers to, in its newest form; ``enforcement_id`` is an id by `id_of`."""
        for key, decision in tenant.decisions.items():
            if review["enforcement_id"] == id_of(key):
                newest = decision.newest
                kept = newest.state == "pending" or (newest.state == "final" and newest.violation)
                gone = not kept and forgotten(self.reigns, newest.event["decided_ms"], review["t"])
                return None if gone else newest
        return None

    def _statement(self, tenant: Tenant, life: Life, r: dict[str, Any], history: bool) -> None:
        which = "complaint_ids" if r["type"] == "complaint" else "finding_ids"
        evidence = _evidence(**{which: [r[ID_FIELD[r["type"]]]]})
        if r["status"] == "dismissed":
            life.dismissed = True
            decision = life.decision and life.decision.newest
            if decision and decision.in_force:
                self._take_back(tenant, decision, "reversal", r["t"], evidence)
            return
        if r["status"] not in {"verified", "confirmed"} or life.dismissed or history:
            return
        status = "final"
        if r["type"] == "complaint":
            if r["category"] == "other":
                return
            behaviour = book.OF_CATEGORY[r["category"]]
        else:
            behaviour = r["behaviour"]
            if behaviour == "undeclared_business":
                sure = 2 if r["catalogue_row"] else sureness(r["actual_business"], self.rules.catalogue)
                behaviour = "undeclared_prohibited_business" if sure else behaviour
                status = "pending_review" if sure == 1 else "final"
        clause, tier = book.BEHAVIOURS[behaviour]
        life.decision = self._decide(
            tenant,
            status=status,
            behaviour=behaviour,
            clause=clause,
            tier=tier,
            rule_id=behaviour,
            at=r["t"],
            freeze=self.rules.freeze[behaviour],
            evidence=evidence,
            cause=(r["type"], r[ID_FIELD[r["type"]]]),
        )

    def _application(self, tenant: Tenant, r: dict[str, Any], newest: bool) -> None:
        name = r["application_id"]
        for waiting in list(tenant.decisions.values()):
            if newest and waiting.waits and waiting.event["evidence"]["application_ids"] == [name]:
                self._take_back(tenant, waiting, "reversal", r["t"], _evidence(application_ids=[name]))
        sure = max(sureness(r[f], self.rules.catalogue) for f in ("declared_business", "scenario"))
        found = []
        if sure:
            found.append(("prohibited_business_application", "final" if sure == 2 else "pending_review"))
        if tenant.banned():
            found.append(("banned_applicant", "final"))
        elif self.owners.banned(tenant.owners):
            found.append(("banned_owner", "final"))
        if self.rules.admissions == "review":
            if not newest:
                found = [one for one in found if one[1] == "final"]
            elif all(status != "final" for _, status in found):
                found = [("application_review", "pending_review")]
        for behaviour, status in found:
            self._decide(
                tenant,
                status=status,
                behaviour=behaviour,
                clause=None,
                tier=None,
                rule_id=behaviour,
                at=r["t"],
                freeze=False,
                evidence=_evidence(application_ids=[name]),
                cause=("application", name, r["updated_ms"]),
                kind="admission_review" if behaviour == "application_review" else None,
            )

    def _registered(self, tenant: Tenant, r: dict[str, Any], history: bool) -> None:
        before = tenant.registered
        if r["owner_id"] is not None:
            tenant.owners.add(r["owner_id"])
        if before is not None and r["updated_ms"] <= before["updated_ms"]:
            return
        tenant.registered = r
        if history:
            return
        known = [] if before is None else before["declared_businesses"]
        new = [text for text in r["declared_businesses"] if text not in known]
        sure = max((sureness(text, self.rules.catalogue) for text in new), default=0)
        found = []
        if sure:
            found.append(("prohibited_business_application", "final" if sure == 2 else "pending_review"))
        another = before is None or before["owner_id"] != r["owner_id"]
        if r["owner_id"] is not None and another and self.owners.banned({r["owner_id"]}):
            found.append(("banned_applicant" if tenant.banned() else "banned_owner", "final"))
        for behaviour, status in found:
            self._decide(
                tenant,
                status=status,
                behaviour=behaviour,
                clause=None,
                tier=None,
                rule_id=behaviour,
                at=r["t"],
                freeze=False,
                evidence=_evidence(),
                cause=("tenant", r["tenant_id"], r["updated_ms"]),
            )

    def _review(self, tenant: Tenant, r: dict[str, Any]) -> None:
        old = self._named(tenant, r)
        assert old is not None  # `_refused` has checked it
        if r["verdict"] == "overturn":
            self._take_back(tenant, old, "reversal", r["t"], _evidence(review_ids=[r["review_id"]]))
            return
        before = old.event
        kind = r["kind"] or before["kind"]
        if old.waits:
            kind = "admission_approved" if r["verdict"] == "approve" else "admission_rejected"
        old.state = "superseded"
        reviews = [*old.reviews, (r["t"], r["review_id"])]
        # Superseded before the new one is decided: it is no longer pending when escalations are evaluated.
        new = self._decide(
            tenant,
            status="final",
            behaviour=before["behaviour"],
            clause=before["clause"],
            tier=before["tier"],
            rule_id=before["rule_id"],
            at=r["t"],
            freeze=False,
            window=before["window"],
            measure=before["measure"],
            evidence={**before["evidence"], "review_ids": _newest(reviews)},
            cause=("review", r["review_id"]),
            escalation=old.escalation,
            used=old.used,
            supersedes=old,
            kind=kind,
        )
        assert new is not None
        new.reviews = reviews
        old.upheld_as = new

    # -- the end

    def _finish(self) -> None:
        out = self.out
        out.enforcement.sort(key=lambda e: (e["decided_ms"], e["tenant_id"]))
        out.shadow.sort(key=lambda e: (e["decided_ms"], e["tenant_id"]))
        out.alerts.sort(key=lambda a: (a["updated_ms"], a["tenant_id"], a["rule_id"]))
        out.windows.sort(key=lambda w: (w["end_ms"], w["tenant_id"], w["rule_id"]))
        out.late = sorted(self.read.late, key=lambda c: (c["end_ms"], c["tenant_id"], c["call_id"]))
        out.rejected = [(file, line, reason) for _, file, line, reason in sorted(self.rejected)]
        late = len(self.read.late)
        out.summary = {
            "read": self.read.read,
            "accepted": self.read.read - len(self.rejected) - self.duplicates - late,
            "rejected": len(self.rejected),
            "duplicates": self.duplicates,
            "late": late,
            "enforcement": len(out.enforcement),
            "alerts": len(out.alerts),
        }
        out.holds = holds(out.enforcement)


def id_of(key: Key) -> str:
    """The oracle's own event id, by which reviews in its input name a decision."""
    return "oracle-" + sha256(repr(key).encode()).hexdigest()


def holds(events: list[dict[str, Any]]) -> dict[str, list[Key]]:
    """Billing's rule: the events that still freeze a tenant's refunds, in any order of the events."""
    gone = {e[f] for e in events for f in ("reverses", "supersedes") if e[f] is not None}
    left: dict[str, list[Key]] = {}
    for e in events:
        if e["refunds"] == "frozen" and e["key"] not in gone:
            left.setdefault(e["tenant_id"], []).append(e["key"])
    return left


def _counted(violations: list[Decision], escalation: Escalation) -> list[Decision]:
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


def _beyond(value: float, limit: float, direction: str) -> bool:
    return value > limit if direction == "above" else value < limit


def _holds(value: float | None, op: str, limit: float) -> bool:
    if value is None:
        return False
    if op == "above":
        return value > limit
    if op == "below":
        return value < limit
    return value >= limit if op == "at_least" else value <= limit


def _newest(found: list[tuple[int, str]]) -> list[str]:
    """The newest 20 by event time and id, without repeated ids, sorted."""
    newest: list[str] = []
    for _, name in sorted(found, reverse=True):
        if name not in newest:
            newest.append(name)
    return sorted(newest[:20])


def _evidence(**lists: list[Any]) -> dict[str, list[Any]]:
    return {name: lists.get(name, []) for name in EVIDENCE}
