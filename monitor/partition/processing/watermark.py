"""The watermark of a partition: how far its sources allow it to decide, and how far it has decided."""

from monitor.decoding.source import NO_CLOCK_MS
from monitor.partition.policy_versions import PolicyVersions
from monitor.partition.sources import Sources
from schemas.inputs import END_MS


class Watermark:
    """The watermark. Everything before ``decided_ms`` is decided; 0: nothing yet.

    ``closing_ms``: the policy ends there, and only a part of the alerts that end with it are resolved; else 0.
    """

    def __init__(self, sources: Sources, policies: PolicyVersions) -> None:
        self.sources = sources
        self._policies = policies
        self._most_ms = END_MS
        self.decided_ms = NO_CLOCK_MS
        self.closing_ms = 0

    @property
    def ms(self) -> int:
        """The lowest clock of the sources that have not ended, less ``lateness``. It never falls. 0: none yet."""
        least_ms = self.sources.least_ms
        if least_ms == NO_CLOCK_MS:
            return self.decided_ms
        return max(self.decided_ms, min(self._policies.lateness.line(least_ms), self._most_ms))

    @property
    def fixed_ms(self) -> int:
        """The time up to which no policy can change any more."""
        return max(self.decided_ms, self.closing_ms)

    def hold(self, most_ms: int | None) -> None:
        """Cap the watermark at ``most_ms``; None removes the cap."""
        self._most_ms = END_MS if most_ms is None else most_ms

    @property
    def late_ms(self) -> int:
        """The highest late line of any source. Calls below it may have been found late, even if not decided yet."""
        return self._policies.lateness.line(self.sources.furthest_ms)
