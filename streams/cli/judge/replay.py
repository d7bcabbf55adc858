"""`callwarden replay`: judge files of records, or all that the input topics hold."""

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Bootstrap, Constants, Format, Json, KeyFile, NotAfter, named
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from monitor.core.threshold_distance import DistanceOptions
    from monitor.policy.model import Policy
    from monitor.policy.timeline import PolicyVersion
    from monitor.replay.outcome import Outcome
    from monitor.replay.run import ReplayOptions
    from monitor.text.display import Display
    from streams.cli.inputs import FormattedFiles
    from streams.cli.judge.progress import Reporter


def run(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the decisions are written.", parser=named)
    ],
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Records: .jsonl, .gz, .zst, or - for standard input.")
    ] = None,
    from_topics: Annotated[
        bool, typer.Option("--from-topics", help="Judge the input topics of a Kafka cluster instead of files.")
    ] = False,
    to_watermark: Annotated[
        bool,
        typer.Option("--to-watermark", help="Of topics: only what current workers have decided by now."),
    ] = False,
    bootstrap: Bootstrap = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="The policy file.  [default: the built-in policy; with --from-topics CALLWARDEN_POLICY, if set]",
        ),
    ] = None,
    format_: Format = None,
    set_: Constants = None,
    windows: Annotated[bool, typer.Option("--windows", help="Also write every judged window.")] = False,
    measures: Annotated[
        bool, typer.Option("--measures", help="Also write what the rules measured of each tenant and hour.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Judge and lapse up to this time."),
    ] = None,
    not_after: NotAfter = None,
    switch: Annotated[
        list[str] | None,
        typer.Option("--switch", metavar="TIME=FILE", help="Change to another policy at an event time; repeatable."),
    ] = None,
    enforce_from: Annotated[
        str | None,
        typer.Option("--enforce-from", metavar="TIME", help="Earlier records only count and decide nothing."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Processes to use; the output is the same.")] = 1,
    shards: Annotated[int, typer.Option("--shards", min=1, max=64, hidden=True)] = 1,
    key_file: KeyFile = None,
    metrics: Annotated[
        Path | None,
        typer.Option("--metrics", metavar="FILE", help="Also write the metrics, as a worker exports them."),
    ] = None,
    json_: Json = False,
    max_rejected: Annotated[
        str | None,
        typer.Option("--max-rejected", metavar="N|P%", help="Exit with status 1 if more records are rejected."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress on standard error.")] = False,
) -> None:
    """Judge files of records and write every decision with its reason to DIR.

    Each file is a source of its own. The files are read side by side, the one that is behind first. Rejected records do
    not fail the run, unless there are more than --max-rejected: they are counted, kept in rejected.jsonl, and shown.

    With --from-topics, each partition of each input topic is a source, with the clocks that the workers recorded. The
    settings are those of the workers.

    Exit status: 1 more records were rejected than --max-rejected allows; 3 Kafka cannot be reached.
    """
    import gc

    from monitor.core.garbage_collection import reduce_garbage_collection
    from monitor.replay.run import ReplayOptions
    from streams.cli.inputs import display_setting, fail, formatted_files, latest_event_ms, parse_time, policy_for
    from streams.cli.judge.progress import Reporter

    if not gc.isenabled():
        reduce_garbage_collection(batch=True)
    of_files = {
        "FILE": files,
        "--format": format_,
        "--set": set_,
        "--windows": windows,
        "--measures": measures,
        "--until": until,
        "--switch": switch,
        "--not-after": not_after,
        "--jobs": jobs > 1,
    }
    of_topics = {"--to-watermark": to_watermark, "--bootstrap": bootstrap}
    if misplaced := [option for option, given in (of_files if from_topics else of_topics).items() if given]:
        fail(f"{', '.join(misplaced)}: {'not with' if from_topics else 'only with'} --from-topics")
    allowed, display = _allowed_rejections(max_rejected), display_setting()
    if not files and not from_topics and not any("=" in form for form in format_ or []):
        fail("no records: expected FILE..., or --from-topics")
    reporter = Reporter(shown=not quiet)
    if from_topics:
        from streams.cli.judge.replay_topics import judge_topics, topic_settings

        settings = topic_settings(bootstrap, policy, key_file, enforce_from)
        _check_outputs(out, metrics, [value for _, value in settings if isinstance(value, Path)])
        distances = _distance_options() if metrics else None
        outcome, ruled = judge_topics(settings, to_watermark, distances, reporter)
    else:
        ruled = policy_for(policy)
        records = formatted_files(files or [], format_ or [], set_ or [])
        switches = _switches(switch or [])
        switch_files = [one.partition("=")[2] for one in switch or []]
        given = [policy, key_file, *switch_files, *records.mappings, *records.files]
        _check_outputs(out, metrics, ["/dev/stdin" if path == "-" else path for path in given if path is not None])
        options = ReplayOptions(
            switches=switches,
            windows=windows,
            measures=measures,
            distance_options=_distance_options() if metrics else None,
            not_after_ms=latest_event_ms(not_after),
            until_ms=parse_time("--until", until, open_end=True) if until is not None else None,
            enforce_from_ms=parse_time("--enforce-from", enforce_from) if enforce_from is not None else 0,
            secret=key_file.read_bytes().strip() if key_file else b"",
            shards=shards,
            jobs=jobs,
        )
        outcome = _judge_files(records, ruled, options, out, reporter)
        ruled = switches[-1].policy if switches else ruled
    _write_decisions(outcome, ruled, out, windows=windows, measures=measures)
    _write_metrics(metrics, outcome, ruled, of_topics=from_topics)
    _report(outcome, reporter, out, json_, allowed, display)


def _check_outputs(out: Path, metrics: Path | None, read: Sequence[str | Path]) -> None:
    """End the command before it writes anything if that would replace a file of ``read``, the file of settings, or
    another output."""
    from monitor.replay.output import FILES
    from streams.cli.outputs import must_be_apart, must_not_be_read
    from streams.settings.sources import settings_file

    inputs, outputs = [settings_file(), *read], [out / name for name in FILES]
    must_not_be_read("--out", outputs, inputs)
    if metrics is not None:
        must_not_be_read("--metrics", [metrics], inputs)
        must_be_apart("--metrics", metrics, outputs)


def _judge_files(
    records: "FormattedFiles", ruled: "Policy", options: "ReplayOptions", out: Path, reporter: "Reporter"
) -> "Outcome":
    """Judge the files. Windows and measures, if the options ask for them, are written to ``out`` meanwhile."""
    from contextlib import nullcontext

    from monitor.replay.local import UntilTooEarlyError
    from monitor.replay.output import MeasureFile, WindowFile
    from monitor.replay.run import replay
    from streams.cli.inputs import fail, reading
    from streams.cli.outputs import writing

    if records.files.count("-") > 1:
        fail("-: standard input can be read once; expected it once")
    try:
        with (
            writing(out),
            reading(records.files),
            reporter,
            WindowFile(out) if options.windows else nullcontext() as window_file,
            MeasureFile(out) if options.measures else nullcontext() as measure_file,
        ):
            return replay(
                records.files,
                ruled,
                options,
                adapter=records.adapters,
                on_windows=window_file.write if window_file else None,
                on_measures=measure_file.write if measure_file else None,
                progress=reporter.update,
            )
    except UntilTooEarlyError as error:
        fail(str(error))


def _write_decisions(outcome: "Outcome", ruled: "Policy", out: Path, *, windows: bool, measures: bool) -> None:
    """Delete what would pass for output of this run, as an earlier one wrote it, and write the decisions to ``out``."""
    from monitor.replay.output import MEASURES, write
    from streams.cli.outputs import writing

    with writing(out):
        for name, written in (("windows.jsonl", windows), (MEASURES, measures)):
            if not written:
                (out / name).unlink(missing_ok=True)
        write(outcome, ruled, out, windows=False)


def _switches(given: list[str]) -> "list[PolicyVersion]":
    """The policies of ``--switch``, which are given in order of time."""
    from monitor.policy.timeline import BOUNDARY_MS, PolicyVersion
    from streams.cli.inputs import fail, parse_time, policy_for

    versions: list[PolicyVersion] = []
    for one in given:
        time, equals, path = one.partition("=")
        if not equals:
            fail(f"--switch {one}: expected TIME=FILE")
        version = PolicyVersion(parse_time("--switch", time), policy_for(path))
        if version.from_ms % BOUNDARY_MS:
            fail(f"--switch {time}: expected a multiple of five minutes, at which panes end")
        if version.from_ms <= (versions[-1].from_ms if versions else 0):
            fail(f"--switch {time}: expected a later time than {versions[-1].from_ms if versions else 0}")
        versions.append(version)
    return versions


def _distance_options() -> "DistanceOptions":
    from streams.cli.inputs import settings_for

    return settings_for({}).distance_options


def _write_metrics(path: Path | None, outcome: "Outcome", ruled: "Policy", of_topics: bool = False) -> None:
    if path is None:
        return
    from streams.cli.inputs import settings_for
    from streams.cli.outputs import writing
    from streams.metrics.replay_metrics import page

    settings = settings_for({})

    def topic_of(source: str) -> str:
        return source.rpartition("-")[0].removeprefix(settings.input_prefix) if of_topics else "files"

    with writing(path):
        path.write_bytes(page(outcome, ruled, settings.distance_options, topic_of, settings.display))


def _allowed_rejections(given: str | None) -> Callable[[int], float]:
    """How many of so many records ``--max-rejected`` allows to be rejected."""
    from streams.cli.inputs import fail

    if given is None:
        return lambda _: math.inf
    found = re.fullmatch(r"([0-9]{1,12})|([0-9]{1,3}(?:\.[0-9]{1,6})?)%", given)
    if not found or (found[2] and float(found[2]) > 100):
        fail(f"--max-rejected {given}: expected a number of records such as 100, or a share such as 0.5%")
    if found[1]:
        return lambda _: int(found[1])
    share = Fraction(found[2]) / 100
    return lambda read: float(read * share)


def _report(
    outcome: "Outcome",
    reporter: "Reporter",
    out: Path,
    as_json: bool,
    allowed: Callable[[int], float],
    display: "Display",
) -> None:
    """Print the summary. Ends with exit status 1 if more records were rejected than allowed."""
    from dataclasses import asdict

    from streams.cli.inputs import fail

    if as_json:
        print_json(asdict(outcome.summary))
    else:
        reporter.summary(outcome, out, display)
    summary = outcome.summary
    if summary.rejected > allowed(summary.read):
        fail(f"{summary.rejected:,} of {summary.read:,} records were rejected, more than --max-rejected allows", 1)
