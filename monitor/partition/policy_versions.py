"""Policy versions: the past, current and future policies of one partition, and their storage with its state."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import zstandard
from msgspec import Struct

from monitor.core.windows.policy_history import FieldAvailability, judged_later
from monitor.core.windows.window import HOUR_MS
from monitor.decoding.late_line import LateLine
from monitor.partition.journal import PolicyChange, PolicyWithdrawal
from monitor.partition.refusal_wording import refusal_text, start_text
from monitor.policy.load import PolicyError, from_plain, to_plain
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion, next_change_ms, version_at
from monitor.text.state_wording import state_text

POLICY: Final = "policy-"
"""The prefix of policy keys."""


class PolicyVersionRef(Struct):
    """The start time of a policy, and its hash. The text is stored beside the head, under the hash."""

    from_ms: int
    sha256: str


class PolicyVersions:
    """Policy versions in order of time. Past versions are kept while panes of their time are needed."""

    def __init__(self, policy: Policy) -> None:
        self.versions = [PolicyVersion(0, policy)]
        self.lateness = LateLine.of(self.versions)
        self._number = 0
        self._stored: set[str] = set()

    @classmethod
    def stored(cls, heads: Iterable[PolicyVersionRef], blobs: Mapping[str, bytes], at_ms: int) -> "PolicyVersions":
        """Load the versions as stored when everything before ``at_ms`` was decided.

        Raises LostPolicyError if a policy is missing or unreadable.
        """
        versions = [PolicyVersion(head.from_ms, _stored(head.sha256, blobs)) for head in heads]
        made = cls(versions[0].policy)
        made._begin(versions, at_ms)
        return made

    def restore(self, heads: Iterable[PolicyVersionRef], blobs: Mapping[str, bytes], at_ms: int) -> None:
        """Replace the versions by the stored ones, as `stored` loads them."""
        self._begin([PolicyVersion(head.from_ms, _stored(head.sha256, blobs)) for head in heads], at_ms)

    def _begin(self, versions: list[PolicyVersion], at_ms: int) -> None:
        self.versions, self.lateness = versions, LateLine.of(versions)
        self._number = version_at(versions, at_ms)
        self._stored = {version.policy.sha256 for version in versions}

    @property
    def number(self) -> int:
        """The index of the policy version in force."""
        return self._number

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.versions[self._number].policy

    @property
    def newest(self) -> PolicyVersion:
        """The last known version, which may be in the future."""
        return self.versions[-1]

    @property
    def coming(self) -> PolicyVersion | None:
        """The next version, if any."""
        return self.versions[self._number + 1] if self._number + 1 < len(self.versions) else None

    def judged_later(self) -> dict[str, int]:
        """The rules of the newest policy that are not evaluated from its start, with their first end."""
        return judged_later(FieldAvailability(self.versions))

    def journal_entry(self, version: PolicyVersion, reason: str = "", by: str = "", at_ms: int = 0) -> PolicyChange:
        """The entry of a policy version for the clock log."""
        return PolicyChange(version.from_ms, version.policy.sha256, to_plain(version.policy), reason, by, at_ms)

    def add(
        self, plain: dict[str, Any], sha256: str, from_ms: int, judged_ms: int, late_ms: int
    ) -> PolicyVersion | str:
        """Add a policy from ``from_ms``, or from the first later boundary at which nothing is decided yet.

        The previous policy has decided everything before ``judged_ms``, and found calls below ``late_ms`` late. Returns
        the policy version, or an error message.
        """
        if self.newest.policy.sha256 == sha256:
            return refusal_text("already", sha256=sha256[:12], start=start_text(self.newest.from_ms))
        try:
            policy = from_plain(plain, sha256)
        except PolicyError as error:
            return refusal_text("unreadable", error=error)
        # Calls below a source's late line were found late by the previous policy, even if not decided yet.
        after_ms = max(judged_ms, late_ms) if self._touches_late(policy, self.newest.policy) else judged_ms
        version = PolicyVersion(next_change_ms(max(from_ms, after_ms + 1, self.newest.from_ms + 1)), policy)
        self.versions.append(version)
        self.lateness = LateLine.of(self.versions)
        return version

    def withdraw(self, sha256s: Collection[str], judged_ms: int, late_ms: int) -> list[PolicyVersion] | str:
        """Withdraw the future versions among these policies: those that have not decided anything or made calls late.

        ``judged_ms`` and ``late_ms`` are as for `add`. Returns the withdrawn versions, or why there are none.
        """
        gone = []
        for place in range(len(self.versions) - 1, self._number, -1):
            version, before = self.versions[place], self.versions[place - 1]
            touched = self._touches_late(version.policy, before.policy) and version.from_ms <= late_ms
            if version.policy.sha256 in sha256s and version.from_ms > judged_ms and not touched:
                gone.append(self.versions.pop(place))
        self.lateness = LateLine.of(self.versions)
        begun = [
            refusal_text("begun", sha256=version.policy.sha256[:12], start=start_text(version.from_ms))
            for version in self.versions
            if version.policy.sha256 in sha256s
        ]
        if begun and not gone:
            return refusal_text("judged", begun=", ".join(begun))
        return gone[::-1] or refusal_text("not_scheduled")

    @staticmethod
    def _touches_late(after: Policy, before: Policy) -> bool:
        return after.lateness_ms != before.lateness_ms

    def recall(self, entries: Sequence[PolicyChange | PolicyWithdrawal]) -> None:
        """Apply recorded changes, in order. If nothing was restored, the first policy is the recorded one.

        The entries may include changes that the restored versions already contain or have forgotten. Raises PolicyError
        if a recorded policy cannot be read.
        """
        first = next((entry for entry in entries if isinstance(entry, PolicyChange) and entry.from_ms == 0), None)
        if first is not None and not self._stored:
            self.versions = [_recorded(first)]
        past = self.versions[: self._number + 1]
        coming = {version.from_ms: version for version in self.versions[self._number + 1 :]}
        for entry in entries:
            known = coming.get(entry.from_ms)
            if isinstance(entry, PolicyWithdrawal):
                if known is not None and known.policy.sha256 == entry.sha256:
                    del coming[entry.from_ms]
            elif known is None and entry.from_ms > past[-1].from_ms:
                coming[entry.from_ms] = _recorded(entry)
        self.versions = past + [coming[from_ms] for from_ms in sorted(coming)]
        self.lateness = LateLine.of(self.versions)

    # State ------------------------------------------------------------------------------------------------------

    def heads(self) -> list[PolicyVersionRef]:
        """The references for the stored head."""
        return [PolicyVersionRef(version.from_ms, version.policy.sha256) for version in self.versions]

    def changes(self) -> list[tuple[str, bytes | None]]:
        """The policy entries to store since the last call. None marks an entry to delete."""
        needed = {version.policy.sha256: version.policy for version in self.versions}
        fresh: list[tuple[str, bytes | None]] = [
            (_key(sha256), _packed(policy)) for sha256, policy in needed.items() if sha256 not in self._stored
        ]
        gone: list[tuple[str, bytes | None]] = [(_key(sha256), None) for sha256 in sorted(self._stored - needed.keys())]
        self._stored = set(needed)
        return fresh + gone

    def forget(self, at_ms: int, clock_ms: int) -> None:
        """Delete policy versions that are no longer needed.

        All windows that end up to ``at_ms`` were evaluated, and no record will be read again at a source clock below
        ``clock_ms``. Late lines must not change, even where a longer lateness held the line at a policy change.
        """
        while self._number and clock_ms - self.versions[1].policy.lateness_ms >= (after := self.versions[1].from_ms):
            longest_ms = max(
                (rule.window_ms for version in self.versions[1:] for rule in version.policy.rules), default=0
            )
            if at_ms < -(-after // HOUR_MS) * HOUR_MS + longest_ms:
                return  # panes are stored from the start of an hour
            del self.versions[0]
            self._number -= 1
            self.lateness = LateLine.of(self.versions)


class LostPolicyError(ValueError):
    """A policy of the stored state is missing, or cannot be read."""


def _stored(sha256: str, blobs: Mapping[str, bytes]) -> Policy:
    blob = blobs.get(_key(sha256))
    if blob is None:
        raise LostPolicyError(state_text("no_policy", policy=sha256[:12]))
    try:
        return from_plain(msgspec.json.decode(zstandard.decompress(blob)), sha256)
    except PolicyError as error:
        raise LostPolicyError(state_text("unreadable_policy", error=error)) from None


def _recorded(switch: PolicyChange) -> PolicyVersion:
    return PolicyVersion(switch.from_ms, from_plain(switch.policy, switch.sha256))


def _key(sha256: str) -> str:
    return POLICY + sha256


def _packed(policy: Policy) -> bytes:
    return zstandard.compress(msgspec.json.encode(to_plain(policy)))
