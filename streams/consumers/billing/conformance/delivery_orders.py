"""Delivery orders of a scenario's events: in order, twice, backwards, from two partitions."""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from streams.consumers.billing.conformance.scenarios import ConformanceScenario

_EVERY_ORDER = "upheld-then-overturned"
_LONG = 8


class Delivery(NamedTuple):
    """An event by its name in the scenario, and the partition that delivers it."""

    partition: int
    event: str


class DeliveryOrder(NamedTuple):
    """One order in which a scenario's events are delivered to a consumer without state."""

    name: str
    deliveries: Sequence[Delivery]


def delivery_orders(scenario: ConformanceScenario) -> Iterator[DeliveryOrder]:
    """The delivery orders of one scenario, without duplicates."""
    seen = set()
    for order in _all(scenario):
        key = tuple(order.deliveries)
        if key not in seen:
            seen.add(key)
            yield order


def _all(scenario: ConformanceScenario) -> Iterator[DeliveryOrder]:
    names = list(scenario.events)
    yield _order("as it comes", names)
    yield _order("backwards", names[::-1])
    if len(names) > _LONG:
        return
    yield _order("each event twice in a row", [name for name in names for _ in range(2)])
    yield _order("all of it again from the beginning", [*names, *names])
    yield _order("backwards, then all of it again", [*names[::-1], *names])
    in_turn = [Delivery(at % 2, name) for at, name in enumerate(names)]
    yield DeliveryOrder("from two partitions, the second first", sorted(in_turn, key=lambda each: -each.partition))
    both = [Delivery(partition, name) for name in names for partition in (0, 1)]
    yield DeliveryOrder("from both of two partitions", sorted(both, key=lambda each: each.partition))
    if scenario.name == _EVERY_ORDER:
        for events in itertools.permutations(names):
            yield _order(" - ".join(events), events)


def _order(name: str, events: Sequence[str]) -> DeliveryOrder:
    return DeliveryOrder(name, [Delivery(0, event) for event in events])


def derived_scenarios(scenarios: dict[str, ConformanceScenario]) -> Iterator[ConformanceScenario]:
    """Scenarios of records that this release does not write, derived from other scenarios."""
    yield _newer(scenarios["upheld"])
    yield _unreadable(scenarios["final-overturned"])
    yield _nobodys(scenarios["final-overturned"])
    yield _half_characters(scenarios["final-overturned"])
    yield _altered(scenarios["two-holds"])


def _newer(of: ConformanceScenario) -> ConformanceScenario:
    pending, upheld = (json.loads(value) for value in of.events.values())
    upheld["type"] = "callwarden.enforcement.v2"
    upheld["datacontenttype"], upheld["extension"] = "application/vnd.next+json", {"nested": [{"refunds": "released"}]}
    upheld["data"] |= {"reverses": "", "appeal": {"reverses": pending["id"]}, "severity": 3}
    needed = {name: pending["data"][name] for name in ("decided_ms", "refunds")}
    bare = {"data": needed, "subject": pending["subject"], "id": pending["id"]}
    events = {
        "pending-ban-with-nothing-but-what-is-needed": json.dumps(bare, indent=2).encode(),
        "upheld-ban-of-a-newer-release": json.dumps(upheld).encode(),
    }
    return _made(
        "newer", "Unknown fields, a newer type, and what is not needed left out", "未知字段与更新的类型", of, events
    )


def _unreadable(of: ConformanceScenario) -> ConformanceScenario:
    ban, reversal = of.events.values()
    without = json.loads(reversal)
    del without["data"]["refunds"]
    events = {
        "ban": ban,
        "no JSON": b"no JSON",
        "empty": b"",
        "without-refunds": json.dumps(without, ensure_ascii=False).encode(),
        "another-word": ban.replace(b'"frozen"', b'"thawed"').replace(json.loads(ban)["id"].encode(), b"another"),
        "reversal": reversal,
    }
    scenario = _made(
        "unreadable", "A record that cannot be read leaves its tenant without an answer", "无法读取的记录", of, events
    )
    scenario.keys = {"no JSON": "another tenant", "empty": "another tenant"}
    return scenario


def _nobodys(of: ConformanceScenario) -> ConformanceScenario:
    ban, reversal = of.events.values()
    events = {"ban": ban, "no JSON and no key": b"no JSON", "reversal": reversal}
    title = "A record that cannot be read and may be about any tenant leaves all without an answer"
    scenario = _made("unreadable-of-any-tenant", title, "无法读取且不知属于哪个租户的记录", of, events)
    scenario.keys = {"no JSON and no key": None}
    return scenario


def _half_characters(of: ConformanceScenario) -> ConformanceScenario:
    """JSON can encode a lone surrogate, which is not text."""
    ban, reversal = (json.loads(value) for value in of.events.values())
    ban["data"]["reason"]["en"] += "\ud83d"
    torn = {**reversal, "data": {**reversal["data"], "reverses": ban["id"] + "\ud83d"}, "id": "another"}
    events = {
        "ban-with-half-a-character-in-its-reason": json.dumps(ban).encode(),
        "reversal": json.dumps(reversal).encode(),
        "reversal-with-half-a-character-in-what-it-reverses": json.dumps(torn).encode(),
    }
    title = "Half a character in what is not needed, and in what is"
    return _made("half-characters", title, "不需要的字段与需要的字段中的半个字符", of, events)


def _altered(of: ConformanceScenario) -> ConformanceScenario:
    ban, termination, reversal = of.events.values()
    unaffected = ban.replace(b'"frozen"', b'"unaffected"')
    reversing = json.loads(ban)
    reversing["data"] |= {"reverses": json.loads(termination)["id"]}
    events = {
        "ban": ban,
        "termination": termination,
        "the-ban-again-unaffected": unaffected,
        "the-ban-again-reversing-the-termination": json.dumps(reversing, ensure_ascii=False).encode(),
        "reversal": reversal,
    }
    return _made(
        "altered", "An id twice changes nothing, whatever it says then", "同一标识再次出现，不改变任何结果", of, events
    )


def _made(
    name: str, title: str, title_zh: str, of: ConformanceScenario, events: dict[str, bytes]
) -> ConformanceScenario:
    return ConformanceScenario(name, title, title_zh, of.policy, events=events)
