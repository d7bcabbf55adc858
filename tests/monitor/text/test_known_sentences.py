"""The Chinese of English sentences that other programs wrote."""

import pytest

from monitor.text.bilingual import Bilingual
from monitor.text.known_sentences import KnownSentences

TABLE = {
    "away": Bilingual("无法连接", "it is away"),
    "partition": Bilingual("分区 {n}：{why}", "partition {n}: {why}"),
    "phase": Bilingual("分区 {n}（{phase}）：{why}", "partition {n}: {phase}: {why}"),
    "refused": Bilingual("被拒", "refused"),
    "lost": Bilingual("{topic} 丢失：`{command}`", "{topic} is lost. To accept that: {command}"),
    "size": Bilingual("{size:,} 字节 {{}}", "it has {size:,} bytes {{}}"),
    "begun": Bilingual("{hash}（自 {at} 起）", "{hash} from {at} on"),
    "judged": Bilingual("已判定：{begun}；改用另一个", "judged: {begun}; apply another"),
    "twice": Bilingual("{a} 与 {b}，{a}", "{a} is {b}, or {a}"),
}
KNOWN = KnownSentences(TABLE.values())


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("it is away", "无法连接"),
        ("partition 3: refused: x is lost. To accept that: do it: now", "分区 3（被拒）：x 丢失：`do it: now`"),
        ("partition 3: of another release", "分区 3：“of another release”"),
        ("it has 1,000 bytes {}", "1,000 字节 {}"),
        ("judged: a from 1 on, b from 2 on; apply another", "已判定：a（自 1 起）、b（自 2 起）；改用另一个"),
        ("judged: a, b; apply another", "已判定：a, b；改用另一个"),
        ("x is y, or x", "x 与 y，x"),
    ],
)
def test_a_sentence_is_found_with_its_values(english: str, chinese: str) -> None:
    assert KNOWN.in_chinese(english) == chinese


@pytest.mark.parametrize(
    "english",
    [
        "",
        "it is away now",
        "It is away",
        "of another release",
        "x is y, or z",
        "it is away\n",
        "partition" + " x" * 10_000,
    ],
)
def test_what_is_in_no_table_is_not_found(english: str) -> None:
    assert KNOWN.in_chinese(english) is None


def test_a_value_of_braces_is_a_value() -> None:
    assert KNOWN.in_chinese("partition {why}: {n!r}: {0}") == "分区 {why}（{n!r}）：{0}"


@pytest.mark.parametrize("template", ["{a}{b}", "{a}", " {a} ", "{a}: {b}{c}"])
def test_a_template_that_would_take_any_text_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="expected text"):
        KnownSentences([Bilingual("中", template)])
