"""What each process of a replay must know, besides its sources."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.core.policy_chain import field_layouts
from monitor.core.results import WantedOutput
from monitor.core.threshold_distance import DistanceOptions
from monitor.decoding.decode import Decoder
from monitor.policy.timeline import PolicyVersion


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How a replay with ``jobs`` processes reads and judges; see `monitor.replay.run.ReplayOptions`."""

    versions: Sequence[PolicyVersion]
    jobs: int
    wanted: WantedOutput
    salt: np.uint64
    not_after_ms: int | None
    until_ms: int | None
    enforce_from_ms: int
    piece_lines: int
    distance_options: DistanceOptions | None

    def decoder(self) -> Decoder:
        """The decoder of the input."""
        layout, later = field_layouts(self.versions)
        return Decoder(layout, self.salt, self.not_after_ms, later)
