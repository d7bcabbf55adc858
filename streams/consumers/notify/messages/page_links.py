"""The page that a message links: of the console, or the operator's own page about a tenant."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from monitor.text.display import DEFAULT, Display
from monitor.text.masking import mask_id
from streams.consumers.notify.messages.message import Message, MessageItem, What

_OF_SEVERAL: Final[dict[What, str]] = {"lapse_soon": "/queue", "digest": "/queue", "records_lost": "/health"}


@dataclass(frozen=True, slots=True)
class PageLinks:
    """``console``: the console's address, `https://HOST`. ``tenant``: the operator's own page about a tenant, with
    `{tenant}`; it goes before the console's. ``display``: which ids are masked."""

    console: str | None = None
    tenant: str | None = None
    display: Display = DEFAULT

    def of(self, message: Message, item: MessageItem | None = None) -> str | None:
        """The page about a message, or about one entry of it: the case of a decision, else the tenant."""
        tenant_id = item.tenant_id if item is not None else message.tenant_id
        decision_id = item.ref if item is not None else next(iter(message.refs), None)
        if not tenant_id:
            page = _OF_SEVERAL.get(message.what)
            return f"{self.console}{page}" if self.console and page else None
        if self.console and decision_id and message.what != "alert":
            return f"{self.console}/cases/{quote(decision_id, safe='')}"
        return self._about_tenant(tenant_id)

    def _about_tenant(self, tenant_id: str) -> str | None:
        if self.tenant is not None:
            return self.tenant.replace("{tenant}", quote(tenant_id, safe=""))
        # An address ends up in the logs of chat programs and proxies: one with a telephone number is not made.
        if self.console is None or mask_id(tenant_id, self.display.mask_ids) != tenant_id:
            return None
        # Browsers take a segment of dots for a folder.
        segment = f"?id={tenant_id}" if tenant_id in (".", "..") else quote(tenant_id, safe="")
        return f"{self.console}/tenants/{segment}"
