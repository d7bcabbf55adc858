"""Section 5: what records other than calls decide: complaints, findings, tenants, applications and reviews."""

from typing import Any

from oracle import rulebook as book
from oracle.catalogue import sureness
from oracle.lifecycle import Lifecycle
from oracle.policy_timeline import forgotten
from oracle.records import ID_FIELD
from oracle.tenants import Decision, Life, Tenant, evidence_of, id_of, newest_of

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


class RecordRules(Lifecycle):
    """Decides records."""

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
        newest = tenant.registered if r["type"] == "tenant" else None  # it is never forgotten
        again = (life is not None and mark in life.seen) or (newest is not None and newest["updated_ms"] == mark)
        if reason is None and again:
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
                return None if gone or not decision.named else newest
        return None

    def _statement(self, tenant: Tenant, life: Life, r: dict[str, Any], history: bool) -> None:
        which = "complaint_ids" if r["type"] == "complaint" else "finding_ids"
        evidence = evidence_of(**{which: [r[ID_FIELD[r["type"]]]]})
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
                self._take_back(tenant, waiting, "reversal", r["t"], evidence_of(application_ids=[name]))
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
        self._admit(tenant, found, r, ("application", name), evidence_of(application_ids=[name]))

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
        self._admit(tenant, found, r, ("tenant", r["tenant_id"]), evidence_of())

    def _admit(
        self,
        tenant: Tenant,
        found: list[tuple[str, str]],
        r: dict[str, Any],
        cause: tuple[str, str],
        evidence: dict[str, list[Any]],
    ) -> None:
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
                evidence=evidence,
                cause=(*cause, r["updated_ms"]),
                kind="admission_review" if behaviour == "application_review" else None,
            )

    def _review(self, tenant: Tenant, r: dict[str, Any]) -> None:
        old = self._named(tenant, r)
        assert old is not None  # `_refused` has checked it
        if r["verdict"] == "overturn":
            self._take_back(tenant, old, "reversal", r["t"], evidence_of(review_ids=[r["review_id"]]))
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
            evidence={**before["evidence"], "review_ids": newest_of(reviews)},
            cause=("review", r["review_id"]),
            escalation=old.escalation,
            used=old.used,
            supersedes=old,
            kind=kind,
        )
        assert new is not None
        new.reviews = reviews
        old.upheld_as = new
