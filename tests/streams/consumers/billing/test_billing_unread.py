"""An unreadable record never counts as refundable: for the tenants that it may concern, billing answers only once an
operator has accepted it.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest
from billing_server import TOPIC, Served, serving
from sqlalchemy import select

from helpers.fake_topics import FakeTopics
from helpers.warm_commands import callwarden
from oracle.billing import event
from streams.consumers.billing import unread
from streams.consumers.billing.main import Accepted
from streams.consumers.billing.tables import UNREAD
from streams.kafka.api import PermanentError

WITHHELD = "urn:callwarden:problem:unread-decision"
SURROGATE = (
    b'{"id":"e","subject":"acme","x":"\\ud800","data":{"refunds":"%s","reason":{"en":"a\\ud83d","zh":"\xff"}%s}}'
)


async def refundable(billing: Served, tenant: str) -> bool | None:
    """The answer; None: an operator has to check first."""
    status, headers, body = await billing.ask(f"/v1/refunds?tenant_id={tenant}")
    if status == 200:
        assert body["cancellable"] is body["refundable"]
        return bool(body["refundable"])
    assert (status, body["type"]) == (503, WITHHELD)
    assert not {"refundable", "cancellable"} & body.keys()
    assert int(headers["retry-after"]) >= 60, "it takes a person"
    return None


@pytest.mark.parametrize(
    ("key", "value", "whose"),
    [
        (b"acme", event("e", "acme", "suspended"), {"acme"}),
        (b"acme", event("e", "acme", "frozen", reverses=7), {"acme"}),
        (b"acme", SURROGATE % (b"frozen", b',"reverses":"\\ud83d"'), {"acme"}),
        (None, event("e", "acme", "suspended"), {"acme"}),
        (b"acme", event("e", "", "frozen"), {"acme"}),
        (b"acme", event("e", "other", "suspended"), {"acme", "other"}),
        (b"acme", b"no JSON", {"acme"}),
        (b"acme", None, {"acme"}),
        (b"acme", b"[]", {"acme"}),
        (b"\xff", event("e", "acme", "suspended"), {"acme"}),
        (None, b"no JSON", {"acme", "other"}),
        (b"\xff", b'{"subject":"\\ud83d"}', {"acme", "other"}),
        (b"x" * 129, None, {"acme", "other"}),
    ],
)
async def test_tenants_that_an_unreadable_record_may_concern_are_not_answered(
    tmp_path: Path, key: bytes | None, value: bytes | None, whose: set[str]
) -> None:
    async with serving(tmp_path) as billing:
        assert [await refundable(billing, tenant) for tenant in ("acme", "other")] == [True, True]
        await billing.put(value, key=key)
        answers = {tenant: await refundable(billing, tenant) for tenant in ("acme", "other")}
    assert answers == {tenant: None if tenant in whose else True for tenant in answers}


@pytest.mark.parametrize("refunds", [b"frozen", b"released"])
async def test_half_a_character_in_an_irrelevant_field_is_ignored(tmp_path: Path, refunds: bytes) -> None:
    async with serving(tmp_path) as billing:
        await billing.put(SURROGATE % (refunds, b""), key=b"acme")
        assert await refundable(billing, "acme") is (refunds == b"released")
        holds = (await billing.refunds("acme"))["holds"]
    assert [hold["reason"] for hold in holds] == [{"en": "a\ufffd", "zh": "\ufffd"}] * len(holds)


async def test_it_is_withheld_across_restarts_until_it_is_accepted_and_then_for_good(tmp_path: Path) -> None:
    topics = FakeTopics(**{TOPIC: 1})
    topics.put(TOPIC, 0, event("e", "acme", "suspended"), key=b"acme")
    topics.put(TOPIC, 0, b"", key=b"acme")
    for _ in range(2):
        async with serving(tmp_path, topics=topics) as billing:
            assert await refundable(billing, "acme") is None
    assert await asyncio.to_thread(command, tmp_path, "--unread") == (
        0,
        f"{TOPIC} 0:0  'acme'  \"Invalid enum value 'suspended' - at `$.data.refunds`\"\n"
        f"{TOPIC} 0:1  'acme'  'Input data was truncated'\n2 records cannot be read\n",
    )
    status, text = await asyncio.to_thread(command, tmp_path, "--unread", "--json")
    found = json.loads(text)
    assert (status, found["count"], found["no_tenant_is_answered"]) == (0, 2, False)
    assert [(each["partition"], each["offset"], each["tenants"]) for each in found["records"]] == [
        (0, 0, ["acme"]), (0, 1, ["acme"]),
    ]  # fmt: skip
    async with serving(tmp_path, topics=topics) as billing:
        here = ("--partition", "0", "--offset", "0")
        said = await asyncio.to_thread(command, tmp_path, "--accept-unread", *here, "--reason", "call 13812345678")
        assert said == (0, "accepted: 1 record; billing answers about their tenants again\n")
        assert await refundable(billing, "acme") is None, "the other one is left"
        every = ("--accept-unread", "--all", "--reason", "it said nothing")
        assert (await asyncio.to_thread(command, tmp_path, *every))[0] == 0
        assert await refundable(billing, "acme") is True
        with billing.database.reading() as connection:
            rows = connection.execute(select(UNREAD).order_by(UNREAD.c.offset)).all()
        assert [row.accepted_reason for row in rows] == ["call •••••••••78", "it said nothing"]
        await billing.database.run(lambda connection: connection.exec_driver_sql("UPDATE billing_position SET next=0"))
    async with serving(tmp_path, topics=topics) as billing:  # after a restored backup they are handled again
        assert await refundable(billing, "acme") is True


async def test_another_record_at_the_place_of_an_accepted_one_is_not_accepted(tmp_path: Path) -> None:
    """The topic was recreated."""
    topics = FakeTopics(**{TOPIC: 1})
    topics.put(TOPIC, 0, b"one", key=b"acme")
    async with serving(tmp_path, topics=topics) as billing:
        await billing.database.run(lambda connection: unread.accept(connection, [(0, 0)], "seen", 1))
        assert await refundable(billing, "acme") is True
    topics = FakeTopics(**{TOPIC: 1})
    topics.put(TOPIC, 0, b"two", key=b"acme")
    async with serving(tmp_path, topics=topics, accepted=[Accepted(0, 0, "made again")]) as billing:
        assert await refundable(billing, "acme") is None


async def test_a_missing_record_cannot_be_accepted_and_nothing_else_with_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as billing:
        await billing.put(None, key=b"acme")
        with pytest.raises(PermanentError, match="there is no unread record at 0:7"):
            await billing.database.run(lambda connection: unread.accept(connection, [(0, 0), (0, 7)], "seen", 1))
        assert await refundable(billing, "acme") is None


async def test_a_flood_of_unreadable_records_does_not_slow_requests(tmp_path: Path) -> None:
    """A single query, which stops at the first row, however many there are."""
    async with serving(tmp_path) as billing:
        await billing.put(*[b"%d" % number for number in range(600)], key=b"acme")
        with billing.database.reading() as connection:
            plan = connection.exec_driver_sql(
                "EXPLAIN QUERY PLAN SELECT topic FROM billing_unread WHERE accepted_ms IS NULL AND tenant_id = 'acme'"
            ).all()
            assert "INDEX billing_unread_open (accepted_ms=? AND tenant_id=?)" in str(plan)
            assert unread.counted(connection) == (600, 0)
            assert len(unread.listed(connection, 10)) == 10
        assert await refundable(billing, "acme") is None


async def test_metrics_and_readiness_report_withheld_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.consumers.billing.telemetry._LOOK_S", 0.01)

    async def metrics(billing: Served, wanted: str) -> None:
        while wanted not in (await billing.ask("/metrics"))[2]:
            pass

    async with serving(tmp_path) as billing:
        await billing.put(None, key=b"acme")
        await metrics(billing, "callwarden_billing_unread_records 1.0")
        assert (await billing.ask("/readyz"))[0] == 200
        await billing.put(None)
        await metrics(billing, "callwarden_billing_unread_records_of_any_tenant 1.0")
        status, _, text = await billing.ask("/readyz")
    assert (status, "no tenant is answered" in text) == (503, True)


def command(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status and output of `callwarden billing`."""
    env = os.environ | {"CALLWARDEN_BILLING_DATABASE": f"sqlite:///{folder / 'billing.db'}"}
    done = callwarden("billing", *arguments, folder=folder, environment=env)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_the_kit_expects_the_same() -> None:
    scenario = json.loads(
        (Path(__file__).parents[4] / "schemas/billing-pack/scenarios/unreadable.json").read_text("utf-8")
    )
    after = {each["event"]: each.get("unanswered") for each in scenario["orders"][0]["deliveries"]}
    assert after["no JSON"] == ["another tenant"]
    assert after["reversal"] == ["acme", "another tenant"]
