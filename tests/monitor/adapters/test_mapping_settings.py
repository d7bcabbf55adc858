"""Settings of a mapping, and the errors of wrong ones."""

import json

import pytest
from adapter_rows import rows

from monitor.adapters.errors import MappingError
from monitor.adapters.mapping.read import read_mapping

GATEWAYS = """\
settings: {gateways: "", region: CN, zone: }
format: jsonl
zone: $zone
reject:
- when: [{setting: gateways, empty: false}, {none: [{column: a, in: $gateways}, {column: b, in: $gateways}]}]
  reason: another leg
  code: internal_leg
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {cases: [{when: {column: a, in: $gateways}, const: inbound}, {const: outbound}]}
  caller: {column: a, default: x}
  callee: {column: to, number: $region}
  start_ms: {column: at, time: "%Y-%m-%d %H:%M"}
  end_ms: {column: at, time: "%Y-%m-%d %H:%M"}
  outcome: {const: busy}
"""


def test_settings_stand_for_texts_and_lists() -> None:
    content = "".join(
        json.dumps({"id": n, "tenant": "t", "a": a, "b": b, "to": "2125550123", "at": "2026-03-02 09:30"}) + "\n"
        for n, (a, b) in enumerate([("gw1", ""), ("", "gw2"), ("", "desk")])
    )
    given = {"gateways": "gw1, gw2", "region": "US", "zone": "Asia/Shanghai"}
    first, second, third = rows(GATEWAYS, content, given)
    assert (first.record.direction, second.record.direction) == ("inbound", "outbound")
    assert third.reason == "internal_leg: another leg"
    assert first.record.callee == "+12125550123"
    assert first.record.end_ms == 1_772_415_000_000
    assert [row.reason for row in rows(GATEWAYS, content, {"zone": "UTC"})] == [None, None, None]


def test_a_setting_may_have_a_list_of_texts_of_which_the_first_is_the_default() -> None:
    content = (
        json.dumps({"id": 1, "tenant": "t", "a": "", "b": "", "to": "2125550123", "at": "2026-03-02 09:30"}) + "\n"
    )
    listed = GATEWAYS.replace("region: CN", "region: [US, CN]")
    assert rows(listed, content, {"zone": "UTC"})[0].record.callee == "+12125550123"
    assert rows(listed, content, {"zone": "UTC", "region": "CN"})[0].record.callee != "+12125550123"


@pytest.mark.parametrize(
    ("old", "new", "given", "reported"),
    [
        ("", "", {}, "acme.yaml --set:1:1: expected --set zone=TEXT: this mapping has no default for it"),
        ("", "", {"zone": "UTC", "gatewys": "x"}, "acme.yaml --set:1:1: a cdr has no field `gatewys`"),
        ("", "", {"zone": "Mars"}, "acme.yaml:3:7: 'Mars' is no time zone"),
        ("region: CN", "region: 7", {"zone": "UTC"}, "acme.yaml:1:34: expected the default text of `region`"),
        (
            "region: CN",
            "region: []",
            {"zone": "UTC"},
            "expected the default text of `region` in quotes, nothing, or a list",
        ),
        (
            "region: CN",
            "region: [CN]",
            {"zone": "UTC", "region": "UK"},
            "--set:1:1: expected `region` to be one of CN, got `UK`",
        ),
        ("region: CN", "call_id: CN", {"zone": "UTC"}, "acme.yaml:1:26: expected another name: `call_id` is a field"),
        ("setting: gateways", "setting: gates", {"zone": "UTC"}, "acme.yaml:5:20: expected a name of `settings`"),
        ("internal_leg", "internal", {"zone": "UTC"}, "acme.yaml:7:9: `internal` is not allowed here"),
        ("a, in: $gateways}, {column: b", "a, in: $gates}, {column: b", {"zone": "UTC"}, ""),
    ],
)
def test_a_wrong_setting_is_reported(old: str, new: str, given: dict[str, str], reported: str) -> None:
    if not reported:  # a text that only looks like a setting is a text
        read_mapping(GATEWAYS.replace(old, new), "acme.yaml", given)
        return
    with pytest.raises(MappingError) as caught:
        read_mapping(GATEWAYS.replace(old, new, 1) if old else GATEWAYS, "acme.yaml", given)
    assert reported in str(caught.value)
