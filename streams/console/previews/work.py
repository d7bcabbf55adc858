"""What the child process does: judges the records by both policies, and compares."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from monitor.adapters.errors import MappingError
from monitor.adapters.shipped import open_adapter
from monitor.policy.file.errors import PolicyError, PolicyFault
from monitor.policy.load import from_plain, load_bytes
from monitor.policy.model import Policy
from monitor.replay.files import line_chunks, open_input
from monitor.replay.outcome import Outcome
from monitor.replay.run import ReplayOptions, ReplayProgress, replay
from monitor.text.masking import mask_text
from monitor.whatif.backtest import PIECE_LINES, Truth, truths_of_reviews, verdicts_of
from streams.console.previews.judging import PolicyJudgement, compare, judgement_by
from streams.console.previews.task import Done, Failed, PreviewTask, Progress, Report, Step
from streams.kafka.api import TP, CorruptLog, OffsetOutOfRange, PermanentError, TransientError
from streams.runtime.monotonic import steady_s

_REPORT_EVERY_S: Final = 0.5
_MOST_FAULTS: Final = 5
_MAX_AHEAD_MS: Final = 300_000
"""As replay: a record of a file may be this far ahead of the time of the run."""

ReportProgress = Callable[[Progress], None]


def run(task: PreviewTask, report: ReportProgress) -> Report:
    """The result, or why there is none."""
    try:
        base, policy = from_plain(json.loads(task.base), task.base_sha256), load_bytes(task.policy, "policy")
    except PolicyError as error:
        return _faulty("policy", error.faults[:1])
    progress = _ProgressReporter(report)
    try:
        if task.source == "file":
            return _of_file(task, base, policy, progress)
        if task.source == "replay":
            return _of_replay(task, base, policy, progress)
        return asyncio.run(_of_topics(task, base, policy, progress))
    except (TransientError, CorruptLog) as error:
        return Failed("kafka", mask_text(str(error)))
    except (PermanentError, OffsetOutOfRange) as error:
        return Failed("topics", mask_text(str(error)))


def _faulty(why: str, faults: Sequence[PolicyFault]) -> Failed:
    """The faults of a file, each with its place, in both languages."""
    in_chinese = (replace(fault, message=fault.both.zh) for fault in faults)
    return Failed(why, "\n".join(map(str, faults)), "\n".join(map(str, in_chinese)))


class _ProgressReporter:
    """Reports progress, not too often."""

    def __init__(self, report: ReportProgress) -> None:
        self._report, self._step, self._last_s = report, "", 0.0
        self.total = 0

    def at(self, step: Step, read: int) -> None:
        now_s = steady_s()
        if step != self._step or now_s - self._last_s >= _REPORT_EVERY_S:
            self._step, self._last_s = step, now_s
            self._report(Progress(step, read, self.total))

    def of(self, step: Step) -> Callable[[ReplayProgress], None]:
        """What a replay reports its progress to."""
        self.at(step, 0)
        return lambda progress: self.at(step, progress.read)


def _of_file(task: PreviewTask, base: Policy, policy: Policy, progress: _ProgressReporter) -> Report:
    path = f"/dev/fd/{task.file}"
    try:
        adapter = open_adapter(task.format, task.constants) if task.format else None
        lines, truths = _scan(path, progress, has_reviews=adapter is None)
        if not lines:
            return Failed("no_records")
        progress.total = lines
        options = ReplayOptions(not_after_ms=task.now_ms + _MAX_AHEAD_MS, secret=task.settings.secret())

        def judge(step: Step, by: Policy) -> PolicyJudgement:
            outcome = replay([path], by, options, adapter=adapter, progress=progress.of(step))
            return judgement_by(by, outcome, of_file=True)

        before, after = judge("before", base), judge("after", policy)
    except OSError as error:
        return Failed("file", mask_text(str(error.strerror or error).replace(path, "file")))
    except MappingError as error:
        return _faulty("format", error.faults[:_MOST_FAULTS])
    if not after.records.accepted:
        first = after.records.first_rejected[:_MOST_FAULTS]
        return Failed("no_records", "\n".join(f"{each.line}: {each.reason}" for each in first))
    progress.at("compare", 0)
    return Done(compare(before, after, *_truths(truths, task)))


def _of_replay(task: PreviewTask, base: Policy, policy: Policy, progress: _ProgressReporter) -> Report:
    options = ReplayOptions(enforce_from_ms=task.since_ms or 0)

    def judge(step: Step, by: Policy) -> PolicyJudgement:
        return judgement_by(by, replay(task.paths, by, options, progress=progress.of(step)))

    try:
        progress.total = sum(_scan(path, progress, has_reviews=False)[0] for path in task.paths)
        before, after = judge("before", base), judge("after", policy)
    except OSError as error:
        return Failed("file", mask_text(str(error)))
    progress.at("compare", 0)
    return Done(compare(before, after, *_truths({}, task), task.since_ms))


def _scan(path: str, progress: _ProgressReporter, *, has_reviews: bool) -> tuple[int, dict[str, Truth]]:
    """The number of lines, and what the reviews among them say: a file of another system has none."""
    count = 0

    def verdicts() -> Iterator[tuple[str, str]]:
        nonlocal count
        with open_input(path) as stream:
            for _, lines in line_chunks(stream, PIECE_LINES):
                count += len(lines)
                progress.at("scan", count)
                if has_reviews:
                    yield from verdicts_of(lines)

    truths = truths_of_reviews(verdicts())
    return count, truths


def _truths(of_file: dict[str, Truth], task: PreviewTask) -> tuple[dict[str, Truth], str | None]:
    """Whose reviews say who is right: those of the file, else those that the console knows."""
    if of_file:
        return of_file, "file"
    return truths_of_reviews(_as_verdicts(task.upheld.items())), "console" if task.upheld else None


def _as_verdicts(upheld: Iterable[tuple[str, bool]]) -> Iterator[tuple[str, str]]:
    for tenant_id, was in upheld:
        yield tenant_id, "uphold" if was else "overturn"


async def _of_topics(task: PreviewTask, base: Policy, policy: Policy, progress: _ProgressReporter) -> Report:
    # Imported here: a file needs no Kafka.
    from streams.kafka.cluster import KafkaCluster
    from streams.kafka.topic_names import TopicNames
    from streams.ops.topic_replay import TopicReplayOptions, current_ends, partitions_of, replay_topics

    settings = task.settings
    names, cluster = TopicNames.from_settings(settings), KafkaCluster(settings)
    try:
        count = await partitions_of(cluster, names)
        inputs = [TP(topic, number) for topic in names.inputs for number in range(count)]
        starts, ends = await cluster.starts(inputs), await current_ends(cluster, names, count)
        first: dict[TP, int] = {}
        if task.since_ms is not None:
            # Windows that end after the time need the calls before it; those only count.
            longest_ms = max((rule.window_ms for each in (base, policy) for rule in each.rules), default=0)
            found = await cluster.offsets_from(inputs, max(0, task.since_ms - longest_ms))
            first = {tp: found.get(tp, ends[tp]) for tp in inputs}
        progress.total = sum(max(0, ends[tp] - max(starts[tp], first.get(tp, 0))) for tp in inputs)
        options = replace(
            TopicReplayOptions.from_settings(settings),
            enforce_from_ms=task.since_ms or 0,
            follow=False,
            first=first,
            ends=ends,
        )

        async def judge(step: Step, by: Policy) -> Outcome:
            return await replay_topics(cluster, names, by, options, progress=progress.of(step))

        before = judgement_by(base, await judge("before", base))
        after = judgement_by(policy, await judge("after", policy))
    finally:
        await cluster.stop()
    if not after.records.accepted:
        return Failed("no_records")
    progress.at("compare", 0)
    return Done(compare(before, after, *_truths({}, task), task.since_ms))
