"""The tokens file: every error with its position, and changes that take effect without a restart."""

import hashlib
from pathlib import Path

import pytest
from ingest_service import JSON, TOKEN, call, serving, tokens_text

from streams.ingest.http.tokens import GrantedTokens
from streams.kafka.api import PermanentError

HASH = hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "expected `tokens:` with a list"),
        ("tokens: []\n", "no token; expected at least one"),
        ("tokens:\n- 5\n", "tokens.yaml:2:3: not a token; expected name, sha256, types, tenants"),
        (
            f"tokens:\n- name: a b\n  sha256: {HASH}\n  types: all\n  tenants: all\n",
            "tokens.yaml:2:9: name: expected 1",
        ),
        ("tokens:\n- name: a\n  sha256: secret\n  types: all\n  tenants: all\n", "tokens.yaml:3:11: sha256: expected"),
        (f"tokens:\n- name: a\n  sha256: {HASH}\n  tenants: all\n", "types: expected `all` or a list"),
        (
            f"tokens:\n- name: a\n  sha256: {HASH}\n  types: [cdrs]\n  tenants: all\n",
            "`cdrs` is unknown; did you mean `cdr`",
        ),
        (
            f"tokens:\n- name: a\n  sha256: {HASH}\n  types: all\n  tenant: x\n  tenants: all\n",
            "did you mean `tenants`",
        ),
        (tokens_text(("a", "x", "all", "all"), ("b", "x", "all", "all")), "stands there twice"),
        (tokens_text(("a", "x", "all", "all"), ("a", "y", "all", "all")), "stands there twice"),
    ],
)
def test_every_fault_of_the_file_has_its_place(tmp_path: Path, text: str, wanted: str) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(PermanentError) as output:
        GrantedTokens(file)
    assert wanted in str(output.value)
    assert "secret" not in str(output.value)


async def test_a_token_is_changed_without_a_restart_and_a_fault_keeps_the_former(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        assert (await service.post(call(1)))[0] == 202
        service.tokens_file.write_text(tokens_text(("wide", "another-token", "all", "all")), "utf-8")
        assert (await service.post(call(2)))[0] == 401
        assert (await service.post(call(2), token="another-token"))[0] == 202
        service.tokens_file.write_text("tokens: [\n", "utf-8")
        assert (await service.post(call(3), token="another-token"))[0] == 202


async def test_no_page_and_no_metric_shows_a_token(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.post(call(1))
        page = (await service.ask("GET", "/metrics", {}))[2]
        assert 'token="wide"' in page
        assert TOKEN not in page
        assert hashlib.sha256(TOKEN.encode()).hexdigest() not in page
        assert (await service.post(call(1), JSON | {"Idempotency-Key": TOKEN}))[0] == 202
        assert all(TOKEN.encode() not in (each.key or b"") for each in service.topics.of("ingest-keys"))
