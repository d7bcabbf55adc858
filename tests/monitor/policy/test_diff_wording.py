"""The differences between two policies, in both languages."""

from helpers.english_sentences import english_in
from helpers.wording_tables import one_sided
from monitor.policy.diff import ChangedItem, changes, diff
from monitor.policy.diff_wording import DIFF_WORDING
from monitor.policy.load import load, loads

HEAD = 'id: house\nversion: "1"\n'
OTHER = (
    'id: house\nversion: "2"\nadmissions: review\n'
    "patch: {short-calls: {above: 0.5, first: 3d, recover: null}}\ndisable: [blind-dialling]\n"
    "escalations: [{id: e, count: violations, at_least: 3, window: 30d, tier: major, mode: review}]\n"
    "overrides: [{tenant: acme, rule: short-calls, above: 0.6, owner: ops, reason: r, expires: 2027-01-01}]\n"
    "exemptions: [{tenant: h-7, rules: [short-calls], owner: ops, reason: r, expires: 2027-01-01}]\n"
    "profiles: {hotels: {exempt: [short-calls], tenants: [a, b], owner: o, reason: r, expires: 2027-01-01}}\n"
    "prohibited_businesses: []\ndefaults: {lateness: 5m}\nbehaviours: {blind_calling: {en: x}}\n"
    "tiers: {minor: {zh: y}}\n"
)
NOUNS = (
    "默认值", "等级 minor", "行为 blind_calling", "规则 short-calls", "规则 blind-dialling", "升级处置 e", "禁止业务",
    "参数覆盖 acme", "豁免 h-7", "分类豁免 hotels",
)  # fmt: skip


def lines(items: list[ChangedItem]) -> list[str]:
    return [line.zh for item in items for line in (item.what, *item.fields)]


def test_every_text_is_there_in_both_languages() -> None:
    assert one_sided(DIFF_WORDING.values()) == []


def test_chinese_lines_have_no_english_but_what_the_file_has() -> None:
    items = changes(loads(HEAD, "a"), loads(OTHER, "b"))
    said = lines(items)
    for noun in NOUNS:
        assert any(line.startswith(noun) for line in said), noun
    assert "first：无 → 3d" in said
    nouns = tuple(f"{both.en} " for both in DIFF_WORDING.values() if "{" not in both.en)
    assert [line for line in said if f"{line} ".startswith(nouns) or "(none)" in line] == []


def test_lists_and_their_order_are_named_in_chinese() -> None:
    one = "{id: %s, behaviour: blind_calling, metric: asr, below: 0.2, window: 1h, step: 5m, mode: shadow}"
    a, b = (one % name for name in ("a", "b"))
    profile = "profiles: {p: {exempt: [a], tenants: [%s], owner: o, reason: r, expires: 2027-01-01}}\n"
    first = loads(f"{HEAD}rules:\n- {a}\n- {b}\n{profile % 'x, y'}", "p")
    second = loads(f"{HEAD}rules:\n- {b}\n- {a}\n{profile % 'z, x'}", "p")
    said = lines(changes(first, second))
    assert said == ["顺序：规则 a, b → b, a", "分类豁免 p", "tenants：- y", "tenants：+ z"]
    assert [line for line in said if english_in(line)] == []


def test_the_english_lines_stand_beside_their_signs() -> None:
    items = changes(load(None), loads(OTHER, "b"))
    printed = diff(load(None), loads(OTHER, "b"))
    assert [line[2:] for line in printed if line[0] != " "] == [item.what.en for item in items]
    assert [line[4:] for line in printed if line[0] == " "] == [line.en for item in items for line in item.fields]
    assert {line[0] for line in printed} == set("+-~ ")
