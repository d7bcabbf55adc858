"""Phases: the CPU time of a replay by phase, measured by wrapping the functions where one phase calls the next.

Each function's time excludes that of wrapped functions that it calls; time outside all phases is ``rest``.
"""

import functools
import importlib
import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

REST = "other"
# A name is patched in the module that calls it: `monitor.decoding.decode:to_columns` is the name that `decode`
# imported.
PHASES: dict[str, tuple[str, ...]] = {
    "read and split lines": ("monitor.replay.local:line_chunks",),
    "check lines": ("schemas.codec:decoder_for",),
    "decode": ("monitor.decoding.decode:Decoder.lines",),
    "extract fields": ("monitor.decoding.decode:Gathered.add",),
    "build columns": ("monitor.decoding.decode:to_columns",),
    "hash keys": ("monitor.core.calls.columns:text_keys", "monitor.core.calls.columns:number_keys"),
    "source clocks and merge": ("monitor.decoding.source:Source.place", "monitor.replay.reader:merge"),
    "index tenants": ("monitor.core.calls.columns:Gathered.tenant",),
    "copy columns": ("monitor.core.calls.columns:CountedCalls.take", "monitor.core.calls.columns:CountedCalls.concat"),
    "add to open panes": ("monitor.core.shard:Shard.apply",),
    "deduplicate": ("monitor.core.calls.dedup:Deduplicator.admit",),
    "close panes": ("monitor.core.shard:Shard._close_panes", "monitor.core.windows.open_panes:OpenPanes._sum_up"),
    "close panes: key counts": ("monitor.core.windows.distinct.key_counts:KeyCounts.of_each",),
    "close panes: evidence": ("monitor.core.windows.pane:newest_of_groups",),
    "update running sums": (
        "monitor.core.windows.window:RunningSums.enter",
        "monitor.core.windows.window:RunningSums.leave",
        "monitor.core.windows.pane_merger:merge",
        "monitor.core.windows.window_set:merge",
    ),
    "update distinct counts": (
        "monitor.core.windows.window:DistinctCounts.enter",
        "monitor.core.windows.window:DistinctCounts.leave",
    ),
    "add evidence": ("monitor.core.calls.evidence:NewestCalls.add",),
    "find due work": ("monitor.core.shard:Shard._next_end", "monitor.core.rules.evaluator:RuleEvaluator.due"),
    "evaluate rules": ("monitor.core.rules.evaluator:RuleEvaluator.evaluate",),
    "decide and alert": (
        "monitor.core.rules.measured_decisions:MeasuredDecisions.decide",
        "monitor.core.rules.rule_state:Alerts.fire",
        "monitor.core.rules.rule_state:Alerts.resolve",
    ),
    "records other than calls": (
        "monitor.core.decisions.record_handlers:RecordHandlers.decide",
        "monitor.core.decisions.lifecycle:DecisionLifecycle.lapse",
    ),
    "write output": ("monitor.replay.output:write",),
}
IN_THE_EXTENSION = frozenset({"extract fields", "build columns", "hash keys", "index tenants"})
"""Phases that are part of "decode" where the extension parses calls."""


class Clock:
    """Divides time among nested phases: it runs for the innermost, and only within ``with clock:``."""

    def __init__(self, now_ns: Callable[[], int] = time.process_time_ns) -> None:
        self.spent_ns: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._now_ns = now_ns
        self._open: list[str] = []
        self._since_ns = 0

    def __enter__(self) -> "Clock":
        self.enter(REST)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self, phase: str) -> None:
        """Enter ``phase``, inside the current one."""
        self._charge()
        self.calls[phase] += 1
        self._open.append(phase)

    def leave(self) -> None:
        """Leave the innermost phase."""
        self._charge()
        self._open.pop()

    def begin(self, before: str) -> None:
        """Count all phases from 0, and their time until now as that of the phase ``before``."""
        self._charge()
        spent_ns = self.spent_ns.total()
        self.spent_ns, self.calls = Counter({before: spent_ns}), Counter({before: 1})

    def _charge(self) -> None:
        now_ns = self._now_ns()
        if self._open:
            self.spent_ns[self._open[-1]] += now_ns - self._since_ns
        self._since_ns = now_ns


@contextmanager
def profiled(clock: Clock, phases: Mapping[str, Sequence[str]] = PHASES) -> Iterator[None]:
    """Time the functions of ``phases`` while the context is active. A LookupError names those that no longer exist."""
    targets = [(phase, *_resolve(name)) for phase, names in phases.items() for name in names]
    with ExitStack() as stack:
        for phase, owner, attribute in targets:
            raw = vars(owner)[attribute]
            timed: Any
            if isinstance(raw, classmethod):
                timed = classmethod(_timed(raw.__func__, phase, clock))
            elif isinstance(raw, staticmethod):
                timed = staticmethod(_timed(raw.__func__, phase, clock))
            elif isinstance(raw, property):
                timed = property(_timed(raw.fget, phase, clock))
            else:
                timed = _timed(raw, phase, clock)
            stack.enter_context(patch.object(owner, attribute, timed))
        yield


def _resolve(name: str) -> tuple[Any, str]:
    module, _, path = name.partition(":")
    *outer, attribute = path.split(".")
    try:
        owner: Any = importlib.import_module(module)
        for part in outer:
            owner = getattr(owner, part)
        vars(owner)[attribute]
    except (ImportError, AttributeError, KeyError) as error:
        raise LookupError(f"{name} no longer exists: update its phase in bench/phases.py") from error
    return owner, attribute


def _timed(function: Callable[..., Any], phase: str, clock: Clock) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(function):  # its time is that of its steps

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            generator = function(*args, **kwargs)
            while True:
                clock.enter(phase)
                try:
                    item = next(generator)
                except StopIteration:
                    return
                finally:
                    clock.leave()
                yield item

        return steps

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        clock.enter(phase)
        try:
            return function(*args, **kwargs)
        finally:
            clock.leave()

    return call
