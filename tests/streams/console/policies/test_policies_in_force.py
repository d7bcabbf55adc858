"""Which policy holds, by what the workers recorded in the clock topic."""

from pathlib import Path
from typing import Any

from helpers.console_harness import NAMES, ConsoleHarness, console_at
from helpers.console_pages import pages_of
from helpers.console_policies import file_of, policy_file, recorded, started
from monitor.partition.journal import ClockAdvance, PolicyWithdrawal, RefusedCommand
from monitor.policy.load import load, loads
from streams.console.policies.in_force import recorded_changes
from streams.console.policies.tables import POLICY_CHANGES, POLICY_REFUSALS
from streams.topics.transaction_records import encode_tick

T = 1_800_000_000_000


def holding(console: ConsoleHarness, now_ms: int) -> Any:
    with console.database.reading() as connection:
        return (
            console.context.policies.now(connection, now_ms).sha256,
            console.context.policies.newest(connection).sha256,
            [one.from_ms for one in console.context.policies.scheduled(connection, now_ms)],
        )


async def test_until_something_is_recorded_it_is_the_policy_of_the_settings(tmp_path: Path) -> None:
    file = policy_file(tmp_path, "1")
    async with console_at(tmp_path, policy=str(file)) as console:
        sha256 = load(str(file)).sha256
        assert holding(console, T) == (sha256, sha256, [])
        with console.database.reading() as connection:
            policies = console.context.policies
            text = file.read_text()
            assert policies.text_of(connection, policies.now(connection, T)) == text
            file.write_text(file_of("2"), "utf-8")
            assert policies.text_of(connection, policies.now(connection, T)) == text, "the file was changed since"


async def test_changes_hold_from_their_event_time_until_they_are_withdrawn(tmp_path: Path) -> None:
    old, new, built_in = (loads(file_of("1"), "f"), loads(file_of("2"), "f"), load(None))
    async with console_at(tmp_path) as console:
        for partition in (0, 1):
            await recorded(console, started(built_in, 0), started(old, T), partition=partition)
        await recorded(console, started(new, T + 1_000))
        console.context.policies.judged_ms |= {0: T + 500, 1: T + 500}
        assert holding(console, T - 1) == (built_in.sha256, new.sha256, [T + 1_000])
        assert holding(console, T + 5_000) == (new.sha256, new.sha256, [T + 1_000])
        await recorded(console, PolicyWithdrawal(T + 1_000, new.sha256, "no", "ada", 7))
        assert holding(console, T + 5_000) == (old.sha256, old.sha256, [])
        with console.database.reading() as connection:
            assert [one.partitions for one in recorded_changes(connection)] == [(0, 1), (0, 1)]
            text = console.context.policies.text_of(connection, new)
        assert loads(text, "f").sha256 == new.sha256


async def test_an_entry_is_stored_once_whatever_is_recorded_again(tmp_path: Path) -> None:
    policy = loads(file_of("1"), "f")
    async with console_at(tmp_path) as console:
        await recorded(console, started(policy, T), ClockAdvance(3, T), started(policy, T))
        console.held.put(NAMES.output("clock"), 0, encode_tick(T, {}), b'{"type":"policy","from_ms":1}', b"\xff")
        await recorded(console, RefusedCommand(3, "no: 13912345678", "ada", 5))
        [row] = console.rows(POLICY_CHANGES)
        assert (row["offset"], row["reason"], row["given_by"]) == (0, "why, ask •••••••••78", "ada")
        [refused] = console.rows(POLICY_REFUSALS)
        assert (refused["offset"], refused["at_ms"], refused["why"]) == (6, 5, "no: •••••••••78")


async def test_the_tenant_page_shows_the_exemptions_that_hold(tmp_path: Path) -> None:
    text = file_of("3") + (
        "exemptions:\n- {tenant: nanhai, rules: [short-calls], owner: ops, reason: of the city, expires: 2099-01-01}\n"
    )
    async with console_at(tmp_path) as console, pages_of(console) as pages:
        assert "of the city" not in (await pages.get("/tenants/nanhai")).text
        await recorded(console, started(loads(text, "f"), 0))
        assert "of the city" in (await pages.get("/tenants/nanhai")).text
