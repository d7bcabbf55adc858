"""Plays schedules in a separate process: `python -m crash.runner play|broken`, the answer as JSON.

play FIRST COUNT: the results of the schedules of these seeds.

broken COUNT NAME...: for each mutation of the protocol, which of the first schedules shows it, and how.
"""

import gc
import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import structlog
from mode.utils.logging import CompositeLogger

from crash.broken import found
from crash.schedule import Result, play


def results(first: int, count: int, *, hash_seed: str = "0", extensions: bool = True) -> list[Result]:
    """Play the schedules of these seeds in a process, with or without the extensions."""
    return [
        Result(**result | {"faults": Counter(result["faults"]), "points": Counter(result["points"])})
        for result in ask("play", first, count, hash_seed=hash_seed, extensions=extensions)
    ]


def ask(*what: str | int, hash_seed: str = "0", extensions: bool = True) -> Any:
    """Run a process and return its answer. If it fails, the error contains its whole output."""
    folders = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(folders)}
    if not extensions:
        environment["CALLWARDEN_NO_EXTENSIONS"] = "1"
    command = [sys.executable, "-m", "crash.runner", *map(str, what)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def prepare() -> None:
    """Prepare this process for schedules, up to thousands: warnings are errors, logs are dropped, garbage is
    collected rarely.
    """
    warnings.simplefilter("error")
    CompositeLogger.log = _say_nothing  # type: ignore[method-assign]  # Faust formats messages that are not read
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_drop])
    # Existing objects are frozen, and the garbage of a schedule is collected at once.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 10)


def _say_nothing(self: CompositeLogger, severity: int, message: str, *args: Any, **more: Any) -> None:
    """Replaces `CompositeLogger.log`."""


def _drop(logger: object, name: str, event: structlog.typing.EventDict) -> str:
    raise structlog.DropEvent


def _fields(result: Result) -> dict[str, Any]:
    # A copy: in Python 3.13.0, garbage collection empties what `vars` of an object that is gone refers to.
    return dict(vars(result))


def _answer(what: str, *how: str) -> Any:
    prepare()
    if what == "play":
        first, count = map(int, how)
        return [_fields(play(seed)) for seed in range(first, first + count)]
    return {name: found(name, range(int(how[0]))) for name in how[1:]}


if __name__ == "__main__":
    print(json.dumps(_answer(*sys.argv[1:])))
