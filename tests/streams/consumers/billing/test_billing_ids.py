"""Every id that the contract allows can be requested over HTTP as it is, decoded once."""

import asyncio
import http.client
import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest
from billing_server import TOKEN, TOPIC, serving

from helpers.fake_topics import FakeTopics
from helpers.patience import PATIENCE_S
from oracle.billing import event

ODD = (
    "\n",
    "\r",
    "/",
    "%",
    "%2F",
    "%0A",
    "?",
    "#",
    ".",
    "..",
    " ",
    "+",
    "\0",
    "\\",
    "&",
    "=",
    ";",
    "é",
    "租",
    "💥",
    "\u2028",
    "\x85",
)


def random_id(rng: random.Random) -> str:
    """1 to 128 code points; some have a meaning in a URL."""
    text = "".join(rng.choice((rng.choice(ODD), chr(rng.randrange(1, 0xD800)), "a")) for _ in range(rng.randint(1, 12)))
    return (text * rng.choice((1, 1, 128)))[:128]


def answers(port: int, ids: list[str]) -> list[tuple[int, list[str]]]:
    """Status and holds of each, requested over one connection by a client of the standard library."""
    found = []
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    for tenant in ids:
        for target in ("/v1/refunds/{}", "/v1/refunds?tenant_id={}"):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            client.request("GET", target.format(quote(tenant, safe="")), headers=headers)
            with client.getresponse() as answer:
                body = json.loads(answer.read())
            found.append((answer.status, [hold["id"] for hold in body.get("holds", ())]))
    client.close()
    return found


async def test_any_id_is_answered(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    ids = list({*ODD, "a\nb", "\n", "a\n", "\na\n\n", *(random_id(rng) for _ in range(150))})
    topics = FakeTopics(**{TOPIC: 1})
    topics.put(TOPIC, 0, *[event(f"e{number}", tenant, "frozen") for number, tenant in enumerate(ids)])
    async with serving(tmp_path, topics=topics) as billing:
        found = await asyncio.to_thread(answers, billing.port, ids)
    wanted = [(200, [f"e{number}"]) for number in range(len(ids)) for _ in range(2)]
    wrong = [(ids[at // 2], found[at]) for at in range(len(wanted)) if found[at] != wanted[at]]
    assert wrong == []


@pytest.mark.parametrize("twice", ["%250A", "%25252F"])
async def test_an_id_is_decoded_once(tmp_path: Path, twice: str) -> None:
    async with serving(tmp_path) as billing:
        await billing.put(event("once", twice.replace("%25", "%", 1), "frozen"), event("twice", "\n", "frozen"))
        _, _, body = await billing.ask(f"/v1/refunds/{twice}")
    assert [hold["id"] for hold in body["holds"]] == ["once"]
