"""The live bench runs on a real broker, and does not measure workers that decide incorrectly."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import live_report
from bench.broker_topics import Deployment
from bench.live import Cost, Live
from bench.live_contenders import PARTITIONS, PEER_RECORDS, Contender, Sizes, contenders
from bench.live_peers import installed_peers
from bench.live_sharing import NotSharedError, assert_shared
from bench.measure import DisagreementError
from bench.node import node
from bench.process import MeasuredProcess, ProcessError
from bench.workload import make
from monitor.decoding.input_topics import INPUTS
from streams.dev import kafka_jars as kafkajars

ROOT = Path(__file__).parents[2]
SIZES = Sizes(calls=20_000, tenants=200, rounds=1, peers=dict.fromkeys(PEER_RECORDS, 50), month_calls=1_000)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A broker, started as the bench does."""
    try:
        kafkajars.java()
        jars = kafkajars.fetch(ROOT / kafkajars.FOLDER)
    except kafkajars.MissingJars as missing:
        pytest.skip(f"no Kafka: {missing}")
    with node(tmp_path / "kafka", jars) as started:
        yield started.address


def live_of(address: str, folder: Path) -> Live:
    return Live(address, SIZES, folder, folder / "cache", lambda text: print(f"{time.monotonic():.0f} {text}"))


@pytest.mark.services
def test_all_contenders_read_the_day_and_are_in_the_report(address: str, tmp_path: Path) -> None:
    live = live_of(address, tmp_path)
    live.speed("day", 1)
    found = {who.name: cost for who, _, cost in live.costs["day"]}
    wanted = contenders()
    assert list(found) == [who.name for who in wanted]
    everything = found["ceiling"].records
    assert everything == make(live.day, live.cache).records + PARTITIONS * (len(INPUTS) + 1)
    for who in wanted:
        cost = found[who.name]
        assert cost.records == everything
        assert (cost.state_bytes > 0) == (who.name != "ceiling")
    report = live_report.as_markdown(live)
    assert all(f"| {who.name} |" in report for who in wanted)
    assert "| evaluate rules |" in report
    # Those that need no installation read the same records.
    peers, _ = installed_peers(SIZES.peers, everything, tmp_path)
    assert [peer.name for peer in peers] == ["Faust, tumbling windows", "Faust, hopping windows"]
    for peer in peers:
        start, cost = live._run_peer(peer, "day.")
        assert cost.records >= max(peer.records, start.records)
        assert cost.cpu_s >= start.cpu_s > 0
        assert cost.state_bytes > 0


def test_a_cost_too_small_to_be_measured_is_a_dash(tmp_path: Path) -> None:
    """Start-up is measured separately: with few records the difference may be zero or negative."""
    live = live_of("nowhere:1", tmp_path)
    start = Cost(0, cpu_s=1.0, wall_s=2.0, peak_bytes=10**6)
    costs = {
        "ceiling": (1.5, 4.0),
        "worker": (3.0, 6.0),
        "two workers": (1.0, 2.0),
        "slow": (9.0, 9.0),
        "fast": (0.9, 1.9),
    }
    peers = [Contender(name, "a peer", (), ("ready", 1), is_peer=True) for name in ("slow", "fast")]
    live.costs["day"] = [
        (who, start, Cost(100_000, *costs.get(who.name, (2.0, 3.0)), peak_bytes=10**6))
        for who in (*contenders(), *peers)
    ]
    live.found["skipped_peers"] = ["Bytewax: it is not there"]
    report = live_report.as_markdown(live)
    assert "| worker | 100,000 | 20.00 | 20.00 | 20.00 | 0.250 | 1.00 | 25,000 |" in report
    assert "| two workers | 100,000 | 0.00 | 0.00 | 0.00 | – | 1.00 | – |" in report
    assert "| fast | 100,000 | -1.00 | -1.00 | -1.00 | – | 1.00 | – |" in report
    assert "Two workers use – times the CPU time of one (run by run: –)." in report
    assert "slow, one rule: 4.0 times the CPU time of the worker." in report
    assert "fast, one rule: – times the CPU time of the worker." in report
    assert "Skipped: Bytewax: it is not there." in report


def test_the_report_has_a_row_for_each_rate(tmp_path: Path) -> None:
    live = live_of("nowhere:1", tmp_path)
    spread = {"count": 100, "p50": 0.1, "p99": 0.2, "max": 0.3}
    result = {"calls": 4_000, "took_s": 20.0, "cpu_s": 1.0, "wall_s": 20.0, "enforcement": {"all": {"count": 1}}}
    live.found["rates"] = {"tenants": 200, "results": [{**result, "alerts": {"all": spread}}]}
    assert "| 200 | 5.0% | 100 | 200 | 300 | – | – | – |" in live_report.as_markdown(live)


def test_workers_that_did_not_begin_together_are_run_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Under another output prefix each time, with a limited number of attempts."""
    live = live_of("nowhere:1", tmp_path)
    deployments: list[str] = []
    shared = Cost(1, cpu_s=1.0, wall_s=1.0, peak_bytes=1)

    def run(_: Live, __: object, deployment: Deployment, together_at: int) -> Cost:
        deployments.append(deployment.outputs)
        assert_shared([Opener(PARTITIONS), Opener(0)] if len(deployments) < together_at else [Opener(PARTITIONS)])
        return shared

    async def delete(deployment: Deployment) -> None:
        assert deployment.outputs == deployments[-1]

    monkeypatch.setattr(Live, "_run_once", run)
    monkeypatch.setattr("bench.broker_topics.delete_outputs", delete)
    assert live._run(contenders()[-1], "day.", 3) == shared
    assert len(deployments) == len(set(deployments)) == 3
    with pytest.raises(NotSharedError):
        live._run(contenders()[-1], "day.", 100)
    assert len(deployments) == 3 + 5


def test_workers_that_decide_differently_are_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    live = live_of("nowhere:1", tmp_path)
    _, worker, *_, two = contenders()
    deployment = live._deployment("day.")
    decided = iter([{"a": 1, "b": 1}, {"b": 1, "a": 1}, {"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1, "c": 1}])

    async def answer(_: object) -> Counter[str]:
        return Counter(next(decided))

    monkeypatch.setattr("bench.broker_topics.decided", answer)
    live._compare(worker, deployment)
    live._compare(two, deployment)
    for what in ("1 of them are missing", "1 of them again", "1 are new"):
        with pytest.raises(DisagreementError, match=what):
            live._compare(two, deployment)


@pytest.mark.parametrize(("first", "what"), [({}, "0 ids"), ({"a": 1, "b": 2}, "2 ids, 1 of them again")])
def test_a_first_worker_that_decides_nothing_or_twice_is_not_measured(
    first: dict[str, int], what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def answer(_: object) -> Counter[str]:
        return Counter(first)

    monkeypatch.setattr("bench.broker_topics.decided", answer)
    live = live_of("nowhere:1", tmp_path)
    with pytest.raises(DisagreementError, match=what):
        live._compare(contenders()[1], live._deployment("day."))


class Opener:
    """A worker that opened these partitions."""

    def __init__(self, opened: int) -> None:
        self._opened = opened

    def events(self, event: str) -> list[dict[str, object]]:
        return [{"event": event}] * self._opened


@pytest.mark.parametrize("opened", [(PARTITIONS,), (PARTITIONS - 1, 1)])
def test_workers_that_opened_each_partition_once_share_the_work(opened: tuple[int, ...]) -> None:
    assert_shared([Opener(count) for count in opened])


@pytest.mark.parametrize("opened", [(PARTITIONS, 0), (PARTITIONS, PARTITIONS // 2)])
def test_workers_that_did_not_begin_together_are_not_measured(opened: tuple[int, ...]) -> None:
    with pytest.raises(NotSharedError, match=rf"opened \[{PARTITIONS}, . ?\] partitions"):
        assert_shared([Opener(count) for count in opened])


def test_a_process_that_ends_too_soon_is_reported_with_its_last_words(tmp_path: Path) -> None:
    message = r's for "ready", 1 times; it has ended.*\n[^$]*Namespaces are'
    with MeasuredProcess(("this",), tmp_path / "log", {}) as process, pytest.raises(ProcessError, match=message):
        process.await_event("ready")


def test_waiting_for_a_silent_process_ends(tmp_path: Path) -> None:
    silent = ("http.server", "0", "--bind", "127.0.0.1")
    with MeasuredProcess(silent, tmp_path / "log", {}) as process, pytest.raises(ProcessError, match="it still runs"):
        process.await_event("ready", within_s=0.0)
