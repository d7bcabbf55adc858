"""The child: one task in a separate process, with JSON arguments and a JSON answer on standard output."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import usage

Answer = dict[str, Any]
_AT_ONCE = 1_024  # as replay decodes
_DECIDED = ("enforcement.jsonl", "shadow.jsonl", "alerts.jsonl", "late.jsonl")


def workload(name: str, tenants: int, calls: int, days: int, cache: str) -> Answer:
    """Create a workload, unless it exists."""
    from bench.workload import Workload, make

    return asdict(make(Workload(name, tenants, calls, days), Path(cache)))


def decode(path: str, piece_lines: int) -> Answer:
    """Read, split and decode only, without the checks beyond msgspec's: the minimum of any reader."""
    from monitor.replay.files import line_chunks, open_input
    from schemas import codec

    def work() -> int:
        records = 0
        with open_input(path) as stream:
            for _, lines in line_chunks(stream, piece_lines):
                for start in range(0, len(lines), _AT_ONCE):
                    records += len(list(map(codec.decode, lines[start : start + _AT_ONCE])))
        return records

    records, cost = usage.cost_of(work)
    return {"records": records, **asdict(cost), "peak_bytes": usage.peak_bytes()}


def replay(path: str, policy: str, piece_lines: int, jobs: int) -> Answer:
    """Replay as the command does it, including writing the output."""
    return _replay(path, policy, piece_lines, jobs, nullcontext())


def phases(path: str, policy: str, piece_lines: int) -> Answer:
    """The same replay, timed at the functions where one phase calls the next."""
    from bench.phases import Clock, profiled

    clock = Clock()
    with profiled(clock):
        answer = _replay(path, policy, piece_lines, 1, clock)
    return {**answer, "phases": [[name, ns / 1e9, clock.calls[name]] for name, ns in clock.spent_ns.most_common()]}


def _replay(path: str, policy: str, piece_lines: int, jobs: int, around: AbstractContextManager[object]) -> Answer:
    from bench.policies import named
    from monitor.core.garbage_collection import reduce_garbage_collection
    from monitor.replay import output
    from monitor.replay import run as replaying
    from monitor.replay.outcome import ReplaySummary

    policy_model = named(policy)
    reduce_garbage_collection(batch=True)
    with tempfile.TemporaryDirectory() as folder:

        def work() -> ReplaySummary:
            with around:
                outcome = replaying.replay(
                    [path], policy_model, replaying.ReplayOptions(piece_lines=piece_lines, jobs=jobs)
                )
                output.write(outcome, policy_model, Path(folder), windows=False)
            return outcome.summary

        summary, cost = usage.cost_of(work)
        return {
            "records": summary.read,
            **asdict(cost),
            "peak_bytes": usage.peak_bytes(),
            "children_peak_bytes": usage.children_peak_bytes(),
            "enforcement": summary.enforcement,
            "alerts": summary.alerts,
            "tenants": summary.tenants,
            "digest": digest(Path(folder)),
        }


def store(path: str, policy: str, piece_lines: int, folder: str) -> Answer:
    """Replay with stored state: a snapshot at each new window end, the last one stays in ``folder``."""
    from bench.policies import named
    from bench.state import judge_and_store

    answer, cost = usage.cost_of(lambda: judge_and_store(path, named(policy), piece_lines, Path(folder)))
    return {**answer, **asdict(cost), "peak_bytes": usage.peak_bytes()}


def restore(policy: str, folder: str) -> Answer:
    """Restore the stored state; return the cost and the resulting memory."""
    from bench.memory import parts_of
    from bench.policies import named
    from bench.state import load

    policy_model = named(policy)
    restore_task = load(policy_model, Path(folder))
    before = usage.resident_bytes()
    partition, cost = usage.cost_of(restore_task)
    after = usage.resident_bytes()
    return {
        **asdict(cost),
        "tenants": partition.shard.tenants,
        "resident_bytes": None if before is None or after is None else after - before,
        "parts": parts_of(partition.shard),
    }


def early(path: str, policy: str) -> Answer:
    """The cost of early evaluations."""
    from bench.early import early_evaluations
    from bench.policies import named

    return early_evaluations(path, named(policy))


def growth(path: str, policy: str, partitions: int) -> Answer:
    """The stream tasks of a worker without Kafka: the cost, the longest steps, memory and state."""
    from bench.growth_partitions import measure
    from monitor.core.garbage_collection import reduce_garbage_collection

    reduce_garbage_collection()
    return measure(path, policy, partitions)


def digest(folder: Path) -> str:
    """A digest of all outputs of a replay."""
    found = hashlib.sha256()
    for name in _DECIDED:
        found.update((folder / name).read_bytes())
    return found.hexdigest()


TASKS: dict[str, Callable[..., Answer]] = {
    task.__name__: task for task in (workload, decode, replay, phases, store, restore, early, growth)
}

if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    print(json.dumps(TASKS[arguments.pop("task")](**arguments)))
