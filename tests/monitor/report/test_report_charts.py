"""The charts of the page: which windows are drawn, with which line and bound."""

from math import isclose, sqrt
from pathlib import Path
from statistics import NormalDist

import msgspec
import report_samples as samples

from monitor.report.charts import POINTS, collect
from schemas.outputs import JudgedWindow


def _windows(path: Path, lines: list[tuple[str, str, int, int, int]]) -> Path:
    records = [JudgedWindow(t, r, "x", samples.DAY, end, n, d, n / d) for t, r, end, n, d in lines]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in records))
    return path


def test_the_involved_come_first_then_those_nearest_to_a_threshold(tmp_path: Path) -> None:
    shares = {"far": 10, "near": 140, "nearer": 149, "involved": 1, "tiny": 900}
    lines = [(t, "short-calls-day", samples.START, n, 1000) for t, n in shares.items() if t != "tiny"]
    lines.append(("tiny", "short-calls-day", samples.START, 9, 10))
    path = _windows(tmp_path / "w", lines)
    assert list(collect(path, samples.policy(), ["involved", "silent"], 3).tenants) == ["involved", "nearer", "near"]


def test_thinning_keeps_the_window_nearest_to_breach(tmp_path: Path) -> None:
    lines = [
        ("t", "short-calls-day", samples.START + n * 60_000, 10 + (150 if n == 3_333 else 0), 1000)
        for n in range(5_000)
    ]
    lines += [
        ("t", "consent", samples.START + n * 60_000, 990 - (500 if n == 1_234 else 0), 1000) for n in range(5_000)
    ]
    short, consent = collect(_windows(tmp_path / "w", lines), samples.policy(), [], 1).tenants["t"]
    assert len(short.ends_ms) == POINTS
    assert short.ends_ms == sorted(short.ends_ms)
    assert max(short.numerators) == 160
    assert min(consent.numerators) == 490
    assert all(b is not None and b < n / 1000 for b, n in zip(short.bounds, short.numerators, strict=True))
    assert all(b is not None and b > n / 1000 for b, n in zip(consent.bounds, consent.numerators, strict=True))


def test_the_drawn_bound_is_where_the_score_test_turns(tmp_path: Path) -> None:
    lines = [
        (t, r, samples.START + n * 60_000, n, 100)
        for n in range(101)
        for t, r in (("t", "short-calls-day"), ("t", "consent"))
    ]
    short, consent = collect(_windows(tmp_path / "w", lines), samples.policy(), [], 1).tenants["t"]
    z = NormalDist().inv_cdf(0.95)
    for series, sign in ((short, -1), (consent, 1)):
        for n, bound in zip(series.numerators, series.bounds, strict=True):
            assert bound is not None
            assert isclose(bound, n / 100 + sign * z * sqrt(max(bound * (1 - bound), 0.0) / 100), abs_tol=1e-9)


def test_an_override_moves_the_line_only_until_it_expires(tmp_path: Path) -> None:
    override = {"tenant": "t", "rule": "short-calls-day", "above": 0.4, "owner": "ops", "reason": "agreed",
                "expires": "2026-01-01T02:00:00Z"}  # fmt: skip
    lines = [(t, "short-calls-day", samples.START + n * samples.HOUR, 1, 9) for n in range(4) for t in "tu"]
    tenants = collect(_windows(tmp_path / "w", lines), samples.policy(overrides=[override]), [], 2).tenants
    assert tenants["t"][0].thresholds == [0.4, 0.4, 0.15, 0.15]
    assert tenants["u"][0].thresholds == [0.15] * 4
