"""The extension encodes columns as numpy does, and refuses what does not hold integers."""

import random
from typing import Any

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core import codec
from monitor.core.codec import array, ascending, column, columns

pytestmark = pytest.mark.skipif(not codec.built(), reason="the extension is not built")

DTYPES = (np.bool_, np.int8, np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
EDGES = (0, 1, 127, 255, 256, 32_767, 65_535, 65_536, 2**24, 2**31 - 1, 2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**64 - 1)


def random_numbers(rng: random.Random, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Numbers of any dtype up to any width, some of them not contiguous."""
    dtype = rng.choice(DTYPES)
    largest = 1 if dtype is np.bool_ else int(np.iinfo(dtype).max)
    most = min(largest, rng.choice(EDGES))
    twice = (*shape[:-1], 2 * shape[-1])
    flat = [rng.choice((0, most, rng.randint(0, most))) for _ in range(int(np.prod(twice)))]
    found = np.array(flat, dtype).reshape(twice)
    return found[..., ::2] if rng.random() < 0.5 else np.ascontiguousarray(found[..., ::2])


@pytest.mark.parametrize("seed", thorough(range(300), 60))
def test_columns_are_encoded_as_by_numpy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    values = random_numbers(rng, (rng.choice((0, 1, 2, 30, 1_200)),))
    rows = random_numbers(rng, (rng.choice((0, 1, 5, 41)), rng.choice((0, 1, 7, 600))))
    rising = np.sort(random_numbers(rng, (rng.choice((0, 1, 90)),)).astype(np.int32) & 2**31 - 1)
    found = []
    for enabled in (True, False):
        monkeypatch.setattr(codec, "enabled", enabled)
        found.append((column(values), columns(rows), ascending(rising)))
        assert array(column(values), values.dtype.type).tolist() == values.tolist()
        assert np.cumsum(array(ascending(rising), np.int32)).tolist() == rising.tolist()
    native, expected = found
    assert native == expected


@pytest.mark.parametrize(
    "fault", [np.zeros(2, "V3"), np.zeros(9, np.uint8)[1:].view(np.int32), np.zeros(4, np.complex128)]
)
def test_what_is_no_aligned_integer_is_refused(fault: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match="fit"):
        codec._codec.column(fault)
    with pytest.raises(ValueError, match="fit"):
        codec._codec.columns(fault, 1)


@pytest.mark.parametrize("count", [-1, 0, 2, 4, 2**62])
def test_a_matrix_of_other_columns_is_refused(count: int) -> None:
    assert len(codec._codec.columns(np.zeros((3, 3), np.int64), 3)) == 3
    with pytest.raises(ValueError, match="fit"):
        codec._codec.columns(np.zeros((3, 3), np.int64), count)


def test_what_is_not_contiguous_is_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        codec._codec.column(np.zeros(8, np.int64)[::2])
