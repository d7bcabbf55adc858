"""Succession: the policies of one partition, past, in force and to come, and how they are stored with its state."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import zstandard
from msgspec import Struct

from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.window import HOUR_MS
from monitor.decoding.late_line import LateLine
from monitor.partition.journal import PolicyChange, PolicyWithdrawal
from monitor.policy.load import PolicyError, from_plain, to_plain
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion, next_change_ms, version_at

POLICY: Final = "policy-"
"""What the keys of policies begin with."""


class PolicyVersionRef(Struct):
    """From when a policy holds, and its hash, under which its text is stored beside the head."""

    from_ms: int
    sha256: str


class PolicyVersions:
    """Eras in order of time. Those before the one in force are kept as long as panes of theirs are needed."""

    def __init__(self, policy: Policy) -> None:
        self.versions = [PolicyVersion(0, policy)]
        self.lateness = LateLine.of(self.versions)
        self._number = 0
        self._stored: set[str] = set()

    @classmethod
    def stored(cls, heads: Iterable[PolicyVersionRef], blobs: Mapping[str, bytes], at_ms: int) -> "PolicyVersions":
        """What was stored when all before ``at_ms`` was decided. LostPolicyError."""
        versions = [PolicyVersion(head.from_ms, _stored(head.sha256, blobs)) for head in heads]
        made = cls(versions[0].policy)
        made.versions, made.lateness = versions, LateLine.of(versions)
        made._number = version_at(versions, at_ms)
        made._stored = {version.policy.sha256 for version in versions}
        return made

    @property
    def number(self) -> int:
        """Which of the policy versions is in force."""
        return self._number

    @property
    def policy(self) -> Policy:
        """The one in force."""
        return self.versions[self._number].policy

    @property
    def newest(self) -> PolicyVersion:
        """The last that is known, which may be still to come."""
        return self.versions[-1]

    @property
    def coming(self) -> PolicyVersion | None:
        """The next."""
        return self.versions[self._number + 1] if self._number + 1 < len(self.versions) else None

    @property
    def history(self) -> FieldAvailability:
        """Those up to the one in force."""
        return FieldAvailability(self.versions[: self._number + 1])

    def note(self, version: PolicyVersion, reason: str = "", by: str = "", at_ms: int = 0) -> PolicyChange:
        """What the clock log says of an policy version."""
        return PolicyChange(version.from_ms, version.policy.sha256, to_plain(version.policy), reason, by, at_ms)

    def switch(
        self, plain: dict[str, Any], sha256: str, from_ms: int, judged_ms: int, late_ms: int
    ) -> PolicyVersion | str:
        """The policy holds from ``from_ms``, or the first boundary from there on by which nothing is decided already.

        All before ``judged_ms`` was decided, and all below ``late_ms`` found late, by the policy before. Returns
        the policy version, or what is wrong.
        """
        if self.newest.policy.sha256 == sha256:
            return f"the policy {sha256[:12]} holds already, or will from {self.newest.from_ms} on"
        try:
            policy = from_plain(plain, sha256)
        except PolicyError as error:
            return f"the policy cannot be read by this release: {error}"
        # What lies below a source's late line was found late by the policy before, though it is not judged yet.
        after_ms = max(judged_ms, late_ms) if self._touches_late(policy, self.newest.policy) else judged_ms
        version = PolicyVersion(next_change_ms(max(from_ms, after_ms + 1, self.newest.from_ms + 1)), policy)
        self.versions.append(version)
        self.lateness = LateLine.of(self.versions)
        return version

    def withdraw(self, sha256s: Collection[str], judged_ms: int, late_ms: int) -> list[PolicyVersion] | str:
        """Take back those of these that are still to come: nothing has been decided, or found late, by them.

        ``judged_ms`` and ``late_ms`` as for `switch`. Those that are taken back, or why there is none.
        """
        gone = []
        for place in range(len(self.versions) - 1, self._number, -1):
            version, before = self.versions[place], self.versions[place - 1]
            touched = self._touches_late(version.policy, before.policy) and version.from_ms <= late_ms
            if version.policy.sha256 in sha256s and version.from_ms > judged_ms and not touched:
                gone.append(self.versions.pop(place))
        self.lateness = LateLine.of(self.versions)
        begun = [
            f"{version.policy.sha256[:12]} from {version.from_ms} on"
            for version in self.versions
            if version.policy.sha256 in sha256s
        ]
        if begun and not gone:
            return f"what has been judged or found late already is under it: {', '.join(begun)}; apply another policy"
        return gone[::-1] or "no such policy is to come"

    @staticmethod
    def _touches_late(after: Policy, before: Policy) -> bool:
        return after.lateness_ms != before.lateness_ms

    def recall(self, notes: Sequence[PolicyChange | PolicyWithdrawal]) -> None:
        """Add what was noted, in its order; where nothing was restored, what was noted as the first is. PolicyError.

        The notes may be those that led to what was restored, too, and what that has forgotten may be among them.
        """
        first = next((note for note in notes if isinstance(note, PolicyChange) and note.from_ms == 0), None)
        if first is not None and not self._stored:
            self.versions = [_noted(first)]
        past = self.versions[: self._number + 1]
        coming = {version.from_ms: version for version in self.versions[self._number + 1 :]}
        for note in notes:
            known = coming.get(note.from_ms)
            if isinstance(note, PolicyWithdrawal):
                if known is not None and known.policy.sha256 == note.sha256:
                    del coming[note.from_ms]
            elif known is None and note.from_ms > past[-1].from_ms:
                coming[note.from_ms] = _noted(note)
        self.versions = past + [coming[from_ms] for from_ms in sorted(coming)]
        self.lateness = LateLine.of(self.versions)

    # State ------------------------------------------------------------------------------------------------------

    def heads(self) -> list[PolicyVersionRef]:
        """What the head has of them."""
        return [PolicyVersionRef(version.from_ms, version.policy.sha256) for version in self.versions]

    def changes(self) -> list[tuple[str, bytes | None]]:
        """The entries with their texts that are to be stored since the last call, None where one is to be deleted."""
        needed = {version.policy.sha256: version.policy for version in self.versions}
        fresh: list[tuple[str, bytes | None]] = [
            (_key(sha256), _packed(policy)) for sha256, policy in needed.items() if sha256 not in self._stored
        ]
        gone: list[tuple[str, bytes | None]] = [(_key(sha256), None) for sha256 in sorted(self._stored - needed.keys())]
        self._stored = set(needed)
        return fresh + gone

    def forget(self, at_ms: int, clock_ms: int) -> None:
        """Forget policy versions of which nothing is needed any more.

        All windows that end up to ``at_ms`` were judged, and no record comes again before which a source's clock was
        less than ``clock_ms``: the late line is to be what it was, also where a longer lateness held it at the change.
        """
        while self._number and clock_ms - self.versions[1].policy.lateness_ms >= (after := self.versions[1].from_ms):
            longest_ms = max(
                (rule.window_ms for version in self.versions[1:] for rule in version.policy.rules), default=0
            )
            if at_ms < -(-after // HOUR_MS) * HOUR_MS + longest_ms:
                return  # panes are stored from the beginning of an hour on
            del self.versions[0]
            self._number -= 1
            self.lateness = LateLine.of(self.versions)


class LostPolicyError(ValueError):
    """The state's policy is not there, or not whole."""


def _stored(sha256: str, blobs: Mapping[str, bytes]) -> Policy:
    blob = blobs.get(_key(sha256))
    if blob is None:
        raise LostPolicyError(f"the stored state lacks the policy {sha256[:12]}, which its head names")
    try:
        return from_plain(msgspec.json.decode(zstandard.decompress(blob)), sha256)
    except PolicyError as error:
        raise LostPolicyError(f"the stored policy cannot be read by this release: {error}") from None


def _noted(switch: PolicyChange) -> PolicyVersion:
    return PolicyVersion(switch.from_ms, from_plain(switch.policy, switch.sha256))


def _key(sha256: str) -> str:
    return POLICY + sha256


def _packed(policy: Policy) -> bytes:
    return zstandard.compress(msgspec.json.encode(to_plain(policy)))
