"""`callwarden demo`: simulate, judge with a live view, show the decisions and what they were worth, report."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from monitor.demo import Judgement, TenantRow, Verdict


def run(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where everything is written.")] = Path("demo-out"),
    tenants: Annotated[int, typer.Option(min=1, help="How many tenants; with 30 or more every kind occurs.")] = 80,
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days; some tenants turn bad on the third.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same tenants and decisions.")] = 1,
) -> None:
    """Simulate tenants, judge them while you watch, and make the report: no Kafka, nothing to prepare."""
    from rich.console import Console

    from monitor.cli.liveview import LiveView, decision_line
    from monitor.demo import conclude, judge, prepare
    from monitor.policy.load import load

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    policy = load(None)
    simulated = prepare(out, tenants, days, seed)
    total = sum(simulated.records.values())
    console.print(
        f"模拟 simulated: {simulated.honest} 个守规 honest + {simulated.bad} 个违规 bad 租户 tenants, "
        f"{days} 天 days, {total:,} 条记录 records"
    )
    with LiveView(console, total, plain_decisions=0) as view:
        outcome = judge(simulated, policy, lambda now: view.update(now.read, now.watermark_ms, now.decided))
    judgement = conclude(out, simulated, policy, outcome)
    console.rule("决定 Decisions", align="left")
    for event in outcome.enforcement:
        console.print(decision_line(event, 1_000), soft_wrap=not console.is_terminal)
    console.rule("租户 Tenants", align="left")
    console.print(_table(judgement.rows))
    _verdict(console, judgement)
    console.rule("文件 Files", align="left")
    for path in judgement.files:
        console.print(str(path), soft_wrap=True)
    console.print(f"\n在浏览器中打开 open in a browser: {judgement.files[-1].resolve().as_uri()}", soft_wrap=True)


def _table(rows: "list[TenantRow]") -> "Table":
    """The bad tenants and the touched honest ones, one a line; the honest ones left alone together by kind."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from monitor.cli.liveview import STYLES
    from monitor.report.labels import TIERS, label

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("租户\ntenant", "实为\ntruly", "外呼\nattempts", "级别\ntier", "违规\nviolations", "退款\nrefunds"):
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
    "touched": "被误及 touched",
    "taken back": "误后撤销 taken back",
    "left alone": "未打扰 left alone",
}


def _verdict(console: "Console", judgement: "Judgement") -> None:
    """How many bad tenants were found and honest ones touched, by the labels, which the judge never saw."""
    n = judgement.verdicts
    bad = n["found"] + n["shadow"] + n["missed"]
    honest = n["touched"] + n["taken back"] + n["left alone"]
    console.print()
    console.print(
        f"违规租户 bad tenants: 发现 found {n['found']}/{bad}, 仅影子规则 by a shadow rule only {n['shadow']}, "
        f"未发现 missed {n['missed']}" + (f", 尚未违规 not yet bad {n['not yet']}" if n["not yet"] else "")
    )
    console.print(
        f"守规租户 honest tenants: 误及 touched {n['touched']}/{honest}, "
        f"误及后撤销 touched and taken back {n['taken back']}"
    )
