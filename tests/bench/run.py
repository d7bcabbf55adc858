"""The bench: `make bench`, or `python -m bench.run` with `tests` on the path. It asserts no time, and
reports ratios.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import live_report
from bench.latency import NoAnswerError
from bench.live import Live
from bench.live_contenders import BASELINE, Sizes
from bench.measure import Bench, ChildError, DisagreementError
from bench.node import node
from bench.process import ProcessError
from bench.report import as_data, as_markdown, machine
from bench.scenarios import SCENARIOS
from bench.workload import CACHE, ROOT
from streams.dev import kafka_jars as kafkajars
from streams.dev.kafka_node import NodeFailed

# Needs a real broker and runs only on request: it takes half an hour on an otherwise idle machine.
LIVE = ("live-day", "live-dense", "peers", "live-steady", "live-rates", "live-recovery", "live-closing")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios and print the report; return 1 when replays of the same records make different decisions."""
    options = _parser().parse_args(arguments)
    chosen = [scenario for scenario in SCENARIOS if scenario.name in options.only]
    if options.quick:
        chosen = [scenario.small() for scenario in chosen]
    bench = Bench(options.cache, _say)
    at = machine()
    live: Live | None = None
    try:
        if set(options.only) & set(LIVE):
            live = _live(options)
        for scenario in chosen:
            bench.measure(scenario, options.rounds or (1 if options.quick else scenario.rounds))
            if scenario.reference == "decode":
                bench.profile(scenario)
            if scenario.state:
                bench.state(scenario)
            if scenario.early:
                bench.early(scenario)
    except (ChildError, DisagreementError, ProcessError, NoAnswerError, NodeFailed, kafkajars.MissingJars) as error:
        print(error, file=sys.stderr)
        return 1
    print(as_markdown(bench, at))
    found = as_data(bench, at)
    if live is not None:
        print(live_report.as_markdown(live))
        found["live"] = live.as_data()
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _live(options: argparse.Namespace) -> Live:
    """Run the chosen parts of the live bench, on the named broker or on one of its own."""
    sizes = Sizes.small() if options.quick else Sizes()
    sizes = replace(sizes, rounds=options.rounds or sizes.rounds, rate=options.rate or sizes.rate)
    with tempfile.TemporaryDirectory(prefix="callwarden-bench-") as scratch, ExitStack() as stack:
        address = options.broker
        if address is None:
            kafkajars.java()
            jars = kafkajars.fetch(ROOT / kafkajars.FOLDER)
            address = stack.enter_context(node(Path(scratch) / "kafka", jars)).address
        live = Live(address, sizes, Path(scratch), options.cache, _say, options.baseline)
        if "live-day" in options.only:
            live.speed("day", 1)
        if "live-dense" in options.only:
            live.speed("dense", sizes.squeeze)
        if "peers" in options.only:
            live.peers()
        if "live-steady" in options.only:
            live.steady()
        if "live-rates" in options.only:
            live.rates()
        if "live-recovery" in options.only:
            live.recovery()
        if "live-closing" in options.only:
            live.closing()
    return live


def _parser() -> argparse.ArgumentParser:
    without_broker = [scenario.name for scenario in SCENARIOS]
    names = [*without_broker, *LIVE]

    def some(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; expected some of {', '.join(names)}")
        return text.split(",")

    parser = argparse.ArgumentParser(prog="make bench", description="Measure speed and memory.")
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the records, one pair: tests the bench itself"
    )
    parser.add_argument(
        "--only",
        type=some,
        default=without_broker,
        metavar="NAMES",
        help=f"some of {','.join(names)}; default: all that need no broker",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=0,
        metavar="N",
        help="pairs of each scenario; runs of each live-... scenario and of peers",
    )
    parser.add_argument("--rate", type=int, default=0, metavar="N", help="calls per second of live-steady")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="DIR",
        help=f"a checkout of commit {BASELINE} after `make setup`, whose worker takes turns in live-day and live-dense",
    )
    parser.add_argument("--broker", metavar="HOST:PORT", help="the Kafka of the live-... scenarios; default: start one")
    parser.add_argument(
        "--json", type=Path, default=None, metavar="FILE", help="write all figures to this file, as JSON"
    )
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="the folder of the generated records")
    return parser


if __name__ == "__main__":
    sys.exit(main())
