"""A correct consumer in one page, with plain sets and dictionaries; it computes the pack's answers."""

import json
from typing import Any


class ReferenceConsumer:
    """The contract's billing rule. It keeps everything in memory, so it is not fit for production."""

    def __init__(self) -> None:
        self._handled: set[str] = set()
        self._gone: set[str] = set()
        self._holds: dict[str, dict[str, Any]] = {}
        self._unanswered: set[str] = set()
        self._answers_nobody = False

    def handle(self, value: str, key: str | None) -> None:
        """Handle one record. The tenants that an undecodable record may concern get no answer."""
        try:
            event = json.loads(value)
        except ValueError:
            return self._withhold(key)
        if not isinstance(event, dict) or not isinstance(data := event.get("data"), dict):
            return self._withhold(key, event.get("subject") if isinstance(event, dict) else None)
        name: Any = event.get("id")
        tenant, refunds = event.get("subject"), data.get("refunds")
        taken: list[Any] = [data[field] for field in ("supersedes", "reverses") if data.get(field)]
        if refunds not in ("frozen", "released", "unaffected") or not all(map(_is_id, (name, tenant, *taken))):
            return self._withhold(key, tenant)
        if name in self._handled:
            return None
        self._handled.add(name)
        self._gone.update(taken)
        if refunds == "frozen":
            decided, supersedes = data.get("decided_ms"), data.get("supersedes")
            self._holds[name] = {"tenant": tenant, "decided_ms": decided, "supersedes": supersedes}
        return None

    def _withhold(self, *about: object) -> None:
        tenants = {str(tenant) for tenant in about if _is_id(tenant)}
        self._unanswered |= tenants
        self._answers_nobody |= not tenants

    def answer(self, tenant: str) -> dict[str, Any]:
        """Whether the tenant may be refunded and may cancel, the ids of the holds, oldest first, and since when.

        ``refundable`` and ``cancellable`` are None if there is no answer until an operator has checked a record.
        """
        left = [(self._since(name), name) for name, hold in self._holds.items() if hold["tenant"] == tenant]
        left = sorted(pair for pair in left if pair[1] not in self._gone)
        allowed = None if self._answers_nobody or tenant in self._unanswered else not left
        return {
            "refundable": allowed,
            "cancellable": allowed,
            "since_ms": left[0][0] if left else None,
            "holds": [name for _, name in left],
        }

    def _since(self, name: str) -> int:
        hold = self._holds[name]
        before = self._holds.get(hold["supersedes"] or "", hold)
        return min(int(hold["decided_ms"]), int(before["decided_ms"]))


def _is_id(text: object) -> bool:
    """Whether it is a text of 1 to 128 code points without lone surrogates."""
    whole = isinstance(text, str) and not any("\ud800" <= each <= "\udfff" for each in text)
    return whole and 0 < len(str(text)) <= 128
