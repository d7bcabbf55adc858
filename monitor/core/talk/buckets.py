"""Buckets of talk times: a bucket holds the times that agree in their five highest binary digits.

Source: `median_talk_s` in section 4 of the contract. Times below 32 ms have a bucket each. Above, each octave (from a
power of two to the next) has 16.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

DIGITS: Final = 5
PER_OCTAVE: Final = 1 << DIGITS - 1
OCTAVES: Final = 39
"""The octaves, in rows of `PER_OCTAVE` buckets: the longest talk time is from 1990 to 2099, which takes 42 digits."""
BUCKETS: Final = OCTAVES * PER_OCTAVE


def buckets_of(talk_ms: NDArray[np.integer]) -> NDArray[np.uint16]:
    """The bucket of each talk time in ms."""
    shift = _bit_lengths(talk_ms) - DIGITS
    np.maximum(shift, 0, out=shift)
    return ((talk_ms >> shift.astype(talk_ms.dtype)) + PER_OCTAVE * shift).astype(np.uint16)


def lowest_ms(bucket: NDArray[np.integer]) -> NDArray[np.int64]:
    """The lowest talk time in each bucket: any of its times with all digits after the five highest set to 0."""
    shift = np.maximum(bucket.astype(np.int64) // PER_OCTAVE - 1, 0)
    lowest: NDArray[np.int64] = (bucket - PER_OCTAVE * shift) << shift
    return lowest


def _bit_lengths(values: NDArray[np.integer]) -> NDArray[np.int32]:
    """The number of binary digits of each value, which must be below 2^53."""
    return np.frexp(values.astype(np.float64))[1]
