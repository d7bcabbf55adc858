"""Tenants that changed since the last evaluation, however many changes wait to be marked."""

import random

import numpy as np
import pytest

from monitor.core.tenants.dirty import DirtyTenants


@pytest.mark.parametrize("seed", range(20))
def test_each_tenant_that_changed_is_taken_once(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    dirty, wanted, tenants = DirtyTenants(), set[int](), 1
    for _ in range(300):
        tenants += rng.choice([0, 0, 1, 200])
        match rng.random():
            case turn if turn < 0.8:
                who = sorted(rng.sample(range(tenants), min(tenants, rng.randrange(5))))
                dirty.add(np.array(who, np.int32))
                wanted.update(who)
            case turn if turn < 0.95:
                one = rng.randrange(tenants)
                dirty.add_one(one)
                wanted.add(one)
            case _:
                assert np.flatnonzero(dirty.take(tenants)).tolist() == sorted(wanted)
                wanted.clear()
    assert np.flatnonzero(dirty.take(tenants)).tolist() == sorted(wanted)


def test_changes_that_are_not_taken_are_marked_before_they_take_much_memory() -> None:
    dirty = DirtyTenants()
    for number in range(1_000):
        dirty.add(np.array([number], np.int32))
    assert len(dirty._waiting) < 100
    assert dirty.take(1_000).all()
