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


RULE = "{id: %s, behaviour: blind_calling, metric: %s, above: %s, window: 1h, step: 5m, mode: review, confidence: %s}"


def test_numbers_that_differ_in_a_late_digit_are_shown_with_it() -> None:
    before = loads(f"{HEAD}rules:\n- {RULE % ('a', 'asr', 0.0012345678, 0.9999998)}", "p")
    after = loads(f"{HEAD}rules:\n- {RULE % ('a', 'asr', 0.0012345679, 0.9999999)}", "p")
    assert diff(before, after) == [
        "~ rule a",
        "    above: 0.0012345678 -> 0.0012345679",
        "    confidence: 0.9999998 -> 0.9999999",
        "    recover: 0.0012345678 -> 0.0012345679",
    ]


def test_overrides_whose_ids_are_the_same_when_joined_are_apart() -> None:
    rules = "".join(f"\n- {RULE % (name, 'asr', 0.5, 0.9)}" for name in ("b c", "c"))
    one = "\n- {tenant: %s, rule: %s, above: %s, owner: o, reason: r, expires: 2027-01-01}"
    before, after = (
        loads(f"{HEAD}rules:{rules}\noverrides:{one % ('a', 'b c', limit)}{one % ('a b', 'c', 0.7)}", "p")
        for limit in (0.6, 0.8)
    )
    assert diff(before, after) == ["~ override a b c", "    above: 0.6 -> 0.8", "    recover: 0.6 -> 0.8"]


def test_a_summary_has_everything_that_decides() -> None:
    rule = "{id: r, behaviour: blind_calling, metric: asr, below: 0.2, window: 24h, step: 5m, min_denominator: 9%s}"
    told = "first: 7d, cooldown: 3d, recover: 0.3, freeze: true, mode: review, also: [{metric: acd_s, at_most: 6}]"
    signed = "owner: o, reason: r, expires: 2027-01-01"
    text = (
        f"{HEAD}extends: none\nrules:\n- {rule % f', confidence: 0.9, {told}, with: {{callee_limit: 7}}'}\n"
        f"overrides:\n- {{tenant: a, rule: r, min_denominator: 1000000, {signed}}}\n"
        f"- {{tenant: b, rule: r, below: 0.1, confidence: null, first: null, with: {{short_call_s: 4}}, {signed}}}\n"
        "prohibited_businesses:\n- {key: l, zh: 贷款, en: loans, terms: [贷款], unless: [知识]}\n"
        "escalations:\n- {id: e, count: violations, at_least: 3, window: 30d, tier: major, freeze: false}\n"
    )
    until = "owner o, reason r, expires 2027-01-01T00:00:00Z"
    assert diff(loads(f"{HEAD}extends: none\n", "a"), loads(text, "b")) == [
        "+ rule r: behaviour blind_calling, metric asr, below 0.2, window 24h, step 5m, mode review, first 7d, "
        'min_denominator 9, confidence 0.9, also [{"metric": "acd_s", "at_most": 6.0}], cooldown 3d, recover 0.3, '
        "freeze true, with.callee_limit 7",
        "+ escalation e: at_least 3, window 30d, tier major, mode review, freeze false",
        f"+ override a r: below 0.2, mode review, min_denominator 1000000, {until}",
        f"+ override b r: below 0.1, mode review, first null, confidence null, with.short_call_s 4, {until}",
        "+ prohibited business l: zh 贷款, terms 贷款, unless 知识",
    ]
