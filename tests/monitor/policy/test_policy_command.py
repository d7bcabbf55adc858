"""`callwarden policy`: its exit statuses and its output."""

import io
import json
import sys
from pathlib import Path

import pytest

from monitor.policy.explain import explain
from monitor.policy.load import load, loads
from monitor.policy.warnings import notes
from streams.cli.app import main

HEAD = 'id: house\nversion: "1"\nextends: none\n'
RULES = """\
rules:
- {id: short, behaviour: blind_calling, metric: short_call_ratio, above: 0.2, window: 24h, step: 1h, confidence: 0.95,
   min_denominator: 50, also: [{metric: complainants, at_least: 3}], with: {short_call_s: 4}}
- {id: consent, behaviour: no_consent, metric: consent_coverage, below: 0.5, window: 1h, step: 1h, mode: shadow}
"""
CATALOGUE = """\
prohibited_businesses:
- {key: loans, zh: 贷款, en: loans, terms: [贷款, cash loan], unless: [贷款知识]}
- {key: hair, zh: 植发, en: hair transplants, terms: [植发]}
"""


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["callwarden", "policy", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def house(tmp_path: Path) -> str:
    file = tmp_path / "house.yaml"
    file.write_text(HEAD + RULES + CATALOGUE, "utf-8")
    return str(file)


def test_check_prints_every_fault_and_exits_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(HEAD.replace('"1"', "1") + "defaults: {timezone: Mars}\n", "utf-8")
    for command in (["check", str(file)], ["show", str(file)], ["diff", "access-rules", str(file)]):
        assert run(monkeypatch, *command) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert [line.split(": ")[0] for line in captured.err.splitlines()] == [f"{file}:2:10", f"{file}:4:22"]


def test_check_reads_several_files_and_standard_input_and_goes_through_all(
    house: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(HEAD.replace('"1"', "1"), "utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HEAD.replace("house", "piped").encode())))
    assert run(monkeypatch, "check", str(bad), "-", house, str(tmp_path / "none.yaml")) == 2
    captured = capsys.readouterr()
    good = [line.partition(",")[0] for line in captured.out.splitlines()]
    assert good == ["-: good: piped 1", f"{house}: good: house 1"]
    wrong = [line for line in captured.err.splitlines() if ": note: " not in line]
    assert [line.split(": ")[0] for line in wrong] == [f"{bad}:2:10", f"{tmp_path / 'none.yaml'}:1:1"]
    assert run(monkeypatch, "check", "-", "-") == 2
    assert capsys.readouterr().err == "-: standard input can be read once; expected it once\n"


def test_check_of_a_valid_file_says_so_and_prints_notes_on_probably_unintended_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "odd.yaml"
    text = HEAD + RULES.replace("short_call_ratio, above: 0.2", "acd_s, below: 0").replace(", confidence: 0.95", "")
    text += "exemptions: [{tenant: t, rules: [short], owner: o, reason: r, expires: 1999-01-01}]\n"
    file.write_text(text, "utf-8")
    assert run(monkeypatch, "check", str(file)) == 0
    captured = capsys.readouterr()
    assert "good: house 1, 2 rules, 0 escalations, 0 overrides, 1 exemption, 0 prohibited businesses" in captured.out
    assert load(str(file)).sha256 in captured.out
    reported = captured.err.splitlines()
    assert len(reported) == 4
    assert "no prohibited businesses" in reported[0]
    assert "rule short (line 5) is new and has no `mode`: it enforces from its first window on" in reported[1]
    assert "rule short: acd_s is never below 0" in reported[2]
    assert "exemption of t from short expired 1999-01-01T00:00:00Z" in reported[3]


RULE = "{id: r, behaviour: blind_calling, window: 24h, step: 1h, mode: shadow, "


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("rules: [" + RULE + "metric: acd_s, below: 6000}]", "rule r: acd_s below 6000 is in seconds; 6000 ms is 6"),
        ("rules: [" + RULE + "metric: complaints, above: 0.1}]", "complaints is a count, but its threshold is 0.1"),
        (
            "rules: [" + RULE + "metric: asr, below: 0.1, with: {short_call_s: 6000}}]",
            "with `short_call_s: 6000` nearly every call is short; it is in seconds",
        ),
        (
            "rules: [" + RULE + "metric: asr, below: 0.1, min_denominator: 50000000}]",
            "`min_denominator: 50000000` is more than a tenant usually has in 24h",
        ),
        (
            "rules: ["
            + RULE
            + "metric: asr, below: 0.1}, "
            + RULE.replace("id: r", "id: R")
            + "metric: ner, below: 0.1}]",
            "the ids `r` and `R` are easily confused",
        ),
        (
            "prohibited_businesses: [{key: a, zh: 贷, en: l, terms: [Cash Loan]}, "
            "{key: b, zh: 款, en: l, terms: [ｃａｓｈ loan]}]",
            "is in two rows of the prohibited businesses, a and b",
        ),
        (
            "rules: [" + RULE + "metric: distinct_callee_ratio, above: 30}]",
            "rule r: distinct_callee_ratio is never above 30; it is at most 1: write 0.15 for 15 %",
        ),
        ("rules: [" + RULE + "metric: sequential_ratio, below: 30}]", "sequential_ratio is always below 30"),
        ("rules: [" + RULE + "metric: sequential_ratio, above: 0}]", "one event makes sequential_ratio exceed 0"),
        (
            "overrides: [{tenant: t, rule: short-calls, above: 0.5, owner: o, reason: r, expires: 1999-01-01}]",
            "override of short-calls for t expired 1999-01-01T00:00:00Z",
        ),
    ],
)
def test_probably_unintended_values_give_a_note(section: str, said: str) -> None:
    policy = loads(f'id: house\nversion: "1"\n{section}\n', "p.yaml")
    assert any(said in note.en for note in notes(policy, 1_772_409_600_000)), list(notes(policy, 1_772_409_600_000))


def test_the_built_in_policy_has_no_probably_unintended_values() -> None:
    assert list(notes(load(None), 1_772_409_600_000)) == []


def test_a_rule_of_the_inherited_list_may_leave_its_mode_out() -> None:
    first = load(None).rules[0].id
    rule = f"id: {first}, behaviour: blind_calling, metric: asr, below: 0.1, window: 1h, step: 1h"
    text = f'id: house\nversion: "1"\nrules: [{{{rule}}}]\n'
    assert loads(text, "p.yaml").remarks == ()
    assert len(loads(text.replace(first, "another"), "p.yaml").remarks) == 1


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_show_prints_a_policy_of_the_same_hash(
    options: list[str], house: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(monkeypatch, "show", house, *options) == 0
    assert loads(capfdbinary.readouterr().out.decode(), "shown") == load(house)
    assert run(monkeypatch, "show", *options) == 0
    assert loads(capfdbinary.readouterr().out.decode(), "shown") == load(None)


def test_diff_shows_added_removed_and_changed(
    house: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    text = HEAD.replace('"1"', '"2"') + RULES.replace("0.2,", "0.25,").replace("id: consent", "id: proof")
    text += CATALOGUE.replace("cash loan", "quick cash").replace("zh: 植发", "zh: 植发养发")
    text += "behaviours: {no_consent: {freeze: false}}\ndefaults: {lateness: 5m}\n"
    text += "overrides: [{tenant: t, rule: short, above: 0.3, owner: ops, reason: why, expires: 2027-01-01}]\n"
    other.write_text(text, "utf-8")
    assert run(monkeypatch, "diff", house, str(other)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "~ version: 1 -> 2",
        "~ defaults",
        "    lateness: 10m -> 5m",
        "~ behaviour no_consent",
        "    freeze: true -> false",
        "- rule consent: behaviour no_consent, metric consent_coverage, below 0.5, window 1h, step 1h, mode shadow",
        "~ rule short",
        "    above: 0.2 -> 0.25",
        "    recover: 0.2 -> 0.25",
        "+ rule proof: behaviour no_consent, metric consent_coverage, below 0.5, window 1h, step 1h, mode shadow",
        "+ override t short: above 0.3, mode enforce, owner ops, reason why, expires 2027-01-01T00:00:00Z",
        "~ prohibited business loans",
        "    terms: - cash loan",
        "    terms: + quick cash",
        "~ prohibited business hair",
        "    zh: 植发 -> 植发养发",
    ]
    assert run(monkeypatch, "diff", house, house) == 0
    assert capsys.readouterr().out == f"the same policy, sha256 {load(house).sha256}\n"


def test_diff_does_not_call_two_policies_of_different_hashes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("once.yaml", "twice.yaml")]
    row = "- {key: loans, zh: 贷款, en: loans, terms: [%s]}\n"
    for file, terms in zip(files, ("贷款", "贷款, 贷款"), strict=True):
        Path(file).write_text(f'id: h\nversion: "1"\nprohibited_businesses:\n{row % terms}', "utf-8")
    assert run(monkeypatch, "diff", *files) == 0
    once, twice = (load(file).sha256 for file in files)
    assert capsys.readouterr().out == f"both decide alike, but are written differently: sha256 {once} and {twice}\n"


def test_diff_shows_an_order_that_decides(
    house: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = Path(house).read_text("utf-8").split("\n- {id: ")
    other = tmp_path / "other.yaml"
    rest = policy[2].index("prohibited_businesses")
    second, tail = policy[2][:rest].rstrip(), policy[2][rest:]
    other.write_text(f"{policy[0]}\n- {{id: {second}\n- {{id: {policy[1]}\n{tail}", "utf-8")
    assert run(monkeypatch, "diff", house, str(other)) == 0
    assert capsys.readouterr().out == "~ order: rule short, consent -> consent, short\n"


def test_explain_shows_what_holds_for_the_tenant_at_the_time(
    house: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(house).read_text("utf-8")
    text += "overrides: [{tenant: acme, rule: short, above: 0.4, owner: ops, reason: reminders, expires: 2027-01-01}]\n"
    text += "exemptions: [{tenant: acme, rules: [consent], owner: law, reason: court, expires: 2028-01-01}]\n"
    Path(house).write_text(text, "utf-8")

    def explained(tenant: str, at: str) -> str:
        assert run(monkeypatch, "explain", tenant, "--policy", house, "--at", at) == 0
        return capsys.readouterr().out

    during = explained("acme", "2026-12-31T23:59:59.999Z")
    assert "of answered calls, more than 40 % lasted at most 4 s" in during
    assert "接通电话中通话时长不超过 4 秒的占比高于 40 %" in during
    assert "override, until 2027-01-01T00:00:00Z, owner ops: reminders\n    above: 0.2 -> 0.4" in during
    assert "rule consent [exempt: no decisions, no alerts]" in during
    assert "exemption, until 2028-01-01T00:00:00Z, owner law: court" in during
    after = explained("acme", "2027-01-01T00:00:00Z")
    assert "more than 20 % lasted" in after
    assert "override, EXPIRED 2027-01-01T00:00:00Z" in after
    assert "rule consent [exempt" in after
    assert "rule consent [shadow]" in explained("acme", "1830297600000")
    assert "override" not in explained("other", "2026-12-01T00:00:00Z")
    assert run(monkeypatch, "explain", "acme", "--at", "tomorrow") == 2


def test_explain_says_of_which_calls_a_share_is_and_names_what_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "house.yaml"
    rules = (
        RULE + "metric: abandon_ratio, above: 0.3}, " + RULE.replace("id: r", "id: s") + "metric: complaints, above: 3}"
    )
    file.write_text(f'id: house\nversion: "1"\nrules: [{rules}]\n', "utf-8")
    assert run(monkeypatch, "explain", "acme", "--policy", str(file)) == 0
    text = capsys.readouterr().out
    assert "of inbound calls, more than 30 % were abandoned" in text
    assert "more than 3 complaints" in text


def test_explain_and_notes_have_all_digits_of_a_number() -> None:
    rule = "{id: %s, behaviour: blind_calling, metric: %s, above: %s, window: 24h, step: 5m, mode: review}"
    rules = f"rules: [{rule % ('r', 'attempts', '1234567.5')}, {rule % ('s', 'asr', '0.123456789')}]\n"
    policy = loads(f'id: house\nversion: "1"\n{rules}', "house.yaml")
    words = [one["words"] for one in explain(policy, "acme", 0)["rules"]]
    assert "外呼尝试数高于 1,234,567.5：" in words[0]["zh"]
    assert "more than 1,234,567.5 outbound attempts:" in words[0]["en"]
    assert "占比高于 12.3456789 %：" in words[1]["zh"]
    assert "more than 12.3456789 % were answered:" in words[1]["en"]
    assert [note.en for note in notes(policy, 0)] == [
        "rule r: attempts is a count, but its threshold is 1234567.5; expected a whole number"
    ]


def test_match_names_row_term_and_the_word_that_suppresses_it(
    house: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def matched(text: str) -> list[str]:
        status = run(monkeypatch, "match", text, "--policy", house)
        lines = capsys.readouterr().out.splitlines()
        assert status == lines[-1].startswith("prohibited")
        return lines

    assert matched("Cash-Loan") == [
        "certain: loans (贷款; loans): is `cash loan`",
        "prohibited, certain: loans, by `cash loan`",
    ]
    assert matched("小额贷款") == [
        "likely: loans (贷款; loans): contains `贷款`",
        "prohibited, likely: loans, by `贷款`",
    ]
    assert matched("贷款知识讲座") == [
        "no match: loans (贷款; loans): contains `贷款`, but `贷款知识` excludes it",
        "not prohibited",
    ]
    assert matched("快递") == ["not prohibited: it contains no term of the catalogue"]


def test_preflight_reports_fields_not_filled_and_tenants_in_breach(
    house: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = 1_772_000_000_000 // 3_600_000 * 3_600_000
    lines = []
    for tenant, talk_ms, calls in (("bad", 3_000, 300), ("good", 30_000, 100), ("few", 3_000, 20)):
        for n in range(calls):
            at = start + n * 1_000
            record = {"type": "cdr", "call_id": f"c{n}", "tenant_id": tenant, "direction": "outbound", "caller": "1"}
            record |= {"callee": str(n), "start_ms": at, "answer_ms": at, "end_ms": at + talk_ms, "outcome": "answered"}
            if tenant == "good":
                record["consent_id"] = "x"
            lines.append((at + talk_ms, json.dumps(record)))
    for n in range(3):
        at = start + 200_000
        complaint = {"type": "complaint", "complaint_id": f"k{n}", "tenant_id": "bad", "category": "other"}
        complaint |= {"status": "received", "complainant": f"p{n}", "reported_ms": at, "updated_ms": at}
        lines.append((at, json.dumps(complaint)))
    file = tmp_path / "records.jsonl"
    file.write_text("".join(f"{line}\n" for _, line in sorted(lines)) + "not a record\n\n", "utf-8")
    Path(house).write_text(
        Path(house).read_text("utf-8")
        + "exemptions: [{tenant: bad, rules: [short], owner: o, reason: r, expires: 2030-01-01}]\n",
        "utf-8",
    )

    assert run(monkeypatch, "preflight", str(file), "--policy", house, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["records"], found["rejected"], found["tenants"]) == (423, 1, 3)
    fields = {field["field"]: field for field in found["fields"]}
    assert (fields["consent_id"]["filled"], fields["consent_id"]["total"]) == (100, 420)
    assert (fields["consent_id"]["filled_by"], fields["consent_id"]["tenants"]) == (1, 3)
    assert (fields["complainant"]["share"], fields["complainant"]["tenant_share"]) == (1.0, 1.0)
    assert fields["hangup_by"]["share"] == 0.0
    short, consent = found["rules"]
    assert short["tenants"] == ["bad"], "an exemption hides nothing from preflight, and `few` is below min_denominator"
    assert short["not_filled"] == []
    assert (consent["tenants"], consent["in_breach"]) == (["bad", "few"], 2)
    assert consent["not_filled"] == ["consent_id"]
    assert not short["may_go_to_review"]
    assert not consent["may_go_to_review"]

    assert run(monkeypatch, "preflight", str(file), "--policy", house) == 0
    reported = capsys.readouterr().out
    assert "consent                         shadow       66.7%  bad, few\n    needs consent_id, which 33.3%" in reported
    assert run(monkeypatch, "preflight", str(tmp_path / "nowhere"), "--policy", house) == 2
    capsys.readouterr()
    monkeypatch.setenv("CALLWARDEN_POLICY", house)
    assert run(monkeypatch, "preflight", str(file)) == 0
    assert capsys.readouterr().out == reported, "it is the workers' policy that is to be enforced"
