"""Checks a policy file: its faults with line and column, or what it is and what it changes."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from monitor.core.windows.policy_history import FieldAvailability, judged_later
from monitor.policy.diff import ChangedItem, changes
from monitor.policy.load import PolicyError, from_plain, load, loads, to_plain
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion
from monitor.policy.warnings import notes
from monitor.text.bilingual import Bilingual
from streams.topics.control_topic import MAX_POLICY_BYTES

MOST_FAULTS: Final = 200
MOST_NOTES: Final = 100
NAME: Final = "policy"
_TOO_LARGE: Final = Bilingual(
    "策略解析后有 {size:,} 字节；至多 {most:,} 字节：请缩短其中的列表",
    "the policy has {size:,} bytes, resolved; expected at most {most:,}: shorten its lists",
)


class CheckRequest(Struct, frozen=True):
    """``base`` is the resolved policy to compare with, of the hash ``base_sha256``; None: the built-in policy.

    ``from_ms``: from when the checked policy would apply.
    """

    text: str
    now_ms: int
    from_ms: int = 0
    base_sha256: str | None = None
    base: dict[str, Any] | None = None


class FoundFault(Struct, frozen=True):
    """One fault: where it is, counted from 1, and what is expected there."""

    line: int
    column: int
    message: Bilingual


class PolicySummary(Struct, frozen=True):
    """A valid policy: its names and hash, what it has, and itself, resolved."""

    id: str
    version: str
    sha256: str
    counts: dict[str, int]
    plain: dict[str, Any]


class CheckReport(Struct, frozen=True):
    """The result of a check. ``policy`` is None if there are faults; ``faults`` are the first `MOST_FAULTS`.

    ``notes`` are what is probably unintended; ``changes`` lead from the base to it; ``later`` are the rules that are
    judged only some time after ``from_ms``, with that time.
    """

    faults: list[FoundFault] = []
    fault_count: int = 0
    policy: PolicySummary | None = None
    notes: list[Bilingual] = []
    changes: list[ChangedItem] = []
    later: dict[str, int] = {}


def check(request: CheckRequest) -> CheckReport:
    """Check a file."""
    try:
        policy = loads(request.text, NAME)
    except PolicyError as error:
        shown = [FoundFault(each.line, each.column, each.both) for each in error.faults[:MOST_FAULTS]]
        return CheckReport(shown, len(error.faults))
    plain = to_plain(policy)
    if (size := len(msgspec.json.encode(plain))) > MAX_POLICY_BYTES:
        return CheckReport([FoundFault(1, 1, _TOO_LARGE.fill(size=size, most=MAX_POLICY_BYTES))], 1)
    base = load(None) if request.base is None else from_plain(request.base, request.base_sha256 or "")
    return CheckReport(
        policy=PolicySummary(policy.id, policy.version, policy.sha256, _counts(policy), plain),
        notes=list(notes(policy, request.now_ms))[:MOST_NOTES],
        changes=changes(base, policy),
        later=_later(base, policy, request.from_ms),
    )


def _counts(policy: Policy) -> dict[str, int]:
    return {
        "rules": len(policy.rules),
        "escalations": len(policy.escalations),
        "overrides": len(policy.overrides),
        "exemptions": len(policy.exemptions),
        "profiles": len(policy.profiles),
        "businesses": len(policy.catalogue),
    }


def _later(base: Policy, policy: Policy, from_ms: int) -> dict[str, int]:
    if not from_ms or base.sha256 == policy.sha256:
        return {}
    return judged_later(FieldAvailability([PolicyVersion(0, base), PolicyVersion(from_ms, policy)]))
