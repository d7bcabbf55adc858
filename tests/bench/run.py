"""The bench: `make bench`, or `python -m bench.run` with `tests` on the path. Asserts no time; shows ratios."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Bench, ChildError, DisagreementError
from bench.report import as_data, as_markdown, machine
from bench.scenarios import SCENARIOS
from bench.workload import CACHE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios and print the report; 1 when replays of the same records do not decide the same."""
    told = _parser().parse_args(arguments)
    known = {scenario.name: scenario for scenario in SCENARIOS}
    chosen = [known[name] for name in told.only]
    if told.quick:
        chosen = [scenario.small() for scenario in chosen]
    bench = Bench(told.cache, lambda text: print(text, file=sys.stderr, flush=True))
    at = machine()
    try:
        for scenario in chosen:
            bench.measure(scenario, told.rounds or (1 if told.quick else scenario.rounds))
            if scenario.reference == "decode":
                bench.profile(scenario)
            if scenario.state:
                bench.state(scenario)
            if scenario.early:
                bench.early(scenario)
    except (ChildError, DisagreementError) as error:
        print(error, file=sys.stderr)
        return 1
    print(as_markdown(bench, at))
    if told.json is not None:
        told.json.write_text(json.dumps(as_data(bench, at), indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    names = [scenario.name for scenario in SCENARIOS]

    def some(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; expected some of {', '.join(names)}")
        return text.split(",")

    parser = argparse.ArgumentParser(prog="make bench", description="Speed and memory of replay, as ratios.")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the records, one pair: tries the bench")
    parser.add_argument("--only", type=some, default=names, metavar="NAMES", help=f"some of {','.join(names)}")
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help="pairs of each scenario")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="all that was measured, as JSON")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="where the workloads are kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
