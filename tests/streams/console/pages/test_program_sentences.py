"""What workers and other programs say in English, as a Chinese reader sees it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from string import Formatter

import aiokafka.errors as theirs
import pytest

from helpers.console_harness import console_at
from helpers.console_pages import pages_of
from helpers.english_sentences import english_in, english_on
from helpers.wording_tables import one_sided
from monitor.partition.waiting.decision_times import DecisionForecast, DecisionTime, WaitCause
from monitor.partition.waiting.watermark_holds import (
    HoldReason,
    WatermarkHold,
    open_transaction,
    outage_grace,
    sentence,
)
from monitor.text.bilingual import Bilingual
from monitor.text.display import DEFAULT
from monitor.text.state_wording import state_text
from streams.console.cluster_reports import ClusterReport
from streams.console.identity.users import Role
from streams.console.pages.formats import Formats
from streams.console.pages.program_sentences import PROGRAM_SENTENCES, PROGRAM_WORDING
from streams.console.program_pages import ProgramPage, Programs, ProgramState
from streams.kafka.api import PermanentError, TransientError
from streams.kafka.errors import translate_error
from streams.topics.reported_waits import ReportedWaits
from streams.wording.consumer_wording import consumer_text
from streams.wording.kafka_wording import kafka_text
from streams.wording.topic_wording import topic_text
from streams.wording.worker_wording import worker_text
from streams.worker.context import OwnedPhase

NOW, HOUR = 1_772_452_800_000, 3_600_000
CODES = [(number, code) for number, table in enumerate(PROGRAM_WORDING) for code in table]


def values_of(both: Bilingual) -> dict[str, object]:
    """A different value for each placeholder, none a part of another; a number where the template formats one."""
    parts = [(name, form) for _, name, form, _ in Formatter().parse(both.en) if name]
    return {name: 1_000 + n if form else f"v{n}-{name}" for n, (name, form) in enumerate(parts)}


def test_every_sentence_is_there_in_both_languages() -> None:
    for table in PROGRAM_WORDING:
        assert one_sided(table.values()) == []


@pytest.mark.parametrize(("table", "code"), CODES, ids=lambda value: str(value))
def test_every_sentence_is_found_and_taken_for_no_other(table: int, code: str) -> None:
    both = PROGRAM_WORDING[table][code]
    said = both.fill(**values_of(both))
    assert PROGRAM_SENTENCES.in_chinese(said.en) == said.zh


def waits() -> Iterator[str]:
    """What a partition says that it waits for, in every form."""
    one, two = (DecisionTime(NOW, NOW + n * HOUR, 0, WaitCause.OUTAGE_GRACE) for n in (1, 2))
    for record in (None, one):
        for windows in ({}, {300_000: one}, {300_000: one, HOUR: two}):
            if record or windows:
                yield str(outage_grace(DecisionForecast(record, windows), 3))
    for reason in HoldReason:
        for clock_ms in (0, NOW):
            yield sentence(WatermarkHold(1, reason, clock_ms), "callwarden.complaints", 3, NOW)
    yield open_transaction("callwarden.cdr", 3, 17, NOW)


@pytest.mark.parametrize("english", list(waits()))
def test_every_wait_is_there_in_chinese_with_its_times(english: str) -> None:
    chinese = PROGRAM_SENTENCES.in_chinese(english) or ""
    assert english_in(chinese) == []
    assert re.search("[\u4e00-\u9fff]", chinese)
    times = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
    assert times.findall(chinese) == times.findall(english)


def test_every_phase_of_a_partition_is_there_with_and_without_a_reason() -> None:
    for phase in {each.value for each in OwnedPhase} - {"running"}:
        said = [worker_text(phase), worker_text(f"{phase}_because", why=worker_text("rebalancing"))]
        assert [english_in(PROGRAM_SENTENCES.in_chinese(each) or each) for each in said] == [[], []]


def test_a_reader_of_english_and_an_unknown_sentence_get_none() -> None:
    said = worker_text("broker_away")
    assert Formats("zh", "UTC", DEFAULT, 0).of_program(said) == "无法连接 broker"
    assert Formats("en", "UTC", DEFAULT, 0).of_program(said) == ""
    assert Formats("zh", "UTC", DEFAULT, 0).of_program("of another release") == ""


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            worker_text("partition", number=3, why=worker_text("refused_because", why=state_text(
                "other_format", what=state_text("head"), known=5, expected=4))),
            "分区 3：拒绝打开：存储的状态的头部的格式为 5，而此版本读取的格式为 4",
        ),
        (
            worker_text("lost_state", topic="callwarden.state", command="callwarden accept x", lost=worker_text(
                "incomplete_state", why=state_text("missing_entries", counted=9, found=8))),
            "其状态已丢失：callwarden.state 的状态不完整（其头部记有 9 条，实有 8 条），但此前已作出决定。",
        ),
        (
            str(translate_error(theirs.TopicAuthorizationFailedError("callwarden.cdr"), "reading from b:9092")),
            "“reading from b:9092”：没有权限：“Returned by the broker when the client is not",
        ),
        (
            str(translate_error(TimeoutError(), "asking b:9092")),
            "“asking b:9092”：没有及时得到应答",
        ),
        (
            worker_text("partition", number=3, why=worker_text("stopped_because", why=translate_error(
                theirs.SaslAuthenticationFailed("wrong battery"), "writing as w-3"))),
            "分区 3：已停止：“writing as w-3”：登录被拒绝：",
        ),
        (
            worker_text("stopped_because", why=translate_error(OSError("a strange end"), "writing as w-3")),
            "已停止：“writing as w-3: a strange end”",
        ),
    ],
)  # fmt: skip
def test_a_state_and_kafka_are_said_in_chinese_and_what_is_not_known_is_quoted(english: str, chinese: str) -> None:
    assert (PROGRAM_SENTENCES.in_chinese(english) or "").startswith(chinese)


@pytest.mark.parametrize(
    ("error", "language", "said"),
    [
        (TransientError(kafka_text("silent", seconds=10)), "zh", "Kafka 在 10 秒内没有应答"),
        (TransientError("b:9092: <b>strange</b>"), "zh", "程序的英文原文：“b:9092: <b>strange</b>”"),
        (TransientError("b:9092: <b>strange</b>"), "en", "b:9092: <b>strange</b>"),
        (PermanentError(kafka_text("login", doing="asking b", why="no")), "zh", "“asking b”：登录被拒绝：no"),
    ],
)
async def test_the_page_of_health_says_why_kafka_cannot_be_read(
    tmp_path: Path, error: Exception, language: str, said: str
) -> None:
    class Away:
        async def report(self) -> ClusterReport:
            raise error

    async with console_at(tmp_path) as console:
        console.context = replace(console.context, reports=Away())  # type: ignore[arg-type]
        async with pages_of(console, Role.ADMIN) as pages:
            pages.cookies.set("lang", language)
            page = (await pages.get("/health/cluster")).text
    assert said in unescape(re.sub(r"</?(bdi|p|div)[^>]*>", "", page))
    assert "<b>" not in page


class Reports:
    """What Kafka would say."""

    async def report(self) -> ClusterReport:
        return ClusterReport(ReportedWaits(NOW, {3: ["of another release", *waits()]}), [], set())


async def states(_: Programs) -> list[ProgramState]:
    """What other programs would say."""
    lost = worker_text("lost_state", topic="t", lost=worker_text("no_state"), command="callwarden accept x")
    refused = worker_text("refused_because", why=worker_text("partition", number=3, why=lost))
    why = worker_text("partition", number=3, why=refused)
    deleted = topic_text("deleted", topic="callwarden.cdr", restored=topic_text("create_input"))
    said = {
        "worker": "\n".join((why, deleted, *waits())),
        "billing": consumer_text("not_begun"),
        "ledger": consumer_text("behind", seconds=75, records=9),
    }
    return [ProgramState(ProgramPage(kind, "x"), reached=True, why=why) for kind, why in said.items()]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("zh", ("没有话单到达", "分区 3：拒绝打开：分区 3：其状态已丢失：t 没有状态", "尚未读到主题", "落后 75 秒")),
        ("en", ("no calls arrive in any partition", "partition 3: refused: partition 3: its state is lost: t has",
                "has not reached the topics yet", "is 75 s behind")),
    ],
)  # fmt: skip
async def test_the_page_of_health_says_what_others_say_in_the_language_of_the_reader(
    tmp_path: Path, language: str, said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Programs, "states", states)
    async with console_at(tmp_path) as console:
        console.context = replace(console.context, reports=Reports())  # type: ignore[arg-type]
        async with pages_of(console, Role.ADMIN) as pages:
            pages.cookies.set("lang", language)
            cluster = (await pages.get("/health/cluster")).text
            shown = cluster + (await pages.get("/health/programs")).text
    for each in said:
        assert each in shown
    assert "of another release" in cluster
    if language == "zh":
        # The pages name commands outside of code marks.
        commands = {"callwarden notify", "callwarden ledger verify", "heads FILE"}
        assert set(english_on(shown)) <= commands
        assert [line for line in re.findall("<bdi[^>]*>([^<]*)", cluster) if english_in(line)] == ["of another release"]
