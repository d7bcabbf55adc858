"""A right consumer in a page, with plain sets and dictionaries: what the pack's answers are made by."""

import json
from typing import Any


class RightConsumer:
    """The contract's sentence for billing. Forgets nothing, so it is no way to run one."""

    def __init__(self) -> None:
        self._handled: set[str] = set()
        self._gone: set[str] = set()
        self._holds: dict[str, dict[str, Any]] = {}

    def handle(self, value: str) -> None:
        """One record of the topic; one that cannot be read changes nothing."""
        try:
            event = json.loads(value)
            name, data = event["id"], event["data"]
            tenant, refunds = event["subject"], data["refunds"]
        except (ValueError, KeyError, TypeError):
            return
        if name in self._handled or refunds not in ("frozen", "released", "unaffected"):
            return
        self._handled.add(name)
        self._gone |= {data.get("supersedes"), data.get("reverses")} - {None, ""}
        if refunds == "frozen":
            decided, supersedes = data.get("decided_ms"), data.get("supersedes")
            self._holds[name] = {"tenant": tenant, "decided_ms": decided, "supersedes": supersedes}

    def answer(self, tenant: str) -> dict[str, Any]:
        """Whether the tenant's refunds are frozen: since when, and the ids of the holds, the oldest first."""
        left = [(self._since(name), name) for name, hold in self._holds.items() if hold["tenant"] == tenant]
        left = sorted(pair for pair in left if pair[1] not in self._gone)
        return {
            "refundable": not left,
            "since_ms": left[0][0] if left else None,
            "holds": [name for _, name in left],
        }

    def _since(self, name: str) -> int:
        hold = self._holds[name]
        before = self._holds.get(hold["supersedes"] or "", hold)
        return min(int(hold["decided_ms"]), int(before["decided_ms"]))
