"""The garbage collector never scans everything that a worker holds at once: that would pause all its threads."""

import subprocess
import sys

COUNTED = """
import gc
from monitor.core.garbage_collection import reduce_garbage_collection

reduce_garbage_collection()
most, looked_at, full = 0, 0, 0

def watch(phase, info):
    global most, full
    if phase == "start":
        most = max(most, sum(len(gc.get_objects(g)) for g in range(info["generation"] + 1)))
        full += info["generation"] == 2

gc.callbacks.insert(0, watch)
held = [[] for _ in range(600_000)]
for _ in range(60_000):
    cycle = []
    cycle.append(cycle)
del cycle
print(most, full, sum(1 for one in gc.get_objects() if type(one) is list and one and one[0] is one))
"""


def test_a_full_collection_looks_at_what_is_new_alone() -> None:
    """At 100,000 tenants there are millions of objects; one collection of 400,000 paused every thread for 0.3 s."""
    ran = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True)
    most, full, cycles = map(int, ran.stdout.split())
    assert full >= 2, "there are full collections"
    assert most < 200_000
    assert cycles < 20_000, "cycles are still found while they are young"
