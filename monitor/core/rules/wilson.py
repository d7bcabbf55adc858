"""The one-sided Wilson score bound of a proportion (E. B. Wilson, JASA 22, 1927)."""

from functools import cache
from statistics import NormalDist
from typing import Any

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
    """The lower or the upper bound of each ``numerator / denominator``, with the share capped at 1."""
    return bound(numerator, denominator.astype(np.float64), quantile(confidence), 1.0 if lower else -1.0)


def bound(numerator: NDArray[Any], n: Floats, z: Floats | float, sign: Floats | float) -> Floats:
    """The bounds for the quantiles ``z``, lower where ``sign`` is 1 and upper where it is -1."""
    p = np.minimum(numerator / n, 1.0)
    centre = p + z * z / (2 * n)
    spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found: Floats = (centre - sign * spread) / (1 + z * z / n)
    return found
