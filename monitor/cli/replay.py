"""`callwarden replay`: judge files of records."""

from pathlib import Path
from typing import Annotated

import typer

# A live source is at most this far ahead of its clock (the worker's `max_ahead`); so is a file of the run's.
_MAX_AHEAD_MS = 300_000


def run(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Records: .jsonl, .gz, .zst, or - for standard input.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the decisions are written.")],
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="FILE", help="A policy file.  [default: the built-in one]")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME|MAPPING.yaml", help="What the files are, if not records.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A constant for the mapping; repeatable.")
    ] = None,
    windows: Annotated[bool, typer.Option("--windows", help="Also write every judged window.")] = False,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Judge and lapse up to this time (RFC 3339 or epoch ms)."),
    ] = None,
    not_after: Annotated[
        str | None,
        typer.Option("--not-after", metavar="TIME", help="Reject event times beyond this.  [default: now + 5 min]"),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Processes to use; the output is the same.")] = 1,
    shards: Annotated[int, typer.Option("--shards", min=1, max=64, hidden=True)] = 1,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="Secret that salts the keys of numbers.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")] = False,
) -> None:
    """Judge files of records and write every decision with its reason to DIR.

    Each file is a source of its own; they are read side by side, the one that is behind first. Records that are
    rejected do not fail the run: they are counted, kept in rejected.jsonl, and shown.
    """
    import time
    from contextlib import nullcontext
    from dataclasses import asdict

    import orjson

    from monitor.cli.inputs import adapter_for, fail, moment, policy_for
    from monitor.cli.progress import Reporter
    from monitor.output import WindowFile, write
    from monitor.replay import UntilTooEarlyError, replay

    ruled = policy_for(policy)
    adapter = adapter_for(format_, set_ or [])
    now_ms = time.time_ns() // 1_000_000
    not_after_ms = moment("--not-after", not_after) if not_after is not None else now_ms + _MAX_AHEAD_MS
    until_ms = moment("--until", until) if until is not None else None
    try:
        secret = key_file.read_bytes().strip() if key_file else b""
        with Reporter(shown=not quiet) as reporter, WindowFile(out) if windows else nullcontext() as window_file:
            outcome = replay(
                files,
                ruled,
                windows=windows,
                on_windows=window_file.write if window_file else None,
                not_after_ms=not_after_ms,
                until_ms=until_ms,
                adapter=adapter,
                shards=shards,
                jobs=jobs,
                secret=secret,
                progress=reporter.update,
            )
        write(outcome, ruled, out, windows=False)
        if not windows:
            # Those of an earlier run into the same folder would pass for this one's.
            (out / "windows.jsonl").unlink(missing_ok=True)
    except UntilTooEarlyError as error:
        fail(str(error))
    except FileNotFoundError as error:
        hint = "; expected a file of records, or - for standard input" if error.filename in files else ""
        fail(f"{error.filename}: no such file{hint}")
    summary = asdict(outcome.summary)
    if json_:
        typer.echo(orjson.dumps(summary).decode())
        return
    reporter.summary(outcome, out)
