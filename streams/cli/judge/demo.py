"""`callwarden demo`: simulate, judge with a live view, show the decisions and what they were worth, report, review."""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import named

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from monitor.policy.model import Policy
    from monitor.replay.outcome import Outcome
    from monitor.simulate.demo import Judgement, TenantRow, Verdict
    from streams.settings.load import Settings

# How long a verdict can be cancelled: shorter than usual, as nobody wants to wait in a demonstration.
_UNDO_FOR = "10s"
# Lines of the metrics page, and how many at most: the tenants nearest to a threshold, or beyond it; to an escalation.
_SHOWN = (("callwarden_tenant_threshold_ratio{", 8), ("callwarden_tenant_violations_missing{", 4))


def run(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for all output.", parser=named)
    ] = Path("demo-out"),
    tenants: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many tenants; with 30 or more every kind occurs.")
    ] = 80,
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days; some tenants turn bad on the third.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same tenants and decisions.")] = 1,
    with_console: Annotated[
        bool | None,
        typer.Option("--console/--no-console", help="Serve the console until Ctrl-C.  [default: at a terminal]"),
    ] = None,
) -> None:
    """Simulate tenants, judge them with a live view, and make the report. It needs no Kafka and no preparation.

    Then show the ledger, billing and the metrics page of these decisions. At a terminal, it ends by serving the console
    on them at 127.0.0.1:6071, or the next free port: open the link that it prints. Reviews are appended to
    input/reviews.jsonl, and all records are judged again with them.
    """
    from rich.console import Console

    from monitor.policy.load import load
    from monitor.simulate.demo import conclude, judge_simulation, prepare
    from streams.cli.inputs import settings_for
    from streams.cli.judge.live_view import LiveView, decision_line

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    policy, settings = load(None), settings_for({})
    options, display = settings.distance_options, settings.display
    simulated = prepare(out, tenants, days, seed)
    total = sum(simulated.records.values())
    console.print(
        f"模拟 simulated: {simulated.honest} 个守规 honest + {simulated.bad} 个违规 bad 租户 tenants, "
        f"{days} 天 days, {total:,} 条记录 records"
    )
    started_s = time.monotonic()
    with LiveView(console, total, plain_decisions=0, display=display) as view:
        watch = lambda now: view.update(now.read, now.watermark_ms, now.decided)  # noqa: E731
        outcome = judge_simulation(simulated, policy, watch, options)
    took_ms = round(1000 * (time.monotonic() - started_s))
    judgement = conclude(out, simulated, policy, outcome, display)
    console.rule("决定 Decisions", align="left")
    for event in outcome.enforcement:
        console.print(decision_line(event, 1_000, display), soft_wrap=not console.is_terminal)
    console.rule("租户 Tenants", align="left")
    console.print(_table(judgement.rows))
    _verdict(console, judgement)
    kept = [
        _ledger(console, outcome, out / "ledger.db"),
        _refunds(console, outcome, judgement, out / "billing.db"),
        _metrics(console, outcome, policy, settings, out / "metrics.prom"),
    ]
    console.rule("文件 Files", align="left")
    for path in [*judgement.files[:-1], *kept, judgement.files[-1]]:
        console.print(str(path), soft_wrap=True)
    console.print(f"\n在浏览器中打开 open in a browser: {judgement.files[-1].resolve().as_uri()}", soft_wrap=True)
    if with_console if with_console is not None else sys.stdin.isatty() and console.is_terminal:
        _serve(console, out, simulated.files, outcome, took_ms)


def _serve(console: "Console", out: Path, files: list[Path], outcome: "Outcome", took_ms: int) -> None:
    """Serve the console on these files until Ctrl-C."""
    import asyncio
    import os

    from streams.cli.cluster_session import answers
    from streams.cli.inputs import settings_for
    from streams.cli.service_options import logged
    from streams.console.identity.users import User
    from streams.console.replayed.judgement import judgement_of
    from streams.console.replayed.main import Replayed, free_port, run_replayed
    from streams.console.replayed.rejudging import ReplayFiles
    from streams.settings.load import variable

    file = out / "console.db"
    for stored in (file, *(file.with_name(f"{file.name}-{more}") for more in ("wal", "shm"))):
        stored.unlink(missing_ok=True)
    options: dict[str, object] = {"console_database": f"sqlite:///{file}", "log_level": "warning"}
    if variable("console_undo_for_ms") not in os.environ:
        options["console_undo_for_ms"] = _UNDO_FOR
    settings = settings_for(options)
    replayed = Replayed(
        ReplayFiles(files, out / "input" / "reviews.jsonl", out / "actions.jsonl", out / "after-reviews"),
        judgement_of(outcome, files),
        took_ms,
    )
    outcome.windows = []  # most of the memory
    shown: set[str] = set()

    def show(user: User, link: str) -> None:
        again = " (下一个链接 another link)" if user.subject in shown else ""
        shown.add(user.subject)
        console.print(f"  {user.name}: {link}{again}", markup=False, soft_wrap=True)

    with logged(settings, json_logs=False), answers("demo"):
        port = free_port(settings.console_port)
        console.rule("控制台 Console", align="left")
        console.print(
            "打开链接即登录；两个误封在等待复核。封号需要第二人 demo-2 批准（用另一个浏览器）。Ctrl-C 结束。\n"
            "Open the link to sign in; two wrong bans wait for your review. A ban needs a second person, demo-2, who\n"
            "approves it in another browser. Ctrl-C ends.",
            soft_wrap=True,
        )
        asyncio.run(run_replayed(settings, replayed, port, show))


def _ledger(console: "Console", outcome: "Outcome", file: Path) -> Path:
    """Keep the decisions in a ledger, as `callwarden ledger run` does, and verify it."""
    import asyncio

    from streams.consumers.offline import ledger_of

    found = asyncio.run(ledger_of(outcome.enforcement, file))
    console.rule("台账 Ledger", align="left")
    for fault in found.faults:
        console.print(fault, style="red", markup=False, soft_wrap=True)
    for head in found.heads.values():
        verdict = "校验通过 verified" if not found.faults else "校验失败 not verified"
        console.print(f"{verdict}: {head.number} 条 entries, 链头 head {head.hash.hex()}", soft_wrap=True)
    return file


def _refunds(console: "Console", outcome: "Outcome", judgement: "Judgement", file: Path) -> Path:
    """Ask billing about a banned tenant, or about any tenant if none is banned."""
    import asyncio

    import orjson

    from streams.consumers.offline import refunds_of

    rows = sorted(judgement.rows, key=lambda row: (row.tier != "severe", not row.frozen, row.tenant))
    tenant = rows[0].tenant
    answer = asyncio.run(refunds_of(outcome.enforcement, file, tenant))
    console.rule("退款与退订 Refunds and cancellations", align="left")
    console.print(f"GET /v1/refunds/{tenant}", markup=False)
    console.print(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode(), markup=False, soft_wrap=True)
    return file


def _metrics(console: "Console", outcome: "Outcome", policy: "Policy", settings: "Settings", file: Path) -> Path:
    """Write the metrics that a worker would export; show the tenants nearest to a threshold and to an escalation."""
    from streams.metrics.replay_metrics import page

    file.write_bytes(page(outcome, policy, settings.distance_options, display=settings.display))
    lines = file.read_text("utf-8").splitlines()
    console.rule("指标 Metrics", align="left")
    for name, most in _SHOWN:
        for line in [line for line in lines if line.startswith(name)][:most]:
            console.print(line, markup=False, soft_wrap=True)
    series = sum(not line.startswith("#") for line in lines)
    console.print(f"… {series} 个时间序列 series: {file.name}", soft_wrap=True)
    return file


def _table(rows: "list[TenantRow]") -> "Table":
    """The bad tenants and the touched honest ones, one a line; the honest ones left alone together by kind."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from monitor.report.labels import TIERS, label
    from streams.cli.styles import STYLES

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("租户\ntenant", "实为\ntruly", "外呼\nattempts", "等级\ntier", "违规\nviolations", "退款\nrefunds"):
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    table.add_column("决定\ndecisions", justify="right", min_width=9)
    table.add_column("结论\nverdict", no_wrap=True)
    for row in rows:
        if row.verdict == "left alone":
            continue
        tier = Text()
        if row.tier:
            called = label(TIERS, row.tier)
            tier = Text(f"{called.zh} {called.en}", style=STYLES[row.tier])
        table.add_row(
            row.tenant,
            Text(row.kind, style="green" if row.honest else "red"),
            f"{row.attempts:,}",
            tier,
            str(row.violations or ""),
            "冻结 frozen" if row.frozen else "",
            str(row.decisions or ""),
            _WORDS[row.verdict],
        )
    alone = [row for row in rows if row.verdict == "left alone"]
    kinds = Counter(row.kind for row in alone)
    table.add_section()
    for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
        calls = sum(row.attempts for row in alone if row.kind == kind)
        table.add_row(f"{count} ×", Text(kind, style="green"), f"{calls:,}", "", "", "", "", _WORDS["left alone"])
    return table


_NUMBERS = ("外呼\nattempts", "违规\nviolations")
_WORDS: "dict[Verdict, str]" = {
    "found": "已发现 found",
    "shadow": "影子规则 shadow only",
    "missed": "未发现 missed",
    "not yet": "尚未违规 not yet bad",
    "touched": "被误判 wronged",
    "taken back": "误判后撤销 reversed",
    "left alone": "无决定 no decision",
}


def _verdict(console: "Console", judgement: "Judgement") -> None:
    """How many bad tenants were found and honest ones touched, by the labels, which the rules never saw."""
    n = judgement.verdicts
    bad = n["found"] + n["shadow"] + n["missed"]
    honest = n["touched"] + n["taken back"] + n["left alone"]
    console.print()
    console.print(
        f"违规租户 bad tenants: 发现 found {n['found']}/{bad}, 仅影子规则 by a shadow rule only {n['shadow']}, "
        f"未发现 missed {n['missed']}" + (f", 尚未违规 not yet bad {n['not yet']}" if n["not yet"] else "")
    )
    console.print(
        f"守规租户 honest tenants: 误判 wronged {n['touched']}/{honest}, "
        f"误判后撤销 wronged, then reversed {n['taken back']}"
    )
