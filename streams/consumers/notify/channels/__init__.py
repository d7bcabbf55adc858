"""Channels: each converts messages to its receiver's format, and reports failures in a readable line."""

from collections.abc import Callable

import aiohttp

from streams.consumers.notify.channels.alertmanager import Alertmanager
from streams.consumers.notify.channels.base import Channel, DeliveryFailed
from streams.consumers.notify.channels.dingtalk import DingTalk
from streams.consumers.notify.channels.feishu import Feishu
from streams.consumers.notify.channels.webhook import Webhook
from streams.consumers.notify.channels.wecom import WeCom
from streams.consumers.notify.messages.page_links import PageLinks
from streams.settings.load import Settings

__all__ = ["Alertmanager", "Channel", "DeliveryFailed", "DingTalk", "Feishu", "WeCom", "Webhook", "configured"]


def configured(settings: Settings, session: aiohttp.ClientSession, clock: Callable[[], int]) -> list[Channel]:
    """The configured channels. ``clock`` gives epoch ms."""
    links = PageLinks(settings.console_url, settings.notify_link, settings.display)
    per_minute = settings.notify_per_minute
    channels: list[Channel] = [
        Alertmanager(session, "alertmanager" if at == 0 else f"alertmanager-{at + 1}", url, clock, links)
        for at, url in enumerate(settings.alertmanagers())
    ]
    if settings.notify_dingtalk_url is not None:
        secret = settings.notify_dingtalk_secret
        channels.append(DingTalk(session, settings.notify_dingtalk_url, secret, clock, links, per_minute))
    if settings.notify_feishu_url is not None:
        secret = settings.notify_feishu_secret
        channels.append(Feishu(session, settings.notify_feishu_url, secret, clock, links, per_minute))
    if settings.notify_wecom_url is not None:
        channels.append(WeCom(session, settings.notify_wecom_url, links, per_minute))
    if settings.notify_webhook_url is not None and settings.notify_webhook_secret is not None:
        channels.append(Webhook(session, settings.notify_webhook_url, settings.notify_webhook_secret, clock, links))
    return channels
