"""Batches that decompress to much more than they take: no poll and no process makes more of them than it may."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from aiokafka.codec import zstd_encode
from committed_rows import result_of
from rawkafka.batches import ZSTD, batch, record

from streams.kafka.fetch import columnar_fetch as fastfetch
from streams.kafka.fetch.record_columns import columns

pytestmark = pytest.mark.usefixtures("columnar_fetch")


def test_one_poll_makes_no_more_of_what_it_has_fetched_than_it_may() -> None:
    """A megabyte of small batches can expand to gigabytes: the rest waits for the next poll."""
    bombs = b"".join(
        batch([], codec=ZSTD, payload=zstd_encode(record(b"k", bytes(8 << 20))), count=1, base=n) for n in range(6)
    )
    assert len(bombs) < 1 << 20
    result = result_of(bombs, 0)
    with fastfetch.bounded(16 << 20):
        first = result.getall(None)
        assert 0 < sum(map(len, first.values)) <= 24 << 20
        assert len(result.getall(None)) == 0  # nor of another partition, in the same poll
    with fastfetch.bounded(16 << 20):
        assert columns(0, 6, result.getall(None)).offsets[0] == len(first)


@pytest.mark.thorough
def test_bombs_take_no_more_memory_than_a_batch_may_hold() -> None:
    """The peak memory of a process that reads a megabyte of bombs of each kind, as a worker does, poll by poll."""
    script = """
        import os, sys, zlib
        from aiokafka.codec import zstd_encode
        from committed_rows import GOOD, fetched
        from rawkafka.batches import GZIP, ZSTD, batch
        from streams.kafka.fetch import columnar_fetch as fastfetch
        import test_unreadable_batches as tests
        fastfetch.install_columnar_fetch()
        fetched(batch(GOOD, codec=ZSTD))
        made = [build() for what, (_, build) in tests.WHOLE.items() if "bomb" in what or "millions" in what]
        made.append(batch([], codec=ZSTD, payload=zstd_encode(bytes(1 << 30)), count=3))
        made.append(batch([], codec=GZIP, payload=zlib.compress(bytes(1 << 29), 1, wbits=31), count=3))
        del tests.BOMB
        # In a child process: the kernel also counts the peak of the process that started it.
        reading = os.fork()
        if not reading:
            open("/proc/self/clear_refs", "w").write("5")
            for one in made:
                fetched(one)
            peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
            now = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
            print(peak.split()[1], now.split()[1])
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(reading, 0)
    """
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{here}:{here.parents[1]}:{here.parents[2]}", "PATH": "/usr/bin:/bin"},
    )
    print(run.stdout, run.stderr)
    peak_kb = int(run.stdout.split()[0])
    assert peak_kb < 350_000
