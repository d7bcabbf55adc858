"""The policy page, drafts with their check, and versions."""

import re
from pathlib import Path

import httpx
import pytest

from helpers.console_harness import ConsoleHarness, console_at
from helpers.console_pages import HOSTILE, pages_of
from helpers.console_policies import file_of, recorded, started
from helpers.english_sentences import english_on
from monitor.policy.load import load, loads
from streams.console.identity.users import Role
from streams.console.policies import drafts
from streams.console.policies.drafts import MAX_TEXT_BYTES
from streams.console.policies.tables import POLICY_DRAFTS

T = 1_800_000_000_000
OWNER = Role.POLICY_OWNER
FILES = (("1", 0.3), ("2", 0.35))
MISTAKES = sorted((Path(__file__).parents[3] / "monitor/policy/mistakes").glob("*.yaml"))


async def begun(pages: httpx.AsyncClient, **given: str) -> str:
    """The path of a new draft."""
    answer = await pages.post("/policy/drafts", data=given)
    assert answer.status_code == 303
    return answer.headers["location"]


async def test_the_page_shows_what_holds_what_is_scheduled_and_the_history(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.VIEWER) as pages:
        assert "CALLWARDEN_POLICY" in (await pages.get("/policy")).text
        new, later = loads(file_of("2"), "f"), loads(file_of("3"), "f")
        await recorded(console, started(load(None), 0), started(new, T, "as agreed"), started(later, T + 1_000))
        console.now_ms = T
        shown = (await pages.get("/policy")).text
        held, _, rest = shown.partition("<h2>Scheduled</h2>")
        assert f"/policy/versions/{new.sha256}" in held
        assert "as agreed" in held
        assert f"/policy/versions/{later.sha256}" in rest.partition("<h2>Drafts</h2>")[0]
        assert rest.count(f"/policy/versions/{load(None).sha256}") == 1
        assert "New draft" not in shown


async def test_a_draft_begins_with_the_file_that_holds(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        policy = loads(file_of("7"), "f")
        await recorded(console, started(policy, 0))
        page = (await pages.get(await begun(pages, title=HOSTILE))).text
        assert "&lt;img src=x" in page
        assert "12345678" not in page
        [row] = console.rows(POLICY_DRAFTS)
        assert loads(row["text"], "f").sha256 == policy.sha256
        copy = await begun(pages, base=row["id"])
        assert copy != f"/policy/drafts/{row['id']}"
        assert (await pages.get("/policy")).text.count('href="/policy/drafts/') == 2


async def test_faults_are_shown_at_their_line_and_column_and_changes_of_a_good_file(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        text = "id: house\nversion: 1\npatch:\n  short-cals: {above: 0.2}\n"
        shown = (await pages.post("/policy/check", data={"text": text})).text
        assert re.findall(r'data-line="(\d+)" data-column="(\d+)"', shown) == [("2", "10"), ("4", "3")]
        assert "did you mean `short-calls`?" in shown
        shown = (await pages.post("/policy/check", data={"text": file_of("2", 0.35)})).text
        assert 'data-faults="0"' in shown
        assert "above: 0.25 -&gt; 0.35" in shown
        hostile = (await pages.post("/policy/check", data={"text": f"id: house\n'{HOSTILE}': 1\n"})).text
        assert "<img" not in hostile
        assert "12345678" not in hostile


async def test_a_chinese_reader_meets_no_english_sentence_in_a_check(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        pages.cookies.set("lang", "zh")
        assert len(MISTAKES) > 100
        for file in MISTAKES:
            text = file.read_bytes().decode("utf-8", "replace")
            shown = (await pages.post("/policy/check", data={"text": text})).text
            # One of the files is not UTF-8: a page sends nothing else.
            assert 'data-faults="0"' not in shown or file.stem == "not-utf-8", file.stem
            assert english_on(shown) == [], file.stem
        odd = file_of("2", 0.35) + "add:\n- {id: SHORT-calls, behaviour: blind_calling, metric: acd_s, below: 6000, "
        odd += "window: 1h, step: 1h, min_denominator: 50000000}\nexemptions: [{tenant: a, rules: [short-calls], "
        odd += "owner: o, reason: r, expires: 1999-01-01}]\nprohibited_businesses: []\n"
        shown = (await pages.post("/policy/check", data={"text": odd})).text
        assert shown.partition("可能不是本意")[2].partition("</ul>")[0].count("<li>") == 6
        assert english_on(shown) == []
        draft = await begun(pages, base="empty")
        assert english_on((await pages.get(draft)).text) == []


@pytest.mark.parametrize(("language", "said"), [("zh", "规则 short-calls"), ("en", "rule short-calls")])
async def test_what_a_policy_changes_is_named_in_the_language_of_the_reader(
    tmp_path: Path, language: str, said: str
) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        old, new = (started(loads(file_of(version, above), "f"), T + n) for n, (version, above) in enumerate(FILES))
        await recorded(console, old)
        await recorded(console, new)
        pages.cookies.set("lang", language)
        version = (await pages.get(f"/policy/versions/{new.sha256}?against={old.sha256}")).text
        checked = (await pages.post("/policy/check", data={"text": file_of("3", 0.45)})).text
        for shown in (version, checked):
            assert f"<bdi>{said}</bdi>" in shown.partition('class="changes"')[2]


async def test_a_file_that_is_too_long_is_not_checked_or_saved(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        draft = await begun(pages)
        text = "#" * (MAX_TEXT_BYTES + 1)
        assert "256 KiB" in (await pages.post("/policy/check", data={"text": text})).text
        answer = await pages.post(draft, data={"text": text, "revision": "1"}, headers={"hx-request": "true"})
        assert answer.status_code == 413
        assert (await pages.post("/policy/check", data={"text": "#" * (2 << 20)})).status_code == 413


async def test_of_two_saves_of_one_revision_the_second_is_refused(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        draft, scripted = await begun(pages), {"hx-request": "true"}
        first = await pages.post(draft, data={"text": "id: a\r\n", "revision": "1"}, headers=scripted)
        assert 'value="2"' in first.text
        assert "Saved" in first.headers["hx-trigger"]
        second = await pages.post(draft, data={"text": "id: b\n", "revision": "1"}, headers=scripted)
        assert second.status_code == 409
        assert "reload" in second.headers["hx-trigger"]
        # A repeated request, as after a lost answer.
        again = await pages.post(draft, data={"text": "id: a\n", "revision": "1"}, headers=scripted)
        assert 'value="2"' in again.text
        [row] = console.rows(POLICY_DRAFTS)
        assert (row["text"], row["revision"]) == ("id: a\n", 2)


async def test_only_the_author_saves_and_deletes_everybody_reads(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        async with pages_of(console, OWNER) as pages:
            draft = await begun(pages)
        async with pages_of(console, OWNER, subject="local:chen") as pages:
            assert "readonly" in (await pages.get(draft)).text
            assert (await pages.get(f"{draft}/check")).status_code == 200
            assert (await pages.post(draft, data={"text": "x", "revision": "1"})).status_code == 403
            assert (await pages.post(f"{draft}/discard")).status_code == 403
        async with pages_of(console, OWNER) as pages:
            assert (await pages.post(f"{draft}/discard")).status_code == 303
            assert (await pages.get(draft)).status_code == 404
        await actions_are(console, "policy_draft_saved")


async def actions_are(console: ConsoleHarness, *names: str) -> None:
    await console.send()
    sent = [out.value or b"" for out in console.written if out.topic.endswith("actions")]
    assert [re.findall(rb'"action":"(\w+)"', value)[0].decode() for value in sent] == list(names)


async def test_a_version_is_compared_with_another(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.VIEWER) as pages:
        old, new = loads(file_of("2", 0.4), "f"), loads(file_of("3", 0.5), "f")
        await recorded(console, started(old, 0), started(new, 300_000))
        page = (await pages.get(f"/policy/versions/{old.sha256}")).text
        assert "above: 0.5 -&gt; 0.4" in page
        against = load(None).sha256
        page = (await pages.get(f"/policy/versions/{old.sha256}?against={against}")).text
        assert "above: 0.25 -&gt; 0.4" in page
        assert (await pages.get("/policy/versions/unknown")).status_code == 404


def test_hash_of_a_draft_is_that_of_its_file() -> None:
    assert drafts.text_hash("id: a\n") == "32848b63caee2b356871054d84e60643683ed636c46ba010d11f04e367325f45"


async def test_a_draft_is_tried_in_shadow_first_and_todays_rules_stay(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        held = loads(file_of("7", 0.4), "f")
        await recorded(console, started(held, 0))
        path = await begun(pages, title="stricter")
        await pages.post(path, data={"text": file_of("8", 0.3), "revision": "1"})
        answer = await pages.post(f"{path}/shadow")
        assert answer.status_code == 303
        assert "In shadow: stricter" in (await pages.get(answer.headers["location"])).text
        made = next(
            loads(row["text"], "f") for row in console.rows(POLICY_DRAFTS) if row["title"] == "In shadow: stricter"
        )
        assert made.rules[: len(held.rules)] == held.rules
        [copy] = made.rules[len(held.rules) :]
        assert (copy.id, copy.mode, copy.threshold) == ("short-calls-shadow", "shadow", 0.3)
        again = await pages.post(f"{await begun(pages)}/shadow")
        assert again.headers["location"].endswith("?refused=nothing_to_try")
        assert "nothing to try" in (await pages.get(again.headers["location"])).text
        assert (await pages.post("/policy/drafts/cwd-none/shadow")).status_code == 404


@pytest.mark.parametrize("revision", ["9" * 10, "9" * 5_000, "²", "x", ""])
async def test_a_revision_that_no_draft_can_have_is_another_one(tmp_path: Path, revision: str) -> None:
    async with console_at(tmp_path) as console, pages_of(console, OWNER) as pages:
        path = await begun(pages)
        answer = await pages.post(path, data={"text": "id: a", "revision": revision})
        assert answer.status_code == 409
