"""How a tenant is named to people: an id that looks like a telephone number is masked, and yet told from others."""

import hashlib

from monitor.report.text import identifier

_LONGEST = 64


def shown(tenant_id: str) -> str:
    """The id as it is, or masked and cut with a few digits of its hash, so that no two tenants look the same."""
    text = identifier(tenant_id, _LONGEST)
    if text == tenant_id:
        return text
    return f"{text[:_LONGEST]}~{hashlib.sha256(tenant_id.encode()).hexdigest()[:8]}"
