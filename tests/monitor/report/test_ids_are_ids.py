"""Both sides of masking: no telephone number in clear, and no id masked, in any output with any setting."""

import json
import random
import re
import string
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import report_samples as samples

from monitor import reasons
from monitor.adapters.surveying.row_counts import masked
from monitor.policy.load import load
from monitor.report.page import make
from monitor.text.display import DEFAULT, Display, ids_in
from monitor.text.masking import MaskIds, is_telephone_number, mask_id, mask_number, mask_reason, mask_text
from monitor.text.record_ids import ids_of
from schemas.inputs import Cdr, Complaint, Review
from schemas.outputs import Alert, Enforcement, Evidence, Reason
from streams.cli.consume.case_format import case_ids, event_lines, review_json, review_lines
from streams.cli.event_format import alert as alert_line
from streams.cli.event_format import decision as decision_line
from streams.cli.judge.live_view import decision_line as live_line
from streams.cli.operate.compare_format import line as compared_line
from streams.consumers.notify.channels.alertmanager import alerts
from streams.consumers.notify.channels.text import markdown
from streams.consumers.notify.messages.page_links import PageLinks
from streams.consumers.notify.rules.notification_rules import NotificationRules
from streams.consumers.notify.rules.templates import lapse_soon
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.rules.throttle import Throttle

NUMBER = "13912345678"
SETTINGS: tuple[MaskIds, ...] = ("telephone_numbers", "none", "all_digits")
IDS = [
    "1400000000",  # an SdkAppId
    "1700000000.123",  # Asterisk's uniqueid
    "1700000000.1",
    "q11400000000",
    "3f2504e0-4f89-11d3-9a0c-030512345678",
    "12345678-1234-1234-1234-123456789012",
    "CA" + "1234567890" * 3 + "12",
    "0123456789abcdef0123456789abcdef01234567",
    "call-2026-0001-778899",
    "sip:1234567890@10.0.0.1",
]
PHONES = [
    "+8613912345678",
    "13912345678",
    "+442071838750",
    "１３９１２３４５６７８",
    "+86 139-1234-5678",
    "139 1234 5678",
]


def in_clear(text: str) -> bool:
    """Whether the number can be read in the text, in any spelling."""
    digits = "".join(str(int(c)) if c.isdecimal() else "" for c in text)
    return NUMBER in digits


def in_a_row(text: str) -> bool:
    return re.search(r"\d{7}", text) is not None


def decided(id_: str, reason: Reason) -> Enforcement:
    event = samples.decision(
        1, id_, "severe", samples.START, rule_id=id_, reason=reason, evidence=Evidence((id_,), (id_,))
    )
    return msgspec.structs.replace(event, id=id_)


def reason_of(id_: str) -> Reason:
    return Reason(f"投诉“{id_}”：请致电 {NUMBER}，{id_}。", f"Complaint {id_}: call {NUMBER}, {id_}, not 139 1234 5678")


def outputs(id_: str, display: Display, folder: Path) -> Iterator[tuple[str, str]]:
    """Every output that shows records, of an event, an alert and a review that contain the id."""
    reason = reason_of(id_)
    event = decided(id_, reason)
    sign = Alert(id_, id_, id_, "critical", "firing", None, samples.START, samples.START, id_, reason)
    review = Review(id_, id_, id_, "overturn", f"wang {NUMBER}", f"{id_} is right, {NUMBER} is not", samples.START)
    yield "tail of decisions", decision_line(event, display).plain
    yield "tail of alerts", alert_line(sign, display).plain
    yield "live", live_line(event, 1_000, display).plain
    yield "ledger, decisions", "\n".join(line.plain for line in event_lines(event, display))
    yield "ledger, reviews", "\n".join(line.plain for line in review_lines(review, True, display))
    yield "compare", compared_line(msgspec.to_builtins(event), display)
    rules = NotificationRules(load(None), Throttle(delay_ms=0), display)
    said = rules.decision(id_, TenantState(), event, 0, samples.START).messages
    tenant = TenantState()
    said += rules.alert(id_, tenant, sign, samples.START).messages + rules.tick(id_, tenant, samples.START).messages
    said.append(lapse_soon([(id_, id_, "blind_calling", "ban", samples.START)], samples.START, display))
    for message in said:
        yield (
            f"Alertmanager, {message.what}",
            _plain(json.dumps(list(alerts(message, 0, 0, PageLinks(display=display))), ensure_ascii=False)),
        )
        yield f"chat, {message.what}", _plain(markdown(message, None, 100_000))
    call = samples_call(id_)
    yield "map check", json.dumps(masked(call, display), ensure_ascii=False)
    raw = msgspec.json.encode(call).decode()
    yield "rejected", display.raw(raw, 10_000)
    yield "why rejected", display.text(f"wrong_key: tenant_id '{id_}', it is '{NUMBER}'", ids_in(raw))
    page = make(samples.write(folder, [event]), folder / "r.html", display).read_text("utf-8")
    yield "report", re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)


def _plain(text: str) -> str:
    """The text without the characters that keep a chat from making links."""
    return text.replace("＠", "@").replace("［.］", ".")


def samples_call(id_: str) -> Cdr:
    return Cdr(
        call_id=id_, tenant_id=id_, direction="outbound", caller=f"+86{NUMBER}", callee=NUMBER, start_ms=samples.START,
        end_ms=samples.START, outcome="busy", consent_id=id_, source=f"{id_} by {NUMBER}",
    )  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("id_", IDS)
def test_every_output_shows_ids_and_no_number(id_: str, setting: MaskIds, tmp_path: Path) -> None:
    shown = id_ if setting != "all_digits" else mask_id(id_, setting)
    assert (shown == id_) is (setting != "all_digits" or not in_a_row(id_))
    for name, text in outputs(id_, Display(setting), tmp_path):
        assert shown in text, f"{name} does not show {shown}:\n{text[:2_000]}"
        rest = text.replace(shown, "")
        assert not in_clear(rest), f"{name} tells the number:\n{text[:2_000]}"
        rest = re.sub(r'_ms":[•0-9]+', "", rest)  # of an unchanged record, in which fields with numbers are unknown
        for found in re.findall(r"•[•. _-]*\d*", rest):
            assert found.endswith(("•", NUMBER[-2:])), f"{name} masks what is no number: {found}\n{text[:2_000]}"


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("id_", PHONES)
def test_an_id_that_is_a_telephone_number_is_shown_only_if_nothing_is_masked(
    id_: str, setting: MaskIds, tmp_path: Path
) -> None:
    assert is_telephone_number(id_)
    for name, text in outputs(id_, Display(setting), tmp_path):
        if setting == "none":
            continue
        assert id_ not in text, f"{name} shows {id_}"
        assert not in_clear(text), name


@pytest.mark.parametrize("id_", IDS)
def test_a_decision_has_its_ids_whole_and_its_texts_masked(id_: str) -> None:
    complaint = Complaint(id_, id_, "fraud", "verified", samples.START, samples.START, complainant=id_, call_id=id_)
    behaviour = load(None).behaviours["verified_fraud_complaint"]
    made = reasons.complaint(behaviour, id_, f"{id_} {NUMBER}", f"{NUMBER}/{id_}", ids_of(complaint))
    for text in (made.zh, made.en):
        assert text.count(id_) == 3
        assert not in_clear(text.replace(id_, ""))


def test_a_decision_masks_a_telephone_number_in_its_texts_though_an_id_is_the_same() -> None:
    behaviour = load(None).behaviours["verified_fraud_complaint"]
    made = reasons.complaint(behaviour, "+8613912345678", "asked +8613912345678", None, ("+8613912345678",))
    assert made.en.count("+8613912345678") == 1, "the id is whole"
    assert "asked +•••••••••••78" in made.en


def test_programs_get_ids_whole_and_texts_masked() -> None:
    for id_ in IDS:
        review = Review(id_, id_, id_, "overturn", "wang", f"{id_}, {NUMBER}", samples.START)
        plain = review_json(review)
        assert plain["review_id"] == plain["tenant_id"] == id_
        assert plain["reason"] == f"{id_}, •••••••••78"
        assert case_ids(None, review) == (id_, id_, id_)


@pytest.mark.parametrize(
    ("text", "ids", "shown"),
    [
        # A tenant chooses an id that is a part of a number, or begins, continues or surrounds one.
        ("call 13912345678", ["1391234567"], "call •••••••••78"),
        ("call 139 1234 5678", ["139", "1234", "5678", "1"], "call ••• •••• ••78"),
        ("call 139 12345678", ["12345678"], "call ••• ••••••78"),
        ("call +86 13912345678", ["13912345678 "], "call +•• •••••••••78"),
        ("call +8613912345678", ["8613912345678"], "call +•••••••••••78"),
        ("call + 8613912345678", ["8613912345678"], "call + •••••••••••78"),
        ("call +8613912 345678", ["+8613912"], "call +••••••• ••••78"),
        ("call +8613912,345678", ["+8613912"], "call +•••••••,••••78"),
        ("call 8613912345678 90", ["8613912345678"], "call ••••••••••••• 90"),
        ("call x13912345678", ["13912345678x", "3912345"], "call x•••••••••78"),
        ("call １３９１２３４５６７８", ["13912345678"], "call •••••••••７８"),
        ("call 1391234\u200b5678", ["1391234"], "call •••••••\u200b••78"),
        ("call +8613912345678", ["+8613912345678"], "call +•••••••••••78"),
        ("call 139-1234-5678", ["139-1234-5678"], "call •••-••••-••78"),
        ("call 139 12345678", ["call 139"], "call ••• ••••••78"),
        ("call 139 12345678, 13812345678", ["call 139"], "call ••• ••••••78, •••••••••78"),
        ("call 139 12345678 13812345678", ["call 139"], "call ••• •••••••• •••••••••78"),
        ("call +1 (212) 555-1234", ["call +1 (212)"], "call +• (•••) •••-••34"),
        ("call 86 139 1234 5678 13812345678", ["86 139 1234"], "call •• ••• •••• •••• •••••••••78"),
        ("+1 212 555 1234 is wrong", ["212 555 1234 is"], "+• ••• ••• ••34 is wrong"),
        ("call 13912345678\x00", ["13912345678\x00"], "call •••••••••78\x00"),
        # An id next to a number.
        ("1400000000 13912345678", ["1400000000"], "1400000000 •••••••••78"),
        ("13912345678,1400000000", ["1400000000"], "•••••••••78,1400000000"),
        ("租户1400000000的13912345678", ["1400000000"], "租户1400000000的•••••••••78"),
        ("1700000000.123/1700000000.124 139 1234 5678", ["1700000000.123", "1700000000.124"],
         "1700000000.123/1700000000.124 ••• •••• ••78"),
        ("24000000001 2400000000", ["2400000000", "24000000001"], "24000000001 2400000000"),
        ("q1 13912345678 13812345678", ["q1"], "q1 ••••••••••• •••••••••78"),
        ("1400000000 2125551234", ["1400000000"], "1400000000 ••••••••34"),
        # An id that no record here has is recognised by its form.
        ("see 3f2504e0-4f89-11d3-9a0c-030512345678 13912345678", [],
         "see 3f2504e0-4f89-11d3-9a0c-030512345678 •••••••••78"),
        ("see CA12345678901234567890123456789012", [], "see CA12345678901234567890123456789012"),
    ],
)  # fmt: skip
def test_no_choice_of_ids_reveals_a_number(text: str, ids: list[str], shown: str) -> None:
    assert mask_text(text, ids) == shown


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("he is wrong about q11400000001", "he is wrong about q11400000001"),
        ("1400000000, 1700000000.123", "1400000000, 1700000000.123"),
        ("1700000000.1 and 1300000000.1", "1700000000.1 and 1300000000.1"),
        ("call 13912345678", "call •••••••••78"),
        ("call 139 1234 5678", "call ••• •••• ••78"),
        ("call +44 20 7183 8750", "call +•• •• •••• ••50"),
        ("call 0755-83765566", "call ••••-••••••66"),
        ("call 8613912345678, 1400000000", "call •••••••••••78, 1400000000"),
        ("call 86 139 1234-5678", "call •• ••• ••••-••78"),
        ("call １３９１２３４５６７８", "call •••••••••７８"),
    ],
)
def test_a_reason_shows_ids_that_its_event_does_not_name(reason: str, shown: str) -> None:
    assert mask_reason(reason) == shown
    assert not in_a_row(mask_reason(reason, (), "all_digits"))


def test_no_random_fragment_of_a_number_reveals_a_digit_of_it() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(3_000):
        # Of a longer number the rest can be a complete mobile number, which then stands alone.
        number = "".join(rng.choice(string.digits) for _ in range(rng.randint(7, 11)))
        written = number[0] + "".join(rng.choice(["", "", " ", "-", ".", ") "]) + d for d in number[1:])
        text = f"call {written} now"
        within = rng.choice([written, text])
        at = rng.randrange(len(within))
        fragment = within[at : at + rng.randint(1, len(within))]
        if written in fragment:
            continue
        assert mask_text(text, [fragment], "none") == mask_text(text), (written, fragment)


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _digits(count: int) -> Callable[[random.Random], str]:
    return lambda rng: "".join(rng.choice(string.digits) for _ in range(count))


def test_random_ids_are_whole_beside_random_numbers() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    kinds: list[Callable[[random.Random], str]] = [
        _uuid,
        lambda rng: f"CA{rng.getrandbits(128):032x}",
        lambda rng: f"14{_digits(8)(rng)}",
        lambda rng: f"17{_digits(8)(rng)}.{rng.randint(0, 99999)}",
        lambda rng: f"q1{_digits(10)(rng)}",
    ]
    for _ in range(3_000):
        id_ = rng.choice(kinds)(rng)
        assert mask_id(id_) == id_
        number = rng.choice(["", "+86", "0086 "]) + "139" + _digits(8)(rng)
        pieces = [f"tenant {id_}", f"call {number}"] if rng.random() < 0.5 else [id_, number]
        rng.shuffle(pieces)
        text = rng.choice([", ", " ", "；", " / "]).join(pieces)
        shown = mask_text(text, [id_])
        assert id_ in shown, (text, shown)
        assert number[-11:-2] not in shown
        assert number[-9:-2] not in shown.replace(id_, "")


def test_the_cost_of_masking_does_not_depend_on_the_ids() -> None:
    text = "1a 1234567 " * 20_000
    assert mask_text(text, ["1a", "a", "1", "1234567", *(f"{n}a" for n in range(100))])
    forged = {"id": "x", "data": {"evidence": {"call_ids": [f"{n}a" for n in range(100_000)]}}}
    assert len(ids_of(forged)) == 21


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+8613912345678", "+•••••••••••78"), ("alice", "•••ce"), ("110", "•••"), ("95588", "•••88")],
)
def test_a_field_that_holds_a_number_is_masked_whatever_it_holds(number: str, shown: str) -> None:
    assert mask_number(number) == shown


def test_a_masked_tenant_stays_apart_from_another() -> None:
    assert DEFAULT.tenant("13912345678") != DEFAULT.tenant("13812345678")
    assert DEFAULT.tenant("13912345678") == DEFAULT.tenant("13912345678")
    assert DEFAULT.tenant("1400000000") == "1400000000"


def test_a_log_line_shows_ids_unless_all_digits_are_masked() -> None:
    code = (
        "import sys, structlog; from streams.runtime.logging import set_up_logs\n"
        "set_up_logs('json', 'info', sys.argv[1])\n"
        "structlog.get_logger('callwarden').warning('refused', why='tenant_id 1400000000', at=1700000000123)"
    )
    for setting, shown in (("telephone_numbers", "1400000000"), ("none", "1400000000"), ("all_digits", "••••••••00")):
        done = subprocess.run([sys.executable, "-c", code, setting], capture_output=True, check=True, text=True)
        line = json.loads(done.stderr)
        assert line["why"] == f"tenant_id {shown}"
        assert line["at"] == 1700000000123
