"""Alertmanager's v2 API: lasting alerts are sent repeatedly until they end. It does the grouping and silencing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import aiohttp
import orjson
from pydantic import SecretStr

from monitor.text.timestamps import rfc3339
from streams.consumers.notify.channels.base import Poster
from streams.consumers.notify.channels.text import plain
from streams.consumers.notify.messages.message import Message, MessageItem
from streams.consumers.notify.messages.page_links import PageLinks
from streams.consumers.notify.outbox import LastingMessage

_PATH: Final = "/api/v2/alerts"
_AHEAD_MS: Final = 5 * 60_000
_EVENT_MS: Final = 120 * 60_000
_AT_ONCE: Final = 100


class Alertmanager:
    """See `Channel`. A single event is an alert of two hours; a lasting one ends when its end is sent, or five minutes
    after the last reminder."""

    at_once, per_minute = _AT_ONCE, None

    def __init__(
        self,
        session: aiohttp.ClientSession,
        name: str,
        url: SecretStr,
        clock: Callable[[], int],
        links: PageLinks,
    ) -> None:
        address = url.get_secret_value().rstrip("/")
        self._poster = Poster(session, SecretStr(address if address.endswith(_PATH) else address + _PATH))
        self.name, self._clock = name, clock
        self._links = links

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        now_ms = self._clock()
        return await self._post(
            [alert for m, at in zip(messages, since_ms, strict=True) for alert in alerts(m, at, now_ms, self._links)]
        )

    async def remind(self, standing: Sequence[LastingMessage]) -> None:
        """Keep these messages, at most `at_once`, from ending. Raises DeliveryFailed."""
        now_ms = self._clock()
        await self._post([alert for m, since in standing for alert in alerts(m, since, now_ms, self._links)])

    async def _post(self, posted: list[dict[str, Any]]) -> str:
        # Alertmanager processes a request's alerts in any order, so only the last of each alert is sent.
        latest = {orjson.dumps(alert["labels"], option=orjson.OPT_SORT_KEYS): alert for alert in posted}
        status, headers, content = await self._poster.post(orjson.dumps(list(latest.values())))
        if status != 200:
            raise self._poster.http_failure(status, headers, content)
        return "200"


def alerts(message: Message, since_ms: int, now_ms: int, links: PageLinks) -> Iterator[dict[str, Any]]:
    """The alerts of one message: one alert, or one for each of several tenants."""
    if message.tenant_id or not message.items or message.what == "summary":  # a summary is a list for people
        yield _alert(message, None, since_ms, now_ms, links)
    else:
        for item in message.items:
            yield _alert(message, item, since_ms, now_ms, links)


def _alert(message: Message, item: MessageItem | None, since_ms: int, now_ms: int, links: PageLinks) -> dict[str, Any]:
    display, page = links.display, links.of(message, item)
    tenant_id = item.tenant_id if item else message.tenant_id
    labels = {
        "alertname": "CallwardenTenant",
        "tenant": display.tenant(tenant_id),
        "behaviour": display.tenant(item.behaviour if item else message.behaviour),
        "tier": message.tier,
        "severity": item.severity if item else message.severity,
        "kind": message.what,
        "source": "notify",
    }
    lines = [item.text] if item else [*message.lines, *(each.text for each in message.items)]
    refs = [item.ref] if item else list(message.refs)
    annotations = {
        # Alertmanager forwards them to chats and mail.
        "summary_zh": plain(message.title.zh),
        "summary_en": plain(message.title.en),
        "description_zh": "\n".join(plain(line.zh) for line in lines),
        "description_en": "\n".join(plain(line.en) for line in lines),
        "ids": " ".join(display.id(ref) for ref in refs if ref),
        "link": page or "",
    }
    times = {"startsAt": rfc3339(min(since_ms, now_ms)), "endsAt": rfc3339(now_ms + _EVENT_MS)}
    if message.standing == "on":
        times["endsAt"] = rfc3339(now_ms + _AHEAD_MS)
    elif message.standing == "off":
        times = {"endsAt": rfc3339(now_ms)}
    more = {"generatorURL": page} if page is not None else {}
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        **times,
        **more,
    }
