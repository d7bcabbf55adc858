"""Our hash of keys is that of Kafka's clients."""

import random

import pytest

from monitor.partition.partitioner import murmur2


def test_murmur2_is_that_of_kafkas_clients() -> None:
    # The figures come from the tests of Kafka's own clients.
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "abc": 479470107}
    for text, signed in known.items():
        assert murmur2(text.encode()) == signed & 0xFFFFFFFF, text


@pytest.mark.parametrize("seed", range(3))
def test_murmur2_is_that_of_aiokafka(seed: int) -> None:
    from aiokafka.partitioner import murmur2 as theirs

    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(500):
        key = rng.randbytes(rng.randint(0, 40))
        assert murmur2(key) == theirs(key) & 0xFFFFFFFF
