"""The groups of patterns as columns, with the positions of their errors."""

import json

import pytest
from adapter_rows import ONE, value
from mapped_calls import LINES

from monitor.adapters.errors import MappingError
from monitor.adapters.mapping.read import read_mapping

REASON = """\
extract:
- {first: [header, other], pattern: 'cause=(?P<cause>[0-9]+)(?:;text="(?P<text>[^"]*)")?'}
- {column: other, pattern: "^(?P<cause>[0-9]{3}) "}
"""


def test_the_groups_of_a_pattern_are_columns() -> None:
    field = '{join: [$cause, $text], with: "/"}'
    content = {"id": 1, "header": 'SIP;cause=603;text="Network Blocked"', "other": "404 Not Found"}
    assert value(field, json.dumps(content), REASON + LINES) == "603/Network Blocked"
    assert value("{column: $cause}", json.dumps({**content, "header": "x"}), REASON + LINES) == "404"
    assert value('{column: $cause, default: "none"}', '{"id": 1}', REASON + LINES) == "none"
    csv = 'id;header\n1;"Q.850;cause=21"\n'
    mapping = 'delimiter: ";"\noptional: [other]\n' + REASON
    assert value("{column: $cause}", csv, mapping) == "21"


@pytest.mark.parametrize(
    ("old", "new", "place", "reported"),
    [
        ("pattern: 'cause", "pattern: '(cause", "2:37", "expected a regular expression"),
        ("{column: other, pattern", "{pattern", "3:3", "expected a `column`, or the `first`"),
        ('"^(?P<cause>[0-9]{3}) "', '"^[0-9]{3} "', "3:28", "named groups"),
        ('"^(?P<cause>[0-9]{3}) "', '"^(?P<row>[0-9]{3}) "', "3:28", "another name for the group `row`"),
        ("$cause", "$reason", "10:31", "expected `$row`, `$cause`, `$text`"),
    ],
)
def test_a_wrong_extract_is_reported_where_it_stands(old: str, new: str, place: str, reported: str) -> None:
    mapping = f"{REASON}{LINES}{ONE}  declared_business: {{column: $cause}}\n"
    assert old in mapping
    with pytest.raises(MappingError) as caught:
        read_mapping(mapping.replace(old, new), "acme.yaml")
    faults = {f"{fault.line}:{fault.column}": fault.message for fault in caught.value.faults}
    assert reported in faults.get(place, ""), faults
