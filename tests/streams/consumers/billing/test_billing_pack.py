"""The committed conformance kit equals the generated one; our consumer passes it over HTTP, and wrong
consumers fail.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from billing_server import Served, serving

from streams.consumers.billing.conformance.reference import ReferenceConsumer
from streams.consumers.billing.conformance.write import FOLDER, documents
from streams.consumers.billing.tables import HANDLED, HOLD, REJECTED, RELEASED, UNREAD

PACK = Path(__file__).parents[4] / FOLDER
SCENARIOS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((PACK / "scenarios").glob("*.json"))}

ALLOWED = {"refundable": True, "cancellable": True, "since_ms": None, "holds": []}
UNREADABLE = {"no JSON", "no JSON and no key", "empty", "without-refunds", "another-word"}


def test_the_committed_kit_equals_the_generated_one() -> None:
    wanted = documents()
    there = {str(path.relative_to(PACK)) for path in PACK.rglob("*.json")}
    assert there == set(wanted), "`make schemas` fixes it"
    assert [name for name, content in wanted.items() if (PACK / name).read_bytes() != content] == []


@cache
def schema(name: str) -> jsonschema.protocols.Validator:
    text = json.loads((PACK / f"{name}.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(text)
    return jsonschema.Draft202012Validator(text)


def test_the_kits_content_conforms_to_its_schemas() -> None:
    scenario, needed, whole = schema("scenario"), schema("needed"), schema("enforcement")
    for name, document in SCENARIOS.items():
        scenario.validate(document)
        for event, text in document["events"].items():
            if event in UNREADABLE:
                with pytest.raises((ValueError, jsonschema.ValidationError)):
                    needed.validate(json.loads(text))
                continue
            needed.validate(json.loads(text))
            if name not in ("newer", "half-characters"):
                whole.validate(json.loads(text))


def test_the_kit_is_complete() -> None:
    scenarios = [document for name, document in SCENARIOS.items() if not name.startswith("unreadable")]
    events = [json.loads(text) for document in scenarios for text in document["events"].values()]
    kinds = {(event["data"].get("kind"), event["data"].get("status")) for event in events}
    assert {event["data"].get("clause") for event in events} >= {*range(1, 8), None}
    assert kinds >= {
        ("warning", "final"), ("termination", "final"), ("ban", "final"), ("ban", "pending_review"),
        ("termination", "pending_review"), ("admission_rejected", "final"), ("admission_rejected", "pending_review"),
        ("reversal", "final"), ("lapse", "final"),
    }  # fmt: skip
    assert any(event["data"].get("supersedes") for event in events)
    assert {
        each["partition"]
        for document in SCENARIOS.values()
        for order in document["orders"]
        for each in order["deliveries"]
    } == {0, 1}


def key_of(document: dict[str, Any], event: str) -> str | None:
    """The key of that record."""
    if event in document.get("keys", {}):
        return document["keys"][event]
    return json.loads(document["events"][event])["subject"]


def allowed(delivery: dict[str, Any], tenant: str) -> bool | None:
    """The correct ``refundable`` and ``cancellable`` at that point; None: no answer."""
    return None if tenant in delivery.get("unanswered", ()) else tenant not in delivery["frozen"]


async def _empty(billing: Served) -> None:
    def delete(connection: Any) -> None:
        for table in (HANDLED, HOLD, RELEASED, REJECTED, UNREAD):
            connection.execute(table.delete())

    await billing.database.run(delete)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_our_consumer_passes_the_kit_over_http(tmp_path: Path, name: str) -> None:
    document, answer = SCENARIOS[name], schema("answer")
    async with serving(tmp_path, partitions=2) as billing:
        for order in document["orders"]:
            await _empty(billing)
            for delivery in order["deliveries"]:
                value, key = document["events"][delivery["event"]].encode(), key_of(document, delivery["event"])
                await billing.put(value, partition=delivery["partition"], key=key and key.encode())
                for tenant in document["tenants"]:
                    if allowed(delivery, tenant) is None:
                        status, _, body = await billing.ask(f"/v1/refunds/{quote(tenant, safe='')}")
                        assert (status, body["type"]) == (503, "urn:callwarden:problem:unread-decision")
                        assert not {"refundable", "cancellable"} & body.keys()
                        continue
                    found = await billing.refunds(tenant)
                    answer.validate(found)
                    said = found | {"holds": [hold["id"] for hold in found["holds"]]}
                    assert said == delivery["frozen"].get(tenant, ALLOWED), (order["name"], delivery["event"], tenant)


# Wrong consumers -----------------------------------------------------------------------------------------------------


def failed(consumer: Callable[[], Any]) -> Iterator[tuple[str, str]]:
    """The scenarios and delivery orders in which a consumer gives a wrong answer."""
    for name, document in SCENARIOS.items():
        for order in document["orders"]:
            tried = consumer()
            for delivery in order["deliveries"]:
                tried.handle(document["events"][delivery["event"]], key_of(document, delivery["event"]))
                answers = {tenant: tried.answer(tenant) for tenant in document["tenants"]}
                if any(
                    (answer["refundable"], answer["cancellable"]) != (allowed(delivery, tenant),) * 2
                    for tenant, answer in answers.items()
                ):
                    yield name, order["name"]
                    break


class Changed:
    """The reference consumer, with each record changed by `change` first."""

    def __init__(self) -> None:
        self.right = ReferenceConsumer()

    def handle(self, value: str, key: str | None) -> None:
        self.right.handle(json.dumps(self.change(json.loads(value))), key)

    def answer(self, tenant: str) -> dict[str, Any]:
        return self.right.answer(tenant)

    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event


class Tolerant(Changed):
    def handle(self, value: str, key: str | None) -> None:
        try:
            super().handle(value, key)
        except (ValueError, KeyError):
            return


class ForgetsSupersedes(Tolerant):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        event["data"]["supersedes"] = None
        return event


class ForgetsReverses(Tolerant):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        event["data"]["reverses"] = None
        return event


class HoldsFinalDecisionsAlone(Tolerant):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["data"].get("status") == "pending_review":
            event["data"]["refunds"] = "unaffected"
        return event


class KnowsOneTypeAlone(Tolerant):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event if event["type"] == "callwarden.enforcement.v1" else {}


class MistakesTenants(Tolerant):
    """Compares tenants as many databases do, which mistakes some for others."""

    fold: Callable[[str], str] = staticmethod(str.lower)

    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return {**event, "subject": type(self).fold(event["subject"])}

    def answer(self, tenant: str) -> dict[str, Any]:
        return super().answer(type(self).fold(tenant))


class Trims(MistakesTenants):
    fold = staticmethod(str.strip)


class Composes(MistakesTenants):
    fold = staticmethod(lambda text: unicodedata.normalize("NFC", text))


class Widens(MistakesTenants):
    fold = staticmethod(lambda text: unicodedata.normalize("NFKC", text))


class Stops(Changed):
    """Stops permanently at the first record that it cannot read."""

    stopped = False

    def handle(self, value: str, key: str | None) -> None:
        try:
            if not self.stopped:
                super().handle(value, key)
        except ValueError:
            self.stopped = True


class Plain:
    """The common part of the wrong consumers below: ids and their tenants."""

    def __init__(self) -> None:
        self.holds: dict[str, str] = {}
        self.handled: set[str] = set()

    def handle(self, value: str, key: str | None) -> None:
        try:
            event = json.loads(value)
            if event["data"]["refunds"] in ("frozen", "released", "unaffected"):
                self.take(event["id"], event["subject"], event["data"])
        except (ValueError, KeyError):
            return

    def answer(self, tenant: str) -> dict[str, Any]:
        return dict.fromkeys(("refundable", "cancellable"), tenant not in self.holds.values())

    def take(self, name: str, tenant: str, data: dict[str, Any]) -> None:
        raise NotImplementedError


class ForgetsWhatIsGone(Plain):
    """A hold whose own event arrives after its reversal stays forever."""

    def take(self, name: str, tenant: str, data: dict[str, Any]) -> None:
        if name not in self.handled:
            self.handled.add(name)
            for gone in (data.get("supersedes"), data.get("reverses")):
                self.holds.pop(gone, None)
            if data["refunds"] == "frozen":
                self.holds[name] = tenant


class HandlesTwice(Plain):
    """A repeated event takes effect again: it freezes what was released."""

    def take(self, name: str, tenant: str, data: dict[str, Any]) -> None:
        if data["refunds"] == "frozen":
            self.holds[name] = tenant
        for gone in (data.get("supersedes"), data.get("reverses")):
            self.holds.pop(gone, None)


class KeepsAFlag(Plain):
    """Frozen or not, without ids: the first release also releases the holds of other decisions."""

    def take(self, name: str, tenant: str, data: dict[str, Any]) -> None:
        if data["refunds"] == "frozen":
            self.holds[tenant] = tenant
        elif data["refunds"] == "released":
            self.holds.pop(tenant, None)


class Counts(Plain):
    """Counts up and down: an uphold counts its pending decision twice."""

    def take(self, name: str, tenant: str, data: dict[str, Any]) -> None:
        if name in self.handled:
            return
        self.handled.add(name)
        if data["refunds"] == "frozen":
            self.holds[name] = tenant
        elif data["refunds"] == "released":
            mine = [hold for hold, whose in self.holds.items() if whose == tenant]
            if mine:
                del self.holds[mine[0]]


class LastWins(ReferenceConsumer):
    """A repeated id is accepted again."""

    def handle(self, value: str, key: str | None) -> None:
        try:
            name = json.loads(value)["id"]
        except (ValueError, KeyError):
            return
        self._handled.discard(name)
        self._holds.pop(name, None)
        super().handle(value, key)


class ReleasesWithTheLaterEvent(ReferenceConsumer):
    """An id that was released holds again when its own event arrives later."""

    def handle(self, value: str, key: str | None) -> None:
        super().handle(value, key)
        try:
            self._gone.discard(json.loads(value)["id"])
        except (ValueError, KeyError):
            return


class TakesAllOfTheTenant(ReferenceConsumer):
    """A reversal releases all holds of the tenant."""

    def handle(self, value: str, key: str | None) -> None:
        super().handle(value, key)
        try:
            event = json.loads(value)
            if event["data"]["reverses"]:
                self._gone |= {name for name, hold in self._holds.items() if hold["tenant"] == event["subject"]}
        except (ValueError, KeyError):
            return


class CancelsWhilePending(ReferenceConsumer):
    """Lets a tenant cancel its orders until a decision is final."""

    def __init__(self) -> None:
        super().__init__()
        self.final = ReferenceConsumer()

    def handle(self, value: str, key: str | None) -> None:
        super().handle(value, key)
        if '"pending_review"' not in value:
            self.final.handle(value, key)

    def answer(self, tenant: str) -> dict[str, Any]:
        return super().answer(tenant) | {"cancellable": self.final.answer(tenant)["cancellable"]}


class ForbidsToCancelForGood(ReferenceConsumer):
    """Forbids cancellations forever once it has forbidden them."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: set[str] = set()

    def handle(self, value: str, key: str | None) -> None:
        super().handle(value, key)
        self.forbidden |= {hold["tenant"] for name, hold in self._holds.items() if name not in self._gone}

    def answer(self, tenant: str) -> dict[str, Any]:
        return super().answer(tenant) | ({"cancellable": False} if tenant in self.forbidden else {})


class CancelsWithoutAnAnswer(ReferenceConsumer):
    """Lets a tenant cancel its orders while there is no answer about its refunds."""

    def answer(self, tenant: str) -> dict[str, Any]:
        found = super().answer(tenant)
        return found | {"cancellable": found["cancellable"] is not False}


class CancelsAlways(ReferenceConsumer):
    """Forbids refunds alone."""

    def answer(self, tenant: str) -> dict[str, Any]:
        return super().answer(tenant) | {"cancellable": True}


WRONG = {
    ForgetsSupersedes: "upheld-then-overturned",
    ForgetsReverses: "final-overturned",
    HoldsFinalDecisionsAlone: "pending",
    KnowsOneTypeAlone: "newer",
    MistakesTenants: "tenants",
    Trims: "tenants",
    Composes: "tenants",
    Widens: "tenants",
    Stops: "unreadable",
    ForgetsWhatIsGone: "dismissed",
    HandlesTwice: "dismissed",
    KeepsAFlag: "two-holds",
    Counts: "upheld-then-overturned",
    LastWins: "altered",
    ReleasesWithTheLaterEvent: "lapsed",
    TakesAllOfTheTenant: "two-holds",
    CancelsWhilePending: "pending",
    ForbidsToCancelForGood: "dismissed",
    CancelsWithoutAnAnswer: "unreadable",
    CancelsAlways: "clause-1",
}


@pytest.mark.parametrize("consumer", WRONG, ids=lambda each: each.__name__)
def test_a_wrong_consumer_fails_the_expected_scenarios(consumer: Callable[[], Any]) -> None:
    assert WRONG[consumer] in {scenario for scenario, _ in failed(consumer)}  # type: ignore[index]


def test_the_reference_consumer_passes() -> None:
    assert list(failed(ReferenceConsumer)) == []
