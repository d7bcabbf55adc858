"""Random traffic for a shard that stores its state, and the deciding state of a shard for comparison."""

import random
from typing import Any

import msgspec
import numpy as np

from helpers.shard_harness import StoredShardHarness, escalation, rule
from monitor.core.shard import Shard
from monitor.core.shard_state import ShardState
from monitor.core.tenants.tenant_record import TenantRecord

STATUSES = {"complaint": ("received", "verified", "dismissed"), "finding": ("suspected", "confirmed", "dismissed")}
OWNERS = ("o1", "o2", "o3")
CATEGORIES = ("number_leak", "number_leak", "no_consent", "abuse", "fraud", "other")


def all_of(shard: Shard) -> dict[str, Any]:
    """The deciding state of a shard, in comparable form."""
    tenants = shard.tenants
    cooldowns = shard.decisions._cooldowns
    rows = {**cooldowns._until, **cooldowns._pending, "stopped": cooldowns._sanctions}
    return {
        "head": msgspec.to_builtins(ShardState(shard).head()),
        "names": list(shard.tenant_numbers.names),
        "alerts": msgspec.to_builtins(shard.evaluator.alert_states.active()),
        "tenant_records": {
            tenant_record.tenant: plain(tenant_record) for tenant_record in shard.tenant_records._all.values()
        },
        "pending": shard.decisions.reviews.by_rule(),
        "owner_bans": {one.ban.enforcement_id: msgspec.to_builtins(one) for one in shard.owner_bans.held()},
        "banned": {owner: shard.owner_bans.banned(owner) for owner in OWNERS},
        "members": {owner: list(shard.owner_bans.members.after(owner, "", tenants)) for owner in OWNERS},
        "effects": sorted(shard.owner_bans._in_order()),
        "cooldowns": {key: np.trim_zeros(row, "b").tolist() for key, row in rows.items() if row.any()},
        "sums": {
            (place, field): window.running_sums.field(field, tenants).tolist()
            for place, window in enumerate(shard.windows.sliding)
            for field in window.running_sums._fields
        },
        "complaints": {
            (place, name): window.complaints.count(name, tenants).tolist()
            for place, window in enumerate(shard.windows.sliding)
            for name in ("records", "complaints", "verified", "complainants")
        },
    }


def plain(tenant_record: TenantRecord) -> dict[str, Any]:
    """The content of a tenant record, with the pages in which it is stored."""
    fields = {
        name: getattr(tenant_record, name)
        for name in TenantRecord.__slots__
        if name not in ("_changed", "_pages", "seen")
    }
    fields["seen"] = {key: [msgspec.to_builtins(run) for run in seen.runs] for key, seen in tenant_record.seen.items()}
    for name in ("complaints", "findings", "cases", "violations", "owners"):
        fields[name] = {key: msgspec.to_builtins(item) for key, item in fields[name].items()}
    fields["pages"] = {
        (kind, number): [msgspec.to_builtins(item) for item in items]
        for kind, pages in tenant_record._pages.items()
        for number, items in pages._pages.items()
    }
    return fields


class Traffic:
    """Random events of a tenant: every kind of record, measured decisions, and reviews of any of them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.harness = StoredShardHarness(
            rules=[
                rule("one", cooldown="20m"),
                rule("ask", mode="review", behaviour="no_consent", cooldown="15m"),
                rule("try", mode="shadow", above=0.8),
                rule("long", metric="answered", above=2, window="72h", step="1h", behaviour="no_consent"),
                rule("crowd", metric="complainants", above=1, window="1h", mode="review", behaviour="blind_calling"),
            ],
            escalations=[escalation(at_least=2), escalation("more", at_least=3, mode="enforce")],
            defaults={"retention": "72h", "review_within": "30m"},
            admissions="review" if seed % 2 else "refuse_only",
        )
        self._decided: list[str] = []

    def give(self, start: float, minute: float) -> None:
        """Feed some records and calls from ``start`` to ``minute``."""
        rng, harness = self.rng, self.harness
        for _ in range(rng.choice((0, 1, 1, 3, 8))):
            at = max(start, minute - rng.choice((0.5, 1, 4, 5, 9, 40)))
            who = {"tenant_id": rng.choice(("acme", "acme", "bravo", f"t{rng.randrange(200)}"))}
            what = rng.choice(("complaint", "complaint", "finding", "review", "application", "tenant", "calls"))
            name = f"x{rng.randrange(12)}"
            if what == "complaint":
                status, category = rng.choice(STATUSES[what]), rng.choice(CATEGORIES)
                harness.complaint(
                    at, status, name, category=category, complainant=rng.choice(("w1", "w2", None)), **who
                )
            elif what == "finding" and rng.random() < 0.5:
                harness.finding(at, rng.choice(STATUSES[what]), name, **who)
            elif what == "finding":
                harness.finding(at, name=name, behaviour="undeclared_business", actual_business="小额贷款中介", **who)
            elif what == "review" and self._decided:
                verdict = rng.choice(("uphold", "uphold", "overturn", "approve", "reject"))
                kind = rng.choice((None, "termination", "ban")) if verdict == "uphold" else None
                harness.review(at, verdict, rng.choice(self._decided[-9:]), f"v{at}", kind=kind, **who)
            elif what == "application":
                harness.application(at, rng.choice(("贷款", "小额贷款中介", "宠物用品")), name, **who)
            elif what == "tenant":
                declared = rng.choice(([], ["宠物用品"], ["宠物用品", "贷款"]))
                owner = rng.choice((*OWNERS, None))
                harness.tenant(at, rng.choice(("甲", "乙", "")), declared_businesses=declared, owner_id=owner, **who)
            elif what == "calls":
                harness.short_calls(at, at, tenant=who["tenant_id"], talk_ms=rng.choice((1_000, 90_000)))

    def until(self, minute: float) -> None:
        """The decisions up to this watermark."""
        self._decided += [event.id for event in self.harness.until(minute)]
