"""The console on files: what it shows of them, a verdict that is judged again, and links that sign in once."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from helpers.hosting import hosted
from helpers.patience import PATIENCE_S
from monitor.policy.load import load as load_policy
from monitor.replay.run import ReplayOptions, replay
from monitor.simulate.settings import DEFAULT_START_MS
from schemas import codec
from schemas.inputs import Application, Cdr, Complaint, Finding, Review, Tenant
from schemas.outputs import Enforcement
from streams.console.identity.users import User
from streams.console.replayed.judgement import JudgedFiles, judge, judgement_of
from streams.console.replayed.main import HOST, Replayed, free_port, run_replayed
from streams.console.replayed.rejudging import ReplayFiles
from streams.consumers.record_decoding import event_of
from streams.dev.kafka_node import free_ports
from streams.settings.load import Settings, load

T0 = DEFAULT_START_MS
HOUR_MS = 3_600_000
NUMBER = "+8613812345678"
# As the demo judges its files first; later judgements make no measures.
OPTIONS = ReplayOptions(places=True, measures=True)
TENANT = Tenant("t-1", ["前台接待外包"], [NUMBER], T0, "云帆信息有限公司")
FOUND = Finding(
    finding_id="f-1", tenant_id="t-1", behaviour="undeclared_business", status="confirmed", updated_ms=T0 + HOUR_MS,
    declared_business="前台接待外包", actual_business="某贷款公司的前台总机接听", inspector="qa-1",
)  # fmt: skip
RECORDS: "list[Tenant | Finding | Cdr | Complaint | Review | Application]" = [
    TENANT,
    Cdr("c-1", "t-1", "outbound", NUMBER, "+8613912345678", T0 + 1_000, T0 + 9_000, "answered", answer_ms=T0 + 2_000),
    FOUND,
    Tenant("t-2", [], [], T0 + 2 * HOUR_MS, "Other"),
]


def files_in(folder: Path) -> ReplayFiles:
    """A replay's files whose only decision is a ban that waits."""
    records = folder / "records.jsonl"
    records.write_bytes(b"".join(codec.encode(record) + b"\n" for record in RECORDS))
    return ReplayFiles([records], folder / "reviews.jsonl", folder / "actions.jsonl", folder / "after")


def test_a_judgement_has_the_records_that_each_decision_names(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    judged = judge(files.inputs, tmp_path / "out")
    (ban,) = map(event_of, judged.enforcement)
    assert (ban.data.kind, ban.data.status) == ("ban", "pending_review")
    (named,) = judged.named[ban.id]
    assert (named.file, named.line, codec.read(named.raw)) == ("records.jsonl", 2, FOUND)
    assert [codec.read(raw) for raw in judged.inputs] == [TENANT, RECORDS[-1]]
    assert judged.last_ms == T0 + 2 * HOUR_MS
    assert (tmp_path / "out" / "enforcement.jsonl").read_bytes().splitlines() == judged.enforcement


class Served:
    """A console that is served, and the links that it has shown, by user."""

    def __init__(self, files: ReplayFiles, judged: JudgedFiles, client: httpx.AsyncClient) -> None:
        self.files, self.judged, self.client = files, judged, client
        self.links: dict[str, list[str]] = {}

    def show(self, user: User, link: str) -> None:
        self.links.setdefault(user.name, []).append(link)

    @property
    def ban(self) -> Enforcement:
        return event_of(self.judged.enforcement[0])

    async def until(self, path: str, words: str) -> str:
        """The page, once it has these words."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in (page := (await self.client.get(path)).text):
                await asyncio.sleep(0.1)
        return page


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # Of the workers: the replay was judged by the built-in policy.
    (tmp_path / "policy.yaml").write_text('id: of-the-workers\nversion: "1"\nextends: none\n')
    database = f"sqlite:///{tmp_path / 'console.db'}"
    return load({"console_database": database, "console_undo_for_ms": "0s", "policy": str(tmp_path / "policy.yaml")})


@pytest.fixture
async def served(tmp_path: Path, settings: Settings) -> AsyncIterator[Served]:
    files = files_in(tmp_path)
    judged = judgement_of(replay(files.inputs, load_policy(None), OPTIONS), files.inputs)
    port = free_ports(1)[0]
    address, english = f"http://{HOST}:{port}", {"accept-language": "en"}
    async with httpx.AsyncClient(base_url=address, headers=english, timeout=PATIENCE_S) as client:
        served = Served(files, judged, client)

        async def ready() -> bool:
            return len(served.links) == 2

        async with hosted(run_replayed(settings, Replayed(files, judged, 1_000), port, served.show), ready):
            yield served


async def test_a_link_signs_in_once_and_is_replaced(served: Served) -> None:
    client, (link,) = served.client, served.links["demo"]
    assert (await client.get("/queue")).headers["location"].startswith("/sign-in")
    entered = await client.get(link)
    assert (entered.status_code, entered.headers["location"]) == (303, "/queue")
    page = (await client.get("/queue")).text
    assert "云帆信息有限公司" in page
    assert "Demo: data and time are simulated" in page
    # Where it was used it leads on; elsewhere it is worth nothing.
    assert (await client.get(link)).headers["location"] == "/queue"
    client.cookies.clear()
    refused = await client.get(link)
    assert refused.status_code == 200
    assert "was used before" in refused.text
    _, another = served.links["demo"]
    assert (await client.get(another)).status_code == 303


async def test_an_overturned_ban_is_judged_again_from_the_files(served: Served) -> None:
    client, case = served.client, f"/cases/{served.ban.id}"
    await client.get(served.links["demo"][0])
    page = (await client.get(case)).text
    assert "某贷款公司的前台总机接听" in page  # the finding, from the file
    assert NUMBER not in page
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token is not None
    form = {"csrf": token[1], "verdict": "overturn", "reason": "a reception desk, no lender"}
    given = await client.post(f"{case}/verdict", data=form, headers={"Origin": str(client.base_url)})
    assert given.status_code == 303, given.text
    await served.until(case, "a reception desk, no lender")
    await served.until(case, "reversed")
    (line,) = served.files.reviews.read_bytes().splitlines()
    review = codec.read(line)
    assert isinstance(review, Review)
    assert (review.enforcement_id, review.verdict, review.reviewer) == (served.ban.id, "overturn", "demo")
    # Judging the same files again gives the same decisions.
    judged = judge([*served.files.inputs, served.files.reviews], served.files.out.parent / "again")
    ban, reversal = map(event_of, judged.enforcement)
    assert (ban, reversal.data.reverses) == (served.ban, ban.id)
    assert (served.files.out / "enforcement.jsonl").read_bytes().splitlines() == judged.enforcement
    actions = served.files.actions.read_text("utf-8")
    assert actions.count('"verdict_given"') == 1
    assert actions.count('"signed_in"') == 1


async def test_what_the_rules_measured_is_on_the_page_of_a_tenant(served: Served) -> None:
    await served.client.get(served.links["demo"][0])
    page = (await served.client.get("/tenants/t-1")).text
    assert "Nothing was measured" not in page
    assert "short-calls" in page


async def test_the_other_pages_need_no_kafka(served: Served) -> None:
    await served.client.get(served.links["demo"][0])
    for path in ("/search?q=t-1", "/tenants/t-1", "/admissions", "/quality", "/health", "/admin/actions", "/readyz"):
        answer = await served.client.get(path)
        assert answer.status_code == 200, path
    health = (await served.client.get("/health", headers={"accept-language": "en"})).text
    assert "files of a replay" in health
    assert "callwarden.enforcement" not in health  # there is no topic
    policy = (await served.client.get("/policy", headers={"accept-language": "en"})).text
    assert "The records were judged by this policy" in policy
    assert 'hx-select="#list"' in (await served.client.get("/queue?view=verdicts")).text


async def test_the_second_person_approves_a_ban(served: Served) -> None:
    client, case = served.client, f"/cases/{served.ban.id}"
    headers = {"Origin": str(client.base_url)}

    async def token() -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', (await client.get(case)).text)
        assert found is not None
        return found[1]

    await client.get(served.links["demo"][0])
    form = {"csrf": await token(), "verdict": "uphold", "reason": "they lend"}
    assert (await client.post(f"{case}/verdict", data=form, headers=headers)).status_code == 303
    await client.get(served.links["demo-2"][0])
    number = re.search(r"/verdicts/(\d+)/approve", (await client.get(case)).text)
    assert number is not None
    form = {"csrf": await token(), "reason": "seen"}
    approved = await client.post(f"{case}/verdicts/{number[1]}/approve", data=form, headers=headers)
    assert approved.status_code == 303
    await served.until(case, "demo + demo-2")


async def test_a_draft_is_previewed_on_the_files(served: Served) -> None:
    client, headers = served.client, {"Origin": str(served.client.base_url)}
    await client.get(served.links["demo"][0])

    async def post(path: str, **form: str) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', (await client.get("/policy")).text)
        assert found is not None
        answer = await client.post(path, data={"csrf": found[1], **form}, headers=headers)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    draft = await post("/policy/drafts", base="empty", title="no findings")
    page = (await client.get(f"{draft}/preview")).text
    assert "The records that this console shows" in page
    text = 'id: house\nversion: "2"\nextends: none\n'
    await post(draft, text=text, revision="1")
    path = await post("/policy/previews", draft=draft.rpartition("/")[2], source="own", days="0")
    page = await served.until(path, "Tenants by tier")
    assert "Files of the replay, all records" in page
    assert "access-rules" in page
    assert "of-the-workers" not in page
    assert TENANT.tenant_id in page


def test_a_taken_port_is_passed_over() -> None:
    from streams.runtime.http_server import listen

    first = free_port(20_000)
    with listen(HOST, first):
        assert free_port(first) > first
