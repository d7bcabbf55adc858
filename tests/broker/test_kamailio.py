"""Real calls through a real Kamailio lead to the same decisions as hand-written records of the same calls."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from followers import Followers
from ingest_instances import ready
from postgres import Postgres
from shared_broker import Broker

from helpers.kamailio import TICK_S, Call, Callee, Caller, Kamailio, Seen, absent, seen

pytestmark = pytest.mark.services

ROWS: Final = "kamailio-acc"
DIALOGS: Final = "kamailio-cdrs"
# Differs from the zone of this machine, so a mix-up of local time and UTC is found.
ZONE: Final = "Asia/Shanghai"
OUTCOMES: Final = {
    "404 Not Found": "invalid_number",
    "480 Temporarily Unavailable": "unreachable",
    "486 Busy Here": "busy",
    "503 Service Unavailable": "failed",
    "603 Decline": "rejected",
    "603 Network Blocked": "carrier_blocked",
    "ring": "cancelled",
}
# Windows end at whole minutes, so one may end amid the calls: whichever of them have ended by then, at least ten, lead
# to these decisions and no other. (Six honest calls are short, and are the first of them to end.)
POLICY: Final = """\
id: house
version: "1"
rules:
- {id: blocked, behaviour: blind_calling, metric: carrier_blocked_ratio, above: 0.5, window: 1h, step: 1m,
   min_denominator: 10}
- {id: short, behaviour: blind_calling, metric: short_call_ratio, above: 0.6, window: 1h, step: 1m, min_denominator: 10}
- {id: refused, behaviour: no_consent, metric: reject_ratio, above: 0.5, window: 1h, step: 1m, min_denominator: 10}
"""
DECISIONS: Final = {("blocked.example", "blocked"), ("short.example", "short"), ("refused.example", "refused")}


def plan(fork: int) -> list[Call]:
    """250 calls of four tenants; ``fork`` is the port of a second callee, which answers."""
    mix = {
        "blocked.example": [("603 Network Blocked", "hangup", 0)] * 4 + [("404 Not Found", "hangup", 100)],
        "refused.example": [("603 Decline", "hangup", 200)] * 3 + [("486 Busy Here", "hangup", 0)],
        "short.example": [
            *(("answer", "hangup", 400), ("answer", "hangup", 1_500), ("bye", "wait", 900), ("answer", "slow", 100)),
            *(("404 Not Found", "hangup", 0), ("ring", "cancel", 300)),
        ],
        "honest.example": [
            *(("answer", "hangup", 6_500), ("bye", "wait", 7_500), ("hold", "hold", 6_200), ("bye", "wait", 3_000)),
            *(("480 Temporarily Unavailable", "hangup", 1_500), ("ring", "cancel", 2_500), ("vanish", "hangup", 6_200)),
            *(("486 Busy Here", "hangup", 1_000), ("503 Service Unavailable", "hangup", 0)),
        ],
    }
    calls: list[Call] = []
    for (tenant, kinds), number in zip(mix.items(), (60, 60, 66, 54), strict=True):
        for n, (answer, does, talk_ms) in enumerate(islice(cycle(kinds), number)):
            callee = f"1380013{len(calls):04}"
            header = "X-Callee: vanished" if answer == "vanish" else "X-Callee: there"
            calls.append(Call(f"{tenant[:2]}{n}", tenant, "+8675586013388", callee, answer, does, talk_ms, header))
    second = f"X-Fork: {fork}"
    for n in range(10):
        calls.append(
            Call(f"fork{n}", "honest.example", "anonymous", f"1380014{n:04}", "486 Busy Here", "hangup", 6_500, second)
        )
    return calls


@dataclass(frozen=True)
class Made:
    """The calls that were made, the observations of their ends, and Kamailio's tables as files."""

    calls: list[Call]
    call_ids: dict[str, str]
    seen: dict[str, Seen]
    records: Path
    folder: Path

    def table(self, name: str) -> Path:
        """The exported table."""
        return self.folder / name


@pytest.fixture(scope="module")
def tools() -> None:
    """Kamailio, its module for PostgreSQL, and SIPp."""
    missing = absent()
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="module")
def made(tools: None, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("kamailio")
    with Callee(folder, "second") as second:
        return make_calls(plan(second.port), folder, postgres.database("kamailio"), ROWS)


@pytest.fixture(scope="module")
def dialogs(tools: None, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Fewer calls, since a dialog writes each of its variables to the database."""
    folder = tmp_path_factory.mktemp("dialogs")
    with Callee(folder, "second") as second:
        return make_calls(plan(second.port)[::4], folder, postgres.database("dialogs"), ROWS, DIALOGS)


def make_calls(calls: list[Call], folder: Path, database: str, *sections: str) -> Made:
    """Make the calls, export the tables, and write the records of the calls by hand."""
    with Callee(folder) as callee, Kamailio(folder, database, *sections, zone=ZONE) as proxy:
        with Caller(folder, "caller", proxy.port, [(call, callee.port) for call in calls]) as caller:
            caller.finish()
        proxy.wait_for_rows("acc", sum(rows_of(call) for call in calls))
        proxy.export("acc", folder / "acc.csv")
        proxy.export("acc", folder / "acc.json", "json")
        if DIALOGS in sections:
            proxy.wait_for_rows("acc_cdrs", len(calls))
            proxy.export("acc_cdrs", folder / "acc_cdrs.csv")
    times = times_of(database)
    by_hand = sorted((hand_written(c, caller.call_ids[c.name], times) for c in calls), key=lambda each: each["end_ms"])
    records = folder / "records.jsonl"
    records.write_text("".join(json.dumps(record) + "\n" for record in by_hand))
    (folder / "policy.yaml").write_text(POLICY)
    logs = (folder / f"{name}.log" for name in ("caller", "callee", "second"))
    return Made(calls, caller.call_ids, seen(*(log for log in logs if log.exists())), records, folder)


def rows_of(call: Call) -> int:
    """The number of rows that a call adds to the table acc."""
    return {"hold": 3, "cancel": 1}.get(call.does, 2 if is_answered(call) else 1)


def is_answered(call: Call) -> bool:
    return call.answer in ("answer", "hold", "bye", "vanish") or call.header.startswith("X-Fork")


def times_of(database: str) -> dict[str, tuple[int, int, int | None]]:
    """The times at which each call began, got its final response and was hung up, epoch ms, read without a mapping."""
    query = """
        SELECT invite.callid, invite.attempt_time, invite.exact_time::text, bye.exact_time::text
        FROM acc AS invite LEFT JOIN acc AS bye ON bye.callid = invite.callid AND bye.method = 'BYE'
        WHERE invite.method = 'INVITE' AND invite.tenant <> ''"""
    with psycopg.connect(database) as connection:
        rows = connection.execute(query).fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {call: (ms(begin), ms(final), None if end is None else ms(end)) for call, begin, final, end in rows}


def ms(seconds: str) -> int:
    return int(Decimal(seconds) * 1000)


def hand_written(call: Call, call_id: str, times: dict[str, tuple[int, int, int | None]]) -> dict[str, Any]:
    """The record of a call as written by hand, from the plan of the call."""
    start_ms, final_ms, hangup_ms = times[call_id]
    record = {
        "type": "cdr",
        "call_id": call_id,
        "tenant_id": call.tenant,
        "direction": "outbound",
        "caller": call.caller,
        "callee": f"+86{call.callee}",
        "start_ms": start_ms,
        "source": "kamailio",
    }
    if is_answered(call):
        by = "callee" if call.does == "wait" else "caller"
        return record | {
            "answer_ms": final_ms,
            "end_ms": hangup_ms,
            "outcome": "answered",
            "hangup_by": by,
            "sip_code": 200,
        }
    cancelled = {"hangup_by": "caller", "sip_code": 487}
    # A proxy does not forward a 503: it answers 500.
    code = cancelled if call.answer == "ring" else {"sip_code": int(call.answer[:3].replace("503", "500"))}
    return record | {"end_ms": final_ms, "outcome": OUTCOMES[call.answer]} | code


def callwarden(*words: object) -> str:
    """Run a command; return its standard output. Raises if it fails."""
    command = [str(Path(sys.executable).with_name("callwarden")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def converted(*words: object) -> dict[str, dict[str, Any]]:
    """The records of a file by call id, without empty fields."""
    lines = callwarden("map", "convert", *words).splitlines()
    records = [{key: value for key, value in json.loads(line).items() if value is not None} for line in lines]
    assert len({record["call_id"] for record in records}) == len(records)
    return {record["call_id"]: record for record in records}


def decisions(made: Made, name: str, *words: object) -> bytes:
    """The enforcement events of a run."""
    out = made.folder / name
    callwarden("replay", *words, "--policy", made.folder / "policy.yaml", "--out", out, "--quiet")
    return (out / "enforcement.jsonl").read_bytes()


def decided(events: bytes) -> set[tuple[str, str]]:
    data = (json.loads(event)["data"] for event in events.splitlines())
    return {(each["tenant_id"], each["rule_id"]) for each in data}


def between(least: float | None, time_ms: int, most: float | None) -> bool:
    """Whether a time lies between the times that both ends of the call observed."""
    assert least is not None
    assert most is not None
    return least - TICK_S <= time_ms / 1000 <= most + TICK_S


def test_each_call_has_its_hand_written_record(made: Made) -> None:
    expected = {record["call_id"]: record for record in map(json.loads, made.records.read_text().splitlines())}
    assert len(expected) == len(made.calls) == 250
    assert converted(made.table("acc.csv"), "--format", "kamailio-acc") == expected
    assert converted(made.table("acc.json"), "--format", "kamailio-acc", "--set", "form=json") == expected


def test_the_times_of_a_record_are_those_that_caller_and_callee_observed(made: Made) -> None:
    records = converted(made.table("acc.csv"), "--format", "kamailio-acc")
    for call in made.calls:
        record, saw = records[made.call_ids[call.name]], made.seen[call.name]
        assert between(saw.begin, record["start_ms"], saw.final or saw.end), call
        if is_answered(call):
            assert between(saw.begin, record["answer_ms"], saw.final), call
            assert between(saw.hangup, record["end_ms"], saw.gone if call.does == "wait" else saw.end), call
        else:
            assert between(saw.begin, record["end_ms"], saw.end), call


def test_a_dialog_has_the_record_of_its_rows(dialogs: Made) -> None:
    of_rows = converted(dialogs.table("acc.csv"), "--format", "kamailio-acc")
    of_dialogs = converted(dialogs.table("acc_cdrs.csv"), "--format", "kamailio-cdrs", "--set", f"zone={ZONE}")
    assert of_rows.keys() == of_dialogs.keys()
    for call in dialogs.calls:
        row, dialog = (records[dialogs.call_ids[call.name]] for records in (of_rows, of_dialogs))
        saw = dialogs.seen[call.name]
        # A dialog records whether the callee rang; the table acc_cdrs does not record who cancelled.
        other: dict[str, Any] = {"outcome": "no_answer"} if call.answer.startswith("480") else {}
        if call.answer.startswith("503"):
            other = {"sip_code": 503}  # the callee's answer, before the proxy made it a 500
        if call.answer == "ring":
            del row["hangup_by"]
        times = dict.fromkeys(("start_ms", "ring_ms", "answer_ms", "end_ms"))
        assert dialog | times == row | other | times
        assert between(int(saw.begin), dialog["start_ms"], saw.final or saw.end), call
        assert between(saw.begin, dialog["ring_ms"], saw.final or saw.end), call
        if is_answered(call):
            assert between(saw.begin, dialog["answer_ms"], saw.final), call
            assert between(saw.final if call.does == "wait" else saw.hangup, dialog["end_ms"], saw.end), call
        else:
            assert between(saw.begin, dialog["end_ms"], saw.end), call


# The ways in which the rows arrive; each must lead to the same decisions.
WAYS: Final = {
    "csv": ("acc.csv", "--format", "kamailio-acc"),
    "json": ("acc.json", "--format", "kamailio-acc", "--set", "form=json"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_decisions_are_those_of_the_hand_written_records(made: Made, way: str) -> None:
    table, *words = WAYS[way]
    by_hand = decisions(made, f"by-hand-{way}", made.records)
    assert decided(by_hand) == DECISIONS
    assert decisions(made, way, made.table(table), *words) == by_hand


def test_no_minute_amid_the_calls_leads_to_other_decisions(made: Made) -> None:
    """Whichever calls have ended by the end of a window."""
    calls = [json.loads(line) for line in made.records.read_text().splitlines()]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for call in calls:  # by their ends
        seen = counts[call["tenant_id"]]
        seen["all"] += 1
        seen[call["outcome"]] += 1
        seen["short"] += call["outcome"] == "answered" and call["end_ms"] - call["answer_ms"] <= 6_000
        beyond = {
            "blocked": seen["all"] >= 10 and seen["carrier_blocked"] > 0.5 * seen["all"],
            "short": seen["answered"] >= 10 and seen["short"] > 0.6 * seen["answered"],
            "refused": seen["all"] >= 10 and seen["rejected"] > 0.5 * seen["all"],
        }
        assert {(call["tenant_id"], rule) for rule in beyond if beyond[rule]} <= DECISIONS


def test_dialogs_lead_to_the_decisions_of_their_rows(dialogs: Made) -> None:
    assert decided(decisions(dialogs, "by-hand", dialogs.records)) == DECISIONS
    words = ("--format", "kamailio-cdrs", "--set", f"zone={ZONE}")
    assert decided(decisions(dialogs, "of-dialogs", dialogs.table("acc_cdrs.csv"), *words)) == DECISIONS


async def followed(made: Made, address: str, database: str, *words: object) -> dict[str, dict[str, Any]]:
    """The records of a table that `callwarden follow` writes to Kafka, by the call's id, without empty fields.

    `callwarden assemble` makes them of rows that are events.
    """
    with closing(Followers(made.folder, address, "--sql", database, "--key", "id", *map(str, words))) as followers:
        followers.start()
        await ready(followers.port)
        if "kamailio-acc" in words:
            followers.start_beside("assemble")
        calls = await followers.calls(len(made.calls))
        values = await followers.records("cdr")
        assert not await followers.records("dead-letter")
    assert calls.total() == len(made.calls)
    records = [{key: value for key, value in json.loads(each).items() if value is not None} for each in values]
    by_end = sorted(records, key=lambda each: each["end_ms"])
    (made.folder / "followed.jsonl").write_text("".join(json.dumps(each) + "\n" for each in by_end))
    return {record["call_id"]: record for record in by_end}


async def test_dialogs_that_are_followed_in_their_table_are_those_of_its_export(
    dialogs: Made, kafka: Broker, postgres: Postgres
) -> None:
    words = ("--format", "kamailio-cdrs", "--set", f"zone={ZONE}")
    records = await followed(dialogs, kafka.address, postgres.address("dialogs"), "--table", "acc_cdrs", *words)
    assert records == converted(dialogs.table("acc_cdrs.csv"), *words)
    assert decided(decisions(dialogs, "followed", dialogs.folder / "followed.jsonl")) == DECISIONS


async def test_calls_that_are_assembled_of_followed_rows_are_the_hand_written_ones(
    made: Made, kafka: Broker, postgres: Postgres
) -> None:
    words = ("--table", "acc", "--format", "kamailio-acc", "--name", "sbc-1")
    (made.folder / "sources.yaml").write_text(
        "sources:\n- {name: sbc-1, format: kamailio-acc, set: {ring_timeout: 10s}}\n"
    )
    records = await followed(made, kafka.address, postgres.address("kamailio"), *words)
    expected = {record["call_id"]: record for record in map(json.loads, made.records.read_text().splitlines())}
    assert records == expected
    assert decisions(made, "assembled", made.folder / "followed.jsonl") == decisions(
        made, "by-hand-again", made.records
    )


def test_a_restart_of_kamailio_costs_no_call(tools: None, postgres: Postgres, tmp_path: Path) -> None:
    calls = [
        Call(
            f"c{n}",
            "acme.example",
            "+8675586013388",
            f"1380013{n:04}",
            answer="bye" if n % 2 else "answer",
            does="wait" if n % 2 else "hangup",
            talk_ms=4_000,
        )
        for n in range(20)
    ]
    with Callee(tmp_path) as callee, Kamailio(tmp_path, postgres.database("restarted"), ROWS, DIALOGS) as proxy:
        with Caller(tmp_path, "caller", proxy.port, [(call, callee.port) for call in calls]) as caller:
            proxy.wait_for_rows("acc", len(calls))
            proxy.kill()
            proxy.start()
            caller.finish()
        proxy.wait_for_rows("acc", 2 * len(calls))
        proxy.wait_for_rows("acc_cdrs", len(calls))
        acc, cdrs = proxy.export("acc", tmp_path / "acc.csv"), proxy.export("acc_cdrs", tmp_path / "acc_cdrs.csv")
    of_rows, of_dialogs = converted(acc, "--format", "kamailio-acc"), converted(cdrs, "--format", "kamailio-cdrs")
    for records in (of_rows, of_dialogs):
        assert {name: record["hangup_by"] for name, record in records.items()} == {
            caller.call_ids[call.name]: "callee" if call.does == "wait" else "caller" for call in calls
        }
        assert {record["outcome"] for record in records.values()} == {"answered"}
