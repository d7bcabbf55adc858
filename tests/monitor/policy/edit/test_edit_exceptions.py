"""Exceptions are added, changed and removed in the text of a policy; comments, order and all else stay as they are."""

import json
import random
from typing import Any

import pytest

from helpers.thorough import thorough
from monitor.policy.edit.exceptions import EditedPolicy, ExceptionChange, ExceptionKind, edit_exception, entries
from monitor.policy.edit.nodes import NotEditable
from monitor.policy.file.errors import PolicyError
from monitor.policy.file.yaml_source import parse
from monitor.policy.load import loads, to_plain
from monitor.policy.write import dump_json, dump_yaml

HEAD = 'id: house  # ours\nversion: "1"\nextends: access-rules\n'
EXEMPTION: dict[str, Any] = {
    "tenant": "hospital-7",
    "rules": ["out-of-hours"],
    "owner": "ops",
    "reason": "calls relatives: at night",
    "expires": "2027-01-01",
}
OVERRIDE: dict[str, Any] = {
    "tenant": "acme",
    "rule": "short-calls",
    "above": 0.6,
    "owner": "ops",
    "reason": "surveys",
    "expires": "2027-01-01",
}


def edit(text: str, kind: ExceptionKind, at: int | str | None, fields: Any, **more: Any) -> EditedPolicy:
    return edit_exception(text, "p.yaml", ExceptionChange(kind, at, fields, **more))


def test_the_first_exemption_of_a_file_stands_at_its_end() -> None:
    edited = edit(HEAD + "# the end\n", "exemption", None, EXEMPTION)
    assert edited.text == HEAD + (
        "# the end\n"
        "exemptions:\n"
        "- tenant: hospital-7\n"
        "  rules: [out-of-hours]\n"
        "  owner: ops\n"
        '  reason: "calls relatives: at night"\n'
        "  expires: 2027-01-01\n"
    )
    (made,) = edited.after.exemptions
    assert (made.tenant, made.rules, made.reason) == ("hospital-7", ("out-of-hours",), "calls relatives: at night")


WITH_COMMENTS = (
    HEAD
    + """
# Who may do what
exemptions:   # all of them
  # the hospital
  - tenant: h  # a comment
    rules: [out-of-hours,  # why
            short-calls]
    owner: ops
    reason: >
      long
      text
    expires: 2027-01-01
  # the school
  - {tenant: s, rules: [short-calls], owner: ops, reason: ok, expires: 2027-01-01}  # one line
# after
overrides: []  # none yet
"""
)


def test_a_second_one_is_written_like_the_last() -> None:
    edited = edit(WITH_COMMENTS, "exemption", None, EXEMPTION)
    line = (
        '  - {tenant: hospital-7, rules: [out-of-hours], owner: ops, reason: "calls relatives: at night", '
        "expires: 2027-01-01}\n"
    )
    assert edited.text == WITH_COMMENTS.replace("# one line\n", "# one line\n" + line)


def test_an_empty_list_becomes_one_with_an_entry() -> None:
    edited = edit(WITH_COMMENTS, "override", None, OVERRIDE)
    assert edited.text == WITH_COMMENTS.replace(
        "overrides: []  # none yet\n",
        "overrides:  # none yet\n- tenant: acme\n  rule: short-calls\n  above: 0.6\n  owner: ops\n  reason: surveys\n"
        "  expires: 2027-01-01\n",
    )


def test_only_the_changed_fields_change() -> None:
    fields = {**EXEMPTION, "tenant": "h", "rules": ["out-of-hours", "short-calls"], "reason": "new"}
    edited = edit(WITH_COMMENTS, "exemption", 0, fields | {"expires": "2027-06-01"}, version="2")
    wanted = WITH_COMMENTS.replace("reason: >\n      long\n      text\n", "reason: new\n").replace('"1"', '"2"')
    assert edited.text == wanted.replace("2027-01-01\n  # the school", "2027-06-01\n  # the school")
    # A list that is the same is not written again, comments inside it stay.
    assert "# why" in edited.text


def test_a_field_is_added_and_taken_away() -> None:
    text = (
        HEAD
        + "overrides:\n- tenant: acme\n  rule: short-calls\n  above: 0.6 # much\n  owner: ops\n  reason: x\n"
        + ("  expires: 2027-01-01 # soon\n# end\n")
    )
    edited = edit(text, "override", 0, {"above": None, "mode": "shadow"})
    assert edited.text == text.replace("  above: 0.6 # much\n", "").replace("# soon\n", "# soon\n  mode: shadow\n")
    assert edited.after.overrides[0].rule.mode == "shadow"


def test_an_entry_is_removed_with_its_lines_alone() -> None:
    first = edit(WITH_COMMENTS, "exemption", 0, None).text
    assert "tenant: h " not in first
    assert [line for line in first.splitlines() if line.strip().startswith("#")] == [
        "# Who may do what",
        "  # the hospital",
        "  # the school",
        "# after",
    ]
    both = edit(first, "exemption", 0, None)
    assert both.after.exemptions == ()
    assert "exemptions: []   # all of them\n  # the hospital\n  # the school\n# after\n" in both.text


def test_profiles_are_named_entries() -> None:
    fields = {
        "exempt": ["short-calls"],
        "tenants": ["a", "b"],
        "owner": "ops",
        "reason": "surveys",
        "expires": "2027-01-01",
    }
    made = edit(HEAD, "profile", None, fields, name="surveys")
    assert "profiles:\n  surveys:\n    exempt: [short-calls]\n    tenants: [a, b]\n" in made.text
    two = edit(made.text, "profile", None, fields, name="no")  # a word that YAML 1.1 takes for false
    assert '  "no":\n    exempt:' in two.text
    changed = edit(two.text, "profile", "surveys", fields | {"tenants": ["a", "b", "c"]})
    assert {profile.name: profile.tenants for profile in changed.after.profiles}["surveys"] == ("a", "b", "c")
    assert [profile.name for profile in edit(changed.text, "profile", "surveys", None).after.profiles] == ["no"]
    with pytest.raises(NotEditable, match="of that name"):
        edit(two.text, "profile", None, fields, name="no")


@pytest.mark.parametrize("written", [dump_yaml, dump_json])
def test_a_policy_that_was_written_out(written: Any) -> None:
    plain = to_plain(loads(HEAD, "p"))
    few = {*EXEMPTION["rules"], OVERRIDE["rule"]}  # each edit reads the whole policy several times
    plain |= {"rules": [rule for rule in plain["rules"] if rule["id"] in few]}
    plain |= {"prohibited_businesses": plain["prohibited_businesses"][:3]}
    text = written(plain)
    added = edit(edit(text, "exemption", None, EXEMPTION).text, "override", None, OVERRIDE).text
    again = edit(edit(added, "exemption", None, EXEMPTION | {"tenant": "x"}).text, "override", 0, {"above": 0.7}).text
    if written is dump_json:
        assert len(json.loads(again)["exemptions"]) == 2
    assert [one["tenant"] for _, one in entries(parse(again, "p").data, "exemption")] == ["hospital-7", "x"]
    removed = edit(edit(again, "exemption", 0, None).text, "override", 0, None)
    assert [one.tenant for one in removed.after.exemptions] == ["x"]
    assert removed.after.overrides == ()


def test_the_checker_has_the_last_word() -> None:
    with pytest.raises(PolicyError, match="no-such-rule` is not a rule"):
        edit(HEAD, "exemption", None, EXEMPTION | {"rules": ["no-such-rule"]})
    with pytest.raises(PolicyError, match="already has an override"):
        edit(edit(HEAD, "override", None, OVERRIDE).text, "override", None, OVERRIDE)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "exemptions: &e []\noverrides: *e\n",
        HEAD + "...\n",
        HEAD + "exemptions: [  # in brackets\n]\n",
        "- a list\n",
        "id: [\n",
    ],
)
def test_what_cannot_be_edited_is_refused(text: str) -> None:
    with pytest.raises((NotEditable, PolicyError)):
        edit(text, "exemption", None, EXEMPTION)


def test_an_anchor_that_others_use_is_not_changed_behind_their_back() -> None:
    item = "{tenant: a, rules: &r [short-calls], owner: &o ops, reason: x, expires: 2027-01-01}"
    text = HEAD + f"exemptions:\n- {item}\n- {{tenant: b, rules: *r, owner: *o, reason: x, expires: 2027-01-01}}\n"
    with pytest.raises(PolicyError, match="not defined above"):
        edit(text, "exemption", 0, {"owner": "li"})
    assert edit(text, "exemption", 1, {"owner": "li"}).after.exemptions[1].owner == "li"


def test_windows_line_ends_stay() -> None:
    text = WITH_COMMENTS.replace("\n", "\r\n")
    for edited in (
        edit(text, "exemption", None, EXEMPTION).text,
        edit(text, "exemption", 0, {"owner": "li"}).text,
        edit(text, "exemption", 1, None).text,
    ):
        assert edited.count("\n") == edited.count("\r\n")


@pytest.mark.parametrize("seed", thorough(range(8), 4))
def test_random_edits_change_what_they_say_and_nothing_else(seed: int) -> None:
    """`edit_exception` proves on each edit that all else is equal; here: the fields are those wanted, comments stay."""
    drawn = random.Random(seed)
    texts = [
        "x",
        "calls: at night # not",
        "多租户 \u2028 '\"\\ \t",
        "no",
        "2027-01-01",
        "1e3",
        "- a",
        "{b}",
        "*c",
        " d ",
        "a\nb",
    ]
    short = dump_json({"id": "h", "version": "1", "extends": "access-rules"})
    text = drawn.choice([HEAD, WITH_COMMENTS, HEAD + "exemptions: [ ]  # in brackets\n", short])
    kept = [
        comment for comment in ("# ours", "# all of them", "# in brackets", "# after", "# none yet") if comment in text
    ]
    for step in range(9):
        known = entries(parse(text, "p").data, "exemption")
        fields = {
            "tenant": f"t{step}",
            "rules": drawn.sample(["short-calls", "out-of-hours", "callees-called-too-often"], drawn.randint(1, 2)),
            "owner": drawn.choice(texts),
            "reason": drawn.choice(texts),
            "expires": drawn.choice(["2027-01-01", "2028-02-29T08:00:00Z"]),
        }
        at = drawn.randrange(len(known)) if known and drawn.random() < 0.6 else None
        try:
            if at is not None and drawn.random() < 0.4 and step > 3:
                edited = edit(text, "exemption", at, None)
            else:
                edited = edit(text, "exemption", at, fields)
                made = entries(parse(edited.text, "p").data, "exemption")[-1 if at is None else at][1]
                assert made == fields, f"seed {seed}"
        except (PolicyError, NotEditable) as error:
            raise AssertionError(f"seed {seed}, step {step}: {error}\n{text[:4_000]}") from None
        text = edited.text
        assert [comment for comment in kept if comment not in text] == [], f"seed {seed}, step {step}"
