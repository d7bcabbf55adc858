"""The stored form of the built-in policy is that of its YAML, or it is not used."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.thorough import thorough
from monitor.policy import built_in
from monitor.policy.file.resolve import Document
from monitor.policy.load import load
from monitor.policy.serialize import canonical, to_plain

FOLDER = Path(built_in.__file__).parent


def test_the_stored_form_is_that_of_the_yaml() -> None:
    """After a change of the access rules or the catalogue, run `make schemas`."""
    assert (FOLDER / built_in.RESOLVED).read_bytes() == built_in.resolved()


def test_it_reads_as_it_was_resolved() -> None:
    policy, resolved = load(None), built_in._resolve(_from_yaml())
    assert policy == resolved
    assert repr(policy) == repr(resolved)  # 5 equals 5.0, but is hashed otherwise
    assert policy.remarks == resolved.remarks
    assert canonical(to_plain(policy)) == canonical(to_plain(resolved))


def test_the_document_that_others_extend_has_the_data_and_the_positions_of_the_yaml() -> None:
    stored, parsed = built_in.built_in_document(), _from_yaml()
    assert repr(stored.head.model) == repr(parsed.head.model)
    assert stored.sections.keys() == parsed.sections.keys()
    for name, cell in parsed.sections.items():
        mine = stored.sections[name]
        assert repr(mine.value) == repr(cell.value)
        assert mine.at.path == cell.at.path
        source = cell.at.source
        assert (dict(mine.at.source.keys), dict(mine.at.source.values)) == (source.keys, source.values)
        assert mine.at.child("nothing").mark == cell.at.mark


def _from_yaml() -> Document:
    return built_in._document(built_in._parsed(built_in.RULES), built_in._parsed(built_in.CATALOGUE))


@pytest.mark.parametrize(
    ("stored", "source"),
    thorough(
        [
            (stored, source)
            for stored in ("of other sources", "absent")
            for source in (built_in.RULES, built_in.CATALOGUE)
        ],
        [("of other sources", built_in.CATALOGUE), ("absent", built_in.RULES)],
    ),
)
def test_it_is_resolved_again_after_a_change_of_the_yaml(
    source: str, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (built_in.RULES, built_in.CATALOGUE, built_in.RESOLVED):
        text = (FOLDER / name).read_text("utf-8")
        if name == source:
            text = text.replace("review_within: 7d", "review_within: 6d").replace("赌博", "博彩")
        if name != built_in.RESOLVED or stored != "absent":
            (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setattr(built_in, "files", lambda _: tmp_path)
    monkeypatch.setattr(built_in, "built_in_document", built_in.built_in_document.__wrapped__)
    changed = built_in.built_in.__wrapped__()
    assert changed.sha256 != load(None).sha256
    assert changed == built_in._resolve(_from_yaml())


def test_no_parser_of_yaml_is_loaded_for_it() -> None:
    program = "import sys; from monitor.policy.load import load; load(None); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"ruamel.yaml", "pydantic", "monitor.adapters.shipped"} & set(done.stdout.split())
