"""Scenarios: records about tenants, and the enforcement events that Callwarden makes of them."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from monitor.policy.load import loads
from monitor.policy.model import Policy
from monitor.replay.run import ReplayOptions, replay
from schemas.codec import encode
from schemas.outputs import Enforcement

T0: Final = 1_772_438_400_000  # 2026-03-02T08:00:00Z
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR

Record = dict[str, Any]


@dataclass(slots=True)
class ConformanceScenario:
    """What happened, and the resulting events, in order. Each event has a name in the scenario."""

    name: str
    title: str
    title_zh: str
    policy: Policy
    records: list[Record] = field(default_factory=list)
    events: dict[str, bytes] = field(default_factory=dict)
    until_ms: int | None = None
    keys: dict[str, str | None] = field(default_factory=dict)
    """The keys of records whose key is not their event's subject."""

    def add(self, *records: Record, until_ms: int | None = None) -> "ConformanceScenario":
        """Add records, evaluate all of them again, and append the new events."""
        self.records += records
        self.until_ms = until_ms
        for event in judged(self.records, self.policy, until_ms):
            value = encode(event)
            if value not in self.events.values():
                self.events[self._named(event)] = value
        return self

    def id(self, name: str) -> str:
        """The id of that event."""
        found: str = msgspec.json.decode(self.events[name])["id"]
        return found

    def _named(self, event: Enforcement) -> str:
        data = event.data
        word = {"pending_review": "pending-"}.get(data.status, "upheld-" if data.supersedes else "") + data.kind
        name, number = word, 1
        while name in self.events:
            number += 1
            name = f"{word}-{number}"
        return name


def judged(records: list[Record], policy: Policy, until_ms: int | None) -> list[Enforcement]:
    """The decisions of a replay of these records."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        file.flush()
        return replay([Path(file.name)], policy, ReplayOptions(until_ms=until_ms)).enforcement


def complaint(name: str, category: str, at_ms: int = T0, tenant: str = "acme", status: str = "verified") -> Record:
    """A complaint in one status."""
    return {
        "type": "complaint", "complaint_id": name, "tenant_id": tenant, "category": category, "status": status,
        "reported_ms": T0 - HOUR, "updated_ms": at_ms,
    }  # fmt: skip


def finding(name: str, actual: str, at_ms: int = T0) -> Record:
    """A confirmed finding of a business that was not declared."""
    return {
        "type": "finding", "finding_id": name, "tenant_id": "acme", "behaviour": "undeclared_business",
        "status": "confirmed", "declared_business": "家政服务", "actual_business": actual, "updated_ms": at_ms,
    }  # fmt: skip


def review(name: str, enforcement_id: str, verdict: str, at_ms: int) -> Record:
    """A review."""
    return {
        "type": "review", "review_id": name, "enforcement_id": enforcement_id, "tenant_id": "acme", "verdict": verdict,
        "reviewer": "reviewer-1", "reason": "listened to the recordings", "updated_ms": at_ms,
    }  # fmt: skip


def application(name: str, business: str, at_ms: int = T0) -> Record:
    """A request for numbers."""
    return {
        "type": "application", "application_id": name, "tenant_id": "acme", "declared_business": business,
        "updated_ms": at_ms,
    }  # fmt: skip


_CERTAIN: Final = "保健品"
_LIKELY: Final = "中老年保健品电话推广"
_OTHER: Final = "雨伞批发"
TENANTS: Final = ("acme", "ACME", "acme ", "ａｃｍｅ", "é", "e\u0301", "a/b", "..", "100%", "租户")
"""Ten tenant ids that a careless comparison confuses, or a careless URL loses."""


def scenarios() -> Iterator[ConformanceScenario]:
    """All scenarios."""
    policy = loads("id: billing-pack\nversion: '1'\n", "billing-pack")
    freezing = loads(
        "id: billing-pack-freezing\nversion: '1'\nescalations:\n- {id: three-strikes, count: violations, at_least: 3, "
        "window: 30d, tier: major, mode: review, freeze: true}\n",
        "billing-pack",
    )

    def new(name: str, title: str, title_zh: str, by: Policy = policy) -> ConformanceScenario:
        return ConformanceScenario(name, title, title_zh, by)

    yield from _clauses(new)
    yield from _admission(new)
    yield from _pending(new)
    yield from _taken_back(new)
    yield from _escalations(new, policy, freezing)
    yield new("tenants", "Ten different tenants with similar ids", "十个互不相同的租户").add(
        *(complaint(f"c{number}", "fraud", T0 + number, tenant) for number, tenant in enumerate(TENANTS)),
        *(
            complaint("c0", "fraud", T0 + DAY, "acme", "dismissed"),
            complaint("c4", "fraud", T0 + DAY, "é", "dismissed"),
        ),
    )


New = Callable[..., ConformanceScenario]


def _clauses(new: New) -> Iterator[ConformanceScenario]:
    yield new("clause-1", "Clause 1: a verified complaint of fraud bans", "第一条：核实的欺诈投诉，封号").add(
        complaint("c1", "fraud")
    )
    yield new("clause-2", "Clause 2: harassment ends the service", "第二条：骚扰，终止服务").add(
        complaint("c1", "harassment")
    )
    yield new("clause-3", "Clause 3: a prohibited business bans", "第三条：禁止类业务，封号").add(
        finding("f1", _CERTAIN), complaint("c1", "prohibited_business", T0 + HOUR)
    )
    yield new("clause-4", "Clause 4: an undeclared business warns", "第四条：超出报备业务，警告").add(
        finding("f1", _OTHER)
    )
    yield new("clause-5", "Clause 5: abuse in a call ends the service", "第五条：通话中辱骂，终止服务").add(
        complaint("c1", "abuse")
    )
    yield new("clause-6", "Clause 6: blind calling warns", "第六条：盲呼，警告").add(complaint("c1", "number_leak"))
    yield new("clause-7", "Clause 7: calls without consent warn", "第七条：未经同意外呼，警告").add(
        complaint("c1", "no_consent")
    )


def _admission(new: New) -> Iterator[ConformanceScenario]:
    yield new("admission", "Application rejected: refunds are unaffected", "号码申请驳回：不影响退款").add(
        application("a1", _CERTAIN), application("a2", _LIKELY, T0 + HOUR)
    )
    yield new("banned-applicant", "A banned tenant applies for numbers", "被封号的租户申请号码").add(
        complaint("c1", "fraud"), application("a1", _OTHER, T0 + HOUR)
    )


def _pending(new: New) -> Iterator[ConformanceScenario]:
    def pending(name: str, title: str, title_zh: str) -> ConformanceScenario:
        return new(name, title, title_zh).add(finding("f1", _LIKELY))

    yield pending("pending", "A likely prohibited business waits for a review", "疑似禁止类业务，等待复核")
    scenario = pending("upheld", "Upheld: the final decision replaces the pending one", "复核维持：由最终决定取代")
    yield scenario.add(review("r1", scenario.id("pending-ban"), "uphold", T0 + DAY))
    scenario = pending("overturned", "A review overturns a pending decision", "复核撤销待定决定")
    yield scenario.add(review("r1", scenario.id("pending-ban"), "overturn", T0 + DAY))
    scenario = pending("lapsed", "Without a review it lapses after seven days", "无人复核：七天后失效")
    yield scenario.add(until_ms=T0 + 8 * DAY)
    scenario = pending("upheld-then-overturned", "Upheld, and overturned on appeal", "复核维持后，申诉撤销")
    scenario.add(review("r1", scenario.id("pending-ban"), "uphold", T0 + DAY))
    yield scenario.add(review("r2", scenario.id("pending-ban"), "overturn", T0 + 2 * DAY))


def _taken_back(new: New) -> Iterator[ConformanceScenario]:
    scenario = new("final-overturned", "A final ban is overturned", "已生效的封号被撤销").add(complaint("c1", "fraud"))
    yield scenario.add(review("r1", scenario.id("ban"), "overturn", T0 + DAY))
    scenario = new("kind-changed", "A final ban becomes a termination", "已生效的封号改为终止服务").add(
        complaint("c1", "fraud")
    )
    yield scenario.add(review("r1", scenario.id("ban"), "uphold", T0 + DAY) | {"kind": "termination"})
    yield new("dismissed", "The complaint is dismissed", "投诉后被认定不成立").add(
        complaint("c1", "harassment"), complaint("c1", "harassment", T0 + DAY, status="dismissed")
    )
    yield new("two-holds", "Two holds, one removed", "两项冻结，撤销其一").add(
        complaint("c1", "fraud"),
        complaint("c2", "abuse", T0 + HOUR),
        complaint("c1", "fraud", T0 + DAY, status="dismissed"),
    )


def _escalations(new: New, policy: Policy, freezing: Policy) -> Iterator[ConformanceScenario]:
    def strikes(name: str, title: str, title_zh: str, by: Policy) -> ConformanceScenario:
        records = [complaint(f"c{number}", "no_consent", T0 + number * HOUR) for number in (1, 2, 3)]
        return new(name, title, title_zh, by).add(*records)

    scenario = strikes("escalation-upheld", "Three warnings, upheld as a termination", "三次警告升级，复核维持", policy)
    yield scenario.add(review("r1", scenario.id("pending-termination"), "uphold", T0 + DAY))
    yield strikes(
        "escalation-reversed", "Three warnings freeze; one was wrong", "三次警告升级并冻结，其一被撤销", freezing
    ).add(complaint("c2", "no_consent", T0 + DAY, status="dismissed"))
    scenario = strikes(
        "escalation-frozen-and-upheld", "Three warnings freeze, and are upheld", "升级即冻结，复核维持", freezing
    )
    yield scenario.add(review("r1", scenario.id("pending-termination"), "uphold", T0 + DAY))
