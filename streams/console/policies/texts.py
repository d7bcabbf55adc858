"""The policies that are known here: resolved, and as they were written."""

from typing import Any, Final

import msgspec
import zstandard
from sqlalchemy import Connection, select, update

from monitor.policy.load import from_plain
from monitor.policy.model import Policy
from monitor.policy.serialize import written_out
from monitor.policy.write import dump_yaml
from streams.console.policies.tables import POLICIES
from streams.consumers.sql_common import inserted

_KEPT: Final = 16
_full_texts: dict[str, str] = {}  # by hash: to write one takes a third of a second


def remember(
    connection: Connection, plain: dict[str, Any], sha256: str, now_ms: int, source: str | None = None
) -> None:
    """Keep a resolved policy, and its file if that is given; of two files with the same meaning the newer."""
    row = {
        "sha256": sha256,
        "id": str(plain.get("id")),
        "version": str(plain.get("version")),
        "plain": zstandard.compress(msgspec.json.encode(plain)),
        "source": source,
        "known_ms": now_ms,
    }
    kept = inserted(connection, POLICIES, row)
    if not kept and source is not None:
        connection.execute(update(POLICIES).where(POLICIES.c.sha256 == sha256).values(source=source))


def is_known(connection: Connection, sha256: str) -> bool:
    """Whether the policy of this hash is kept."""
    return connection.execute(select(POLICIES.c.sha256).where(POLICIES.c.sha256 == sha256)).first() is not None


def plain_of(connection: Connection, sha256: str) -> dict[str, Any] | None:
    """The resolved policy of this hash, as `monitor.policy.serialize` writes it; None if it is not known."""
    packed = connection.execute(select(POLICIES.c.plain).where(POLICIES.c.sha256 == sha256)).scalar()
    return None if packed is None else msgspec.json.decode(zstandard.decompress(packed), type=dict[str, Any])


def policy_of(connection: Connection, sha256: str) -> Policy | None:
    """The policy of this hash; None if it is not known. Raises PolicyError if this release cannot read it."""
    plain = plain_of(connection, sha256)
    return None if plain is None else from_plain(plain, sha256)


def source_of(connection: Connection, sha256: str) -> str | None:
    """The file of the policy as it was written, if it was proposed here."""
    source: str | None = connection.execute(select(POLICIES.c.source).where(POLICIES.c.sha256 == sha256)).scalar()
    return source


def full_text(policy: Policy) -> str:
    """A file that resolves to this policy, with every value written out. Those of the last policies are kept."""
    if (text := _full_texts.get(policy.sha256)) is None:
        text = dump_yaml(written_out(policy))
        if len(_full_texts) >= _KEPT:
            _full_texts.clear()
        _full_texts[policy.sha256] = text
    return text
