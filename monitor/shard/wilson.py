"""The one-sided Wilson score bound of a proportion (E. B. Wilson, JASA 22, 1927)."""

from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@cache
def quantile(confidence: float) -> float:
    """The normal quantile of a one-sided confidence: 0.95 gives 1.6448536..."""
    return NormalDist().inv_cdf(confidence)


def wilson_bound(
    numerator: NDArray[np.int64], denominator: NDArray[np.int64], confidence: float, lower: bool
) -> Floats:
    """The lower or the upper bound of each ``numerator / denominator`` , the share capped at 1."""
    z = quantile(confidence)
    n = denominator.astype(np.float64)
    p = np.minimum(numerator / n, 1.0)
    centre = p + z * z / (2 * n)
    spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    bound: Floats = (centre - spread if lower else centre + spread) / (1 + z * z / n)
    return bound
