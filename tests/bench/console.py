"""Times of the console's pages with many cases, and as ratios to the same pages with ten cases.

The CPU time is that of this process, without what else the machine does; with --server, that of the server's processes
stands beside it.

PYTHONPATH=tests:. python -m bench.console --cases 100000 --database postgresql://user@host/empty --server PID
"""

import argparse
import asyncio
import gc
import os
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import psycopg
from sqlalchemy import Connection, insert

from helpers.console_harness import NAMES, ConsoleHarness, console_at
from helpers.console_pages import pages_of
from monitor.policy.load import load
from monitor.text.durations import HOUR, MINUTE
from monitor.text.timestamps import rfc3339
from oracle.ledger import DAY, T0, pending
from schemas.measures import RuleMeasure, TenantHour
from schemas.outputs import Enforcement
from streams.console.cases.case_counts import count_case
from streams.console.identity.users import Role
from streams.console.tables import CASES, EVENTS, REVIEWS, TENANTS, VERDICTS

_FEW: Final = 10
_AT_ONCE: Final = 2_000
_TENANTS: Final = 10_000


class PageTime(NamedTuple):
    """The time of one page, in ms: the median and the 95th percentile of its CPU time and of its time.

    ``server_ms``: the mean CPU time of the database server.
    """

    page: str
    cpu_ms: float
    cpu_p95_ms: float
    server_ms: float
    median_ms: float
    p95_ms: float


def fill(connection: Connection, cases: int, now_ms: int) -> None:
    """That many pending cases of many tenants and rules, and a tenth as many that were upheld in the last days: the
    same for the same number.
    """
    rng = random.Random(1)
    names = [(f"t{number}", f"company {number}") for number in range(min(cases, _TENANTS))]
    shared = {"owner_id": "o", "businesses": "[]", "numbers": 1, "updated_ms": T0}
    connection.execute(
        insert(TENANTS), [{"tenant_id": one, "name": name, "name_folded": name, **shared} for one, name in names]
    )
    every = cases + cases // 10
    for start in range(0, every, _AT_ONCE):
        rows: list[dict[str, Any]] = []
        events: list[dict[str, Any]] = []
        verdicts: list[dict[str, Any]] = []
        for number in range(start, min(start + _AT_ONCE, every)):
            tenant, rule = f"t{rng.randrange(_TENANTS)}", f"rule-{rng.randrange(30)}"
            tier, due_ms = rng.choice(["minor", "major", "severe"]), T0 + DAY + rng.randrange(7 * DAY)
            event = pending(f"cwe-{number:032x}", tenant, rule_id=rule, tier=tier, review_by_ms=due_ms)
            events.append(_event(event, event.id, len(events) + start))
            case = {name: events[-1][name] for name in ("id", "tenant_id", "rule_id", "kind", "decided_ms")}
            case |= {"behaviour": event.data.behaviour, "tier": tier}
            state: dict[str, Any] = {"in_force_id": event.id, "status": "pending", "queue": "cases"}
            if number >= cases:
                verdicts.append(_verdict(number - cases, events[-1], now_ms))
                upheld = _upheld(event, f"cwe-{every + number:032x}")
                events.append(_event(upheld, event.id, every + number))
                state = {"in_force_id": upheld.id, "status": "final", "queue": None}
            rows.append({**case, **state, "review_by_ms": due_ms, "order_ms": due_ms})
        connection.execute(insert(CASES), rows)
        for (tenant_id, status), count in Counter((row["tenant_id"], row["status"]) for row in rows).items():
            count_case(connection, tenant_id, status, rows[0]["kind"], count)
        connection.execute(insert(EVENTS), events)
        if verdicts:
            connection.execute(insert(VERDICTS), verdicts)
            connection.execute(insert(REVIEWS), [_review(verdict) for verdict in verdicts])


def _upheld(event: Enforcement, new_id: str) -> Enforcement:
    """The final decision that a review made of a pending one."""
    said = {"status": "final", "actions": event.data.proposed_actions, "proposed_actions": (), "review_by_ms": None}
    data = msgspec.structs.replace(event.data, **said, decided_ms=event.data.decided_ms + HOUR, supersedes=event.id)
    return msgspec.structs.replace(event, id=new_id, time=rfc3339(data.decided_ms), data=data)


def _event(event: Enforcement, case_id: str, offset: int) -> dict[str, Any]:
    """A decision, as the console keeps it."""
    about = {"id": event.id, "case_id": case_id, "tenant_id": event.subject, "rule_id": event.data.rule_id}
    said = {"kind": event.data.kind, "decided_ms": event.data.decided_ms, "shadow": False}
    place = {"topic": "e", "partition": 0, "offset": offset, "timestamp_ms": T0, "key": None}
    return {**about, **said, **place, "value": msgspec.json.encode(event)}


def _verdict(number: int, event: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """A verdict of one of twenty reviewers, in effect; there is one every minute."""
    given_ms = now_ms - number % (6 * 24 * 60) * MINUTE
    who = f"reviewer-{number % 20}" if number % 20 else "li"
    about = {"case_id": event["case_id"], "enforcement_id": event["id"], "tenant_id": event["tenant_id"]}
    said = {"review_id": f"r{number}", "verdict": "uphold", "kind": "termination", "reason": "heard the recording"}
    times = {"given_ms": given_ms, "send_ms": given_ms + 30_000, "ended_ms": given_ms + 40_000}
    return {**about, **said, **times, "subject": f"local:{who}", "name": who, "state": "effective"}


def _review(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """The review of a verdict, as the topic has it."""
    copied = ("review_id", "enforcement_id", "tenant_id", "verdict", "kind", "reason")
    place = {"topic": "r", "partition": 0, "offset": 0, "timestamp_ms": verdict["send_ms"], "key": None, "value": b""}
    times = {"updated_ms": verdict["send_ms"]}
    return {**{name: verdict[name] for name in copied}, **place, **times, "reviewer": verdict["subject"]}


async def fill_measures(console: ConsoleHarness) -> None:
    """What all built-in rules measured of one tenant in each hour of 30 days."""
    rules = tuple(RuleMeasure(rule.id, 40, 1_000, 0.04, 0.05, rule.threshold, 30) for rule in load(None).rules)
    begin_ms = console.now_ms - 30 * DAY
    for hour in range(30 * 24):
        one = TenantHour("t5", begin_ms + hour * HOUR, rules[0].rule_id, 0.2, rules)
        console.held.put(NAMES.output("measures"), 0, msgspec.json.encode(one), key=b"t5")
    await console.follow()


async def measure(console: ConsoleHarness, times: int, server: int = 0) -> list[PageTime]:
    """The time of each page, asked for so many times. ``server``: the process of the database server."""
    found = []
    async with pages_of(console, *Role) as client:
        page = (await client.get("/queue")).text
        following = re.search(r'rel="next" href="([^"]+)"', page)
        paths = {
            "queue": "/queue",
            "queue, next page": following[1].replace("&amp;", "&") if following else "/queue",
            "queue, a tier": "/queue?tier=severe",
            "queue, a rule": "/queue?rule=rule-3",
            "queue, a tenant": "/queue?tenant=t5",
            "queue, mine": "/queue?view=mine",
            "queue, grouped": "/queue?grouped=1",
            "recent verdicts": "/queue?view=verdicts",
            "recent verdicts, mine": "/queue?view=verdicts&mine=1",
            "case": f"/cases/cwe-{1:032x}",
            "tenant": "/tenants/t5",
            "tenant, charts": "/tenants/t5/measures",
            "search, a rule": "/search?q=rule-3",
            "search, a company": "/search?q=company%205",
            "search, a day": "/search",
            "health": "/health",
            "quality": "/quality",
        }
        for name, path in paths.items():
            found.append(await _page(client, name, path, times, server))
    return found


async def _page(client: httpx.AsyncClient, name: str, path: str, times: int, server: int) -> PageTime:
    await client.get(path)  # the first one compiles templates and statements
    taken, used, server_ms = [], [], _children_ms(server)
    for _ in range(times):
        started_s, cpu_s = time.perf_counter(), time.process_time()
        answer = await client.get(path)
        taken.append(1000 * (time.perf_counter() - started_s))
        used.append(1000 * (time.process_time() - cpu_s))
        assert answer.status_code == 200, (path, answer.status_code)
    spent_ms = (_children_ms(server) - server_ms) / times
    return PageTime(name, statistics.median(used), _p95(used), spent_ms, statistics.median(taken), _p95(taken))


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * 95 // 100)]


def _children_ms(parent: int) -> float:
    """The CPU time of the processes that this one has started; 0 without one."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat") if parent else ():
        with suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[1]) == parent else 0
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


async def run(place: Path | str, cases: int, times: int, server: int = 0) -> list[tuple[PageTime, float]]:
    """Each page with ``cases`` cases, and how many times the CPU time of ten it took."""
    async with console_at(place) as console:
        await fill_measures(console)
        await console.database.run(lambda connection: fill(connection, _FEW, console.now_ms))
        few = {each.page: each for each in await measure(console, times)}
        await console.database.run(lambda connection: _empty(connection))
        await console.database.run(lambda connection: fill(connection, cases, console.now_ms))
        if isinstance(place, str):
            await asyncio.to_thread(_vacuum, place)
        return [(each, each.cpu_ms / few[each.page].cpu_ms) for each in await measure(console, times, server)]


def _vacuum(address: str) -> None:
    """What autovacuum does within minutes of such a change."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _empty(connection: Connection) -> None:
    for table in (CASES, EVENTS, REVIEWS, TENANTS, VERDICTS):
        connection.execute(table.delete())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for SQLite, and for another database if it is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=100, help="how often each page is asked for")
    parser.add_argument("--database", help="the address of an empty PostgreSQL database")
    parser.add_argument("--server", type=int, default=0, metavar="PID", help="its process, if it is on this machine")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        places: list[Path | str] = [Path(folder), *([options.database] if options.database else [])]
        for place in places:
            gc.collect()
            gc.freeze()  # as `ConsoleProcess.host`
            found = asyncio.run(run(place, options.cases, options.times, options.server))
            print(f"\n{'SQLite' if isinstance(place, Path) else 'PostgreSQL'}, {options.cases:,} cases")
            print("| page | CPU ms | CPU p95 ms | server's CPU ms | median ms | p95 ms | times that of ten cases |")
            print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
            for page, ratio in found:
                print(f"| {page.page} | {' | '.join(f'{one:.1f}' for one in page[1:])} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
