"""A change of policy: proposed, approved by another person, sent once to each partition, answered."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from sqlalchemy import delete, insert, update

from helpers.console_harness import NAMES, ConsoleHarness, console_at, topics
from helpers.console_pages import pages_of
from helpers.console_policies import file_of, recorded, started
from helpers.fake_topics import FakeTopics
from monitor.partition.journal import PolicyChange, PolicyWithdrawal, RefusedCommand
from monitor.partition.refusal_wording import refusal_text, start_text
from monitor.policy.load import load, loads
from streams.console.identity.tables import PROPOSALS
from streams.console.identity.users import Role, User
from streams.console.policies import drafts, proposals, requests
from streams.console.policies.checker import CheckRequest, check
from streams.console.policies.proposals import Approval, ChangeRefused, PolicyProposals
from streams.console.policies.requests import RequestedChange
from streams.console.policies.sending import PolicySending
from streams.console.policies.tables import POLICY_DRAFTS, POLICY_REQUESTS
from streams.console.previews.result import ComparedPolicy, PreviewResult, RecordCounts
from streams.console.previews.tables import PREVIEWS
from streams.kafka.api import TransientError
from streams.topics.control_topic import PolicyCommand, WithdrawCommand, decode_command

OWNER = Role.POLICY_OWNER
LI = User("local:li", "Li", frozenset({OWNER}))
CHEN = User("local:chen", "Chen", frozenset({OWNER}))
SOON = 1_000


def sending_of(console: ConsoleHarness) -> PolicySending:
    return PolicySending(
        cast(Any, console.held), console.database, NAMES, console.context.policies, 0, console.clock, lambda: None
    )


def commands(held: FakeTopics) -> dict[int, list[PolicyCommand | WithdrawCommand]]:
    """What stands in the control topic, by partition."""
    return {
        tp.partition: [cast(Any, decode_command(value)) for value in log]
        for tp, log in held.logs.items()
        if tp.topic == NAMES.output("control")
    }


async def proposed(console: ConsoleHarness, text: str, by: User = LI, from_ms: int | None = None) -> str | None:
    """Propose a file; the proposal's id."""
    steps = PolicyProposals(console.context.policies, console.settings.console_four_eyes == "yes", SOON)
    checked = check(CheckRequest(text, 0)).policy
    assert checked is not None
    draft = await console.database.run(lambda c: drafts.create(c, by, text, "a draft", console.now_ms))
    wanted = RequestedChange("apply", (checked.sha256,), from_ms, "as agreed")
    return await console.database.run(lambda c: steps.propose(c, by, draft, checked, wanted, console.now_ms))


async def approved(console: ConsoleHarness, proposal_id: str, by: User = CHEN, *, without_preview: bool = True) -> None:
    """Approve it as somebody who has seen the newest policy."""
    steps = PolicyProposals(console.context.policies, True, SOON)

    def work(connection: Any) -> None:
        seen = console.context.policies.newest(connection).sha256
        steps.approve(connection, by, proposal_id, Approval(seen, "fine", without_preview), console.now_ms)

    await console.database.run(work)


async def taken(console: ConsoleHarness, partition: int, command: PolicyCommand) -> None:
    """The worker takes the command."""
    signed = command.reason, command.by, command.at_ms
    entry = PolicyChange(command.from_ms, command.sha256, command.policy, *signed)
    await recorded(console, entry, partition=partition)


async def test_what_is_approved_is_sent_once_to_each_partition_as_it_was_proposed(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        for partition in (0, 1):
            await recorded(console, started(load(None), 0), partition=partition)
        text = file_of("2")
        proposal = await proposed(console, text)
        assert proposal is not None
        # The draft is changed afterwards: what was proposed stays.
        await console.database.run(lambda c: c.execute(update(POLICY_DRAFTS).values(text="id: other")))
        sending = sending_of(console)
        assert await sending.send_approved() == 0
        await approved(console, proposal)
        assert await sending.send_approved() == 1
        assert await sending.send_approved() == 0
        await console.send()
        policy = loads(text, "f")
        for partition, [command] in commands(console.held).items():
            assert isinstance(command, PolicyCommand)
            assert (command.sha256, command.by, command.reason) == (
                policy.sha256, "local:li + local:chen", "as agreed",
            )  # fmt: skip
            assert command.from_ms >= console.now_ms + 60_000
            assert command.from_ms % 300_000 == 0
            assert (await states(console))[partition] == "unanswered"
            await taken(console, partition, command)
            assert (await states(console))[partition] == "accepted"
        with console.database.reading() as connection:
            [one] = requests.newest(connection)
            assert one.is_done
            assert console.context.policies.newest(connection).sha256 == policy.sha256
            assert console.context.policies.text_of(connection, policy) == text


async def states(console: ConsoleHarness) -> list[str]:
    with console.database.reading() as connection:
        return [each.state for each in requests.newest(connection)[0].answers]


async def test_who_proposes_never_approves_and_others_need_the_permission(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        proposal = await proposed(console, file_of("2"))
        assert proposal is not None
        for who, key in ((LI, "oneself"), (User("local:r", "R", frozenset({Role.REVIEWER})), "not_permitted")):
            with pytest.raises(ChangeRefused, match=key):
                await approved(console, proposal, who)
        await console.database.run(lambda c: proposals.decline(c, CHEN, proposal, "no", console.now_ms))
        with pytest.raises(ChangeRefused, match="decided"):
            await approved(console, proposal)
        assert console.rows(POLICY_REQUESTS) == []


async def test_if_the_policy_changed_meanwhile_the_second_person_must_see_the_new_difference(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        proposal = await proposed(console, file_of("2"))
        async with pages_of(console, OWNER, subject="local:chen") as pages:
            path = f"/policy/proposals/{proposal}"
            page = await pages.get(path)
            assert "has changed since" not in page.text
            seen = field(page, "seen")
            await recorded(console, started(loads(file_of("9", 0.4), "f"), 0))
            answer = await pages.post(f"{path}/approve", data={"seen": seen})
            assert answer.headers["location"] == f"{path}?refused=base_changed"
            assert console.rows(POLICY_REQUESTS) == []
            page = await pages.get(path)
            assert "has changed since this was proposed" in page.text
            assert "above: 0.4 -&gt; 0.3" in page.text
            given = {"seen": field(page, "seen"), "without_preview": "1"}
            answer = await pages.post(f"{path}/approve", data=given)
            assert answer.headers["location"] == "/policy?said=approved"
        [row] = console.rows(POLICY_REQUESTS)
        assert (row["name"], row["approved_name"], row["state"]) == ("Li", "Chen", "approved")


def field(page: httpx.Response, name: str) -> str:
    return page.text.partition(f'name="{name}" value="')[2].partition('"')[0]


async def test_without_four_eyes_it_is_sent_at_once(tmp_path: Path) -> None:
    async with console_at(tmp_path, console_four_eyes="no") as console:
        assert await proposed(console, file_of("2"), from_ms=1_800_000_000_000) is None
        await sending_of(console).send_approved()
        await console.send()
        [[command], [other]] = commands(console.held).values()
        assert isinstance(command, PolicyCommand)
        assert (command.by, command.from_ms) == ("local:li", 1_800_000_000_000)
        assert command == other
        names = [msgspec.json.decode(out.value or b"")["action"] for out in console.written if "actions" in out.topic]
        assert names == ["policy_draft_saved", "policy_applied"]
        assert console.rows(PROPOSALS) == []


async def test_without_kafka_each_step_is_refused(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        proposal_id = await proposed(console, file_of("2"))
        draft = await console.database.run(lambda c: drafts.create(c, LI, file_of("3"), "", console.now_ms))
        console.context = replace(console.context, has_kafka=False)
        async with pages_of(console, OWNER, subject=CHEN.subject) as other, pages_of(console, OWNER) as pages:
            path, given = f"/policy/drafts/{draft.id}", {"reason": "as agreed", "revision": "1"}
            assert "shows a replay" in (await pages.get(path)).text
            answer = await pages.post(f"{path}/propose", data=given)
            assert answer.headers["location"] == f"{path}?refused=no_kafka"
            answer = await pages.post("/policy/withdraw", data={"sha256": "0" * 64, "reason": "x"})
            assert answer.headers["location"] == "/policy?refused=no_kafka"
            assert "shows a replay" in (await pages.get(answer.headers["location"])).text
            seen = console.context.policies
            held = (await console.context.read(seen.newest)).sha256
            answer = await other.post(f"/policy/proposals/{proposal_id}/approve", data={"seen": held})
            assert answer.headers["location"] == f"/policy/proposals/{proposal_id}?refused=no_kafka"
        assert console.rows(POLICY_REQUESTS) == []


async def previewed(console: ConsoleHarness, version: str, base_sha256: str = "0" * 64) -> None:
    """Store a finished preview of the house's policy of that version."""
    after = loads(file_of(version), "f")
    compared = ComparedPolicy(after.id, after.version, after.sha256)
    counts = RecordCounts(1_240, 1_234, 6, 0, 0, 9, None)
    result = PreviewResult(compared, compared, counts, [], [], 17, 0, 0, [], [])
    done = {
        "id": "cwp-1", "subject": LI.subject, "name": "Li", "state": "done", "source": "topics", "days": 1,
        "file_bytes": 0, "title": "", "base_name": "house 1", "base_sha256": base_sha256, "asked_ms": 1, "alive_ms": 1,
        "step": "done", "read": 0, "total": 0, "policy_sha256": after.sha256, "result": msgspec.json.encode(result),
    }  # fmt: skip
    await console.database.run(lambda c: c.execute(insert(PREVIEWS).values(done)))


async def test_a_proposal_says_what_the_preview_of_its_policy_found(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        path = f"/policy/proposals/{await proposed(console, file_of('2'))}"
        assert "There is no preview of this policy" in (await pages.get(path)).text
        await previewed(console, "3")
        assert "There is no preview of this policy" in (await pages.get(path)).text, "it is of another policy"
        await console.database.run(lambda c: c.execute(delete(PREVIEWS)))
        await previewed(console, "2")
        page = (await pages.get(path)).text
        assert "There is no preview of this policy" not in page
        assert 'href="/policy/previews/cwp-1"' in page
        assert "tenants that change tier: 17, in 1,234 records" in page
        assert "The preview compared it with the policy house 1, not with the one that holds now" in page
        await console.database.run(lambda c: c.execute(delete(PREVIEWS)))
        await previewed(console, "2", (await console.context.read(console.context.policies.newest)).sha256)
        assert "The preview compared it with" not in (await pages.get(path)).text


async def test_who_approves_without_a_preview_must_confirm_it(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER, subject="local:chen") as pages:
        proposal = await proposed(console, file_of("2"))
        assert proposal is not None
        path = f"/policy/proposals/{proposal}"
        page = await pages.get(path)
        assert 'name="without_preview" value="1" required' in page.text
        answer = await pages.post(f"{path}/approve", data={"seen": field(page, "seen")})
        assert answer.headers["location"] == f"{path}?refused=not_previewed"
        assert "Nobody has previewed this policy" in (await pages.get(answer.headers["location"])).text
        assert console.rows(POLICY_REQUESTS) == []
        await previewed(console, "2")
        assert "without_preview" not in (await pages.get(path)).text
        await approved(console, proposal, without_preview=False)
        other = await proposed(console, file_of("3"))
        assert other is not None
        await approved(console, other)
        await console.send()
        actions = [msgspec.json.decode(out.value or b"") for out in console.written if "actions" in out.topic]
        assert [one["details"]["preview"] for one in actions if one["action"] == "policy_applied"] == ["cwp-1", "none"]


async def test_without_four_eyes_who_applies_it_without_a_preview_must_confirm_it(tmp_path: Path) -> None:
    async with console_at(tmp_path, console_four_eyes="no") as console, pages_of(console, OWNER) as pages:
        draft = await console.database.run(lambda c: drafts.create(c, LI, file_of("2"), "", console.now_ms))
        path, given = f"/policy/drafts/{draft.id}", {"reason": "as agreed", "revision": "1"}
        answer = await pages.post(f"{path}/propose", data=given)
        assert answer.headers["location"] == f"{path}?refused=not_previewed"
        assert console.rows(POLICY_REQUESTS) == []
        answer = await pages.post(f"{path}/propose", data=given | {"without_preview": "1"})
        assert answer.headers["location"] == "/policy?said=approved"
        assert len(console.rows(POLICY_REQUESTS)) == 1


async def test_only_partitions_without_the_policy_get_it(tmp_path: Path) -> None:
    async with console_at(tmp_path, console_four_eyes="no") as console:
        policy = loads(file_of("2"), "f")
        await recorded(console, started(load(None), 0))
        await proposed(console, file_of("2"))
        await recorded(console, started(policy, 0), partition=1)
        await sending_of(console).send_approved()
        await console.send()
        assert {number: len(some) for number, some in commands(console.held).items()} == {0: 1, 1: 0}


async def test_a_policy_that_is_scheduled_later_bars_it_and_can_be_withdrawn(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        later = loads(file_of("3"), "f")
        at_ms = console.now_ms + 86_400_000
        await recorded(console, started(load(None), 0), started(later, at_ms))
        with pytest.raises(ChangeRefused, match="barred"):
            await proposed(console, file_of("2"))
        async with pages_of(console, OWNER) as pages:
            answer = await pages.post("/policy/withdraw", data={"sha256": later.sha256, "reason": ""})
            assert answer.headers["location"] == "/policy?refused=no_reason"
            answer = await pages.post("/policy/withdraw", data={"sha256": later.sha256, "reason": "a mistake"})
            proposal = answer.headers["location"].rpartition("/")[2]
            assert (await pages.get(f"/policy/proposals/{proposal}")).status_code == 200
            assert "Waiting for a second person" in (await pages.get("/policy")).text
        await approved(console, proposal)
        await sending_of(console).send_approved()
        await console.send()
        [command], nothing = commands(console.held).values()
        assert nothing == []
        assert isinstance(command, WithdrawCommand)
        assert (command.sha256s, command.by, command.reason) == (
            (later.sha256,), "local:li + local:chen", "a mistake",
        )  # fmt: skip
        withdrawal = PolicyWithdrawal(at_ms, later.sha256, command.reason, command.by, command.at_ms)
        await recorded(console, withdrawal)
        assert await states(console) == ["accepted"]
        async with pages_of(console, Role.VIEWER) as pages:
            page = (await pages.get("/policy")).text
            assert "withdrawn" in page
            assert "a mistake" in page
        assert await proposed(console, file_of("2")) is not None


async def test_a_refusal_is_shown_and_an_overtaken_request_ends(tmp_path: Path) -> None:
    async with console_at(tmp_path, console_four_eyes="no") as console:
        await recorded(console, started(load(None), 0))
        await proposed(console, file_of("2"))
        await sending_of(console).send_approved()
        await console.send()
        [command], _ = commands(console.held).values()
        await recorded(console, RefusedCommand(0, "this release cannot read it", command.by, command.at_ms))
        assert await states(console) == ["refused", "unanswered"]
        async with pages_of(console, Role.VIEWER) as pages:
            assert "this release cannot read it" in (await pages.get("/policy")).text
        why = refusal_text("judged", begun=refusal_text("begun", sha256="abc", start=start_text(5)))
        await recorded(console, RefusedCommand(0, why, command.by, command.at_ms), partition=1)
        async with pages_of(console, Role.VIEWER) as pages:
            assert why in (await pages.get("/policy")).text
            pages.cookies.set("lang", "zh")
            assert (
                "已有记录按该策略判定，或被它判为迟到：abc（自 1970-01-01T00:00:00.005Z 起）"
                in (await pages.get("/policy")).text
            )
        await proposed(console, file_of("4"))
        await recorded(console, started(loads(file_of("5"), "f"), console.now_ms + 86_400_000))
        await sending_of(console).send_approved()
        assert console.rows(POLICY_REQUESTS)[-1]["state"] == "barred"
        assert "withdraw it first" in console.rows(POLICY_REQUESTS)[-1]["why"]


async def test_of_two_processes_one_sends_it(tmp_path: Path) -> None:
    held = topics()
    async with (
        console_at(tmp_path, held, console_four_eyes="no") as one,
        console_at(tmp_path, held) as other,
    ):
        await proposed(one, file_of("2"))
        await asyncio.gather(sending_of(one).send_approved(), sending_of(other).send_approved())
        await asyncio.gather(one.send(), other.send())
        assert [len(some) for some in commands(held).values()] == [1, 1]


async def test_kills_and_failures_between_the_steps_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng, held, wanted = random.Random(seed), topics(), []
    for step in range(8):
        async with console_at(tmp_path, held, console_four_eyes="no") as console:
            await console.follow()
            console.now_ms += step * 1_000
            if rng.random() < 0.6:
                wanted.append(loads(file_of(f"v{step}"), "f").sha256)
                await proposed(console, file_of(f"v{step}"))
            if rng.random() < 0.3:
                continue  # killed before it was sent
            held.away = rng.random() < 0.3
            try:
                await sending_of(console).send_approved()
            except TransientError:
                continue
            finally:
                held.away = False
            console.writer.fail = iter([rng.choice(["before", "after", ""]) for _ in range(3)])
            try:
                await console.send()
            except TransientError:
                continue  # killed while it was sent
    async with console_at(tmp_path, held) as console:
        await console.follow()
        await sending_of(console).send_approved()
        await console.send()
        for some in commands(held).values():
            assert Counter(cast(Any, each).sha256 for each in some) == Counter(wanted)
