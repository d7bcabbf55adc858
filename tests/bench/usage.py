"""The cost of a task: CPU and wall seconds, memory of the process."""

import gc
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU (user and system), CPU seconds of the processes that it started and waited for, and wall time."""

    cpu_s: float
    children_cpu_s: float
    wall_s: float


def cost_of(work: Callable[[], T]) -> tuple[T, Cost]:
    """Run ``work``; return its result and its cost."""
    gc.collect()
    own_s, children_s, wall_s = _cpu_s(resource.RUSAGE_SELF), _cpu_s(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = work()
    wall_s = time.perf_counter() - wall_s
    own_s, children_s = _cpu_s(resource.RUSAGE_SELF) - own_s, _cpu_s(resource.RUSAGE_CHILDREN) - children_s
    return result, Cost(own_s + children_s, children_s, wall_s)


def resident_bytes() -> int | None:
    """The resident memory of the process; None if the system does not report it."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """The peak memory of the process, without its parent's memory before the fork (which `ru_maxrss` includes)."""
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def children_peak_bytes() -> int:
    """The peak memory of any process that this one waited for; 0 if there was none."""
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _cpu_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def cpu_s_of(pid: int) -> float:
    """CPU seconds, user and system, of another process so far. Only where there is /proc."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes_of(pid: int) -> int:
    """The peak memory of another process so far. Only where there is /proc."""
    return _status("VmHWM", str(pid)) or 0


def _status(name: str, of: str = "self") -> int | None:
    try:
        status = Path(f"/proc/{of}/status").read_text()
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith(f"{name}:")), None)
    return None if line is None else int(line.split()[1]) * 1024
