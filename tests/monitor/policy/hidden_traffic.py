"""Traffic of honest and bad tenants, written independently of our simulator: a second test of the rules.

Nothing is shared with `monitor.simulate`. Each tenant draws its figures from wide ranges and its talk times from one of
several families (exponential, log-normal, uniform, normal, mixtures; whole seconds or ms), because authors differ in
these more than in anything else. Each kind's name describes it; the ranges are assumptions, wider than any one
author's.
"""

from random import Random

from hidden_bad import BAD, HIDDEN
from hidden_honest import HONEST
from hidden_maker import HOUR, NOTHING_FILLED, Filled, Maker, Tenant, write

__all__ = ["BAD", "HIDDEN", "HONEST", "HOUR", "NOTHING_FILLED", "Filled", "Tenant", "tenant", "write"]


def tenant(kind: str, number: int, seed: int, days: int, filled: Filled) -> Tenant:
    """The same for the same arguments."""
    made = Tenant(f"{kind}-{number}", kind)
    rng = Random(f"{seed} {kind} {number}")
    (HONEST | BAD | HIDDEN)[kind](Maker(made, rng, filled), days)
    if kind not in HONEST and made.since_ms is None:
        made.since_ms = min(row["start_ms"] for _, row in made.rows)
    return made
