"""Rendering: language, scheme and zone by cookie, everything escaped, static files under their hash."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from jinja2 import DictLoader, UndefinedError
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from streams.console.identity.users import Role, User
from streams.console.pages import render as rendering
from streams.console.pages.formats import known_zone, seg
from streams.console.pages.static_files import routes, static_files, static_url

NINE = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC
PAGE = """{% extends "base.html.j2" %}{% set active = "queue" %}{% block title %}{{ name }}{% endblock %}
{% block main %}{{ m.tenant(name) }}{{ m.when(at) }}{{ m.tier("severe") }}{{ note|safe_text }}{{ m.pager("next&1") }}
{% endblock %}"""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    environment = rendering.environment.__wrapped__()
    assert environment.loader is not None
    shipped = environment.loader
    extra = DictLoader({"page.html.j2": PAGE, "broken.html.j2": "{{ nothing }}"})
    environment.loader = type("Both", (), {"load": lambda _, env, name, globals=None: (
        extra if name in extra.mapping else shipped).load(env, name, globals)})()  # fmt: skip
    monkeypatch.setattr(rendering, "environment", lambda: environment)
    app = FastAPI(routes=[*routes()])

    @app.get("/page")
    async def page(request: Request) -> Response:
        return rendering.render(
            request, "page.html.j2", name="<b>../a?b", at=NINE, note="call +86 138 1234 5678 <script>\u202e"
        )

    @app.get("/broken")
    async def broken(request: Request) -> Response:
        return rendering.render(request, "broken.html.j2")

    async def signed_in(scope: Any, receive: Any, send: Any) -> None:
        scope["callwarden.user"] = User("local:li", "Li <i>", frozenset({Role.VIEWER}))
        scope["callwarden.csrf"] = "token"
        inner: Callable[..., Awaitable[None]] = app
        await inner(scope, receive, send)

    return TestClient(signed_in)


def test_everything_is_escaped_and_no_number_is_shown(client: TestClient) -> None:
    body = client.get("/page").text
    assert "<b>../a?b" not in body
    assert "&lt;b&gt;../a?b" in body
    assert "/tenants/%3Cb%3E..%2Fa%3Fb" in body
    assert "5678" not in body
    assert "\u202e" not in body
    assert "Li &lt;i&gt;" in body


def test_no_page_has_an_inline_script_style_or_handler(client: TestClient) -> None:
    body = client.get("/page").text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)|javascript:", body)


def test_the_language_is_that_of_the_cookie_then_of_the_browser(client: TestClient) -> None:
    assert '<html lang="zh-CN"' in client.get("/page", headers={"accept-language": "zh"}).text
    assert '<html lang="en"' in client.get("/page", headers={"accept-language": "zh", "cookie": "lang=en"}).text
    assert "严重违规" in client.get("/page", headers={"cookie": "lang=zh"}).text


def test_times_are_in_the_zone_of_the_reader(client: TestClient) -> None:
    assert "2023-11-15 06:13:20" in client.get("/page", headers={"cookie": "zone=Asia/Shanghai"}).text
    assert "Asia/Shanghai (UTC+08:00)" in client.get("/page", headers={"cookie": "zone=Asia/Shanghai"}).text
    assert "2023-11-14 22:13:20" in client.get("/page", headers={"cookie": "zone=../../etc/passwd"}).text


def test_the_theme_is_one_of_three(client: TestClient) -> None:
    assert 'data-theme="dark"' in client.get("/page", headers={"cookie": "theme=dark"}).text
    assert 'data-theme="auto"' in client.get("/page", headers={"cookie": 'theme="><script>'}).text


def test_the_header_links_what_the_user_may_see_and_marks_the_page(client: TestClient) -> None:
    body = client.get("/page").text
    assert re.search(r'href="/queue" aria-current="page"', body)
    assert 'href="/health"' in body
    assert 'href="/quality"' not in body
    assert 'href="/admin/users"' not in body


def test_the_next_page_keeps_the_filters(client: TestClient) -> None:
    assert 'href="/page?tier=major&amp;after=next%261"' in client.get("/page?tier=major&after=old").text


def test_an_unknown_name_in_a_template_is_an_error(client: TestClient) -> None:
    with pytest.raises(UndefinedError):
        client.get("/broken")


def test_a_static_file_is_kept_by_browsers_under_its_hash(client: TestClient) -> None:
    answer = client.get(static_url("console.js"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("/static/0000000000000000/console.js").status_code == 404
    assert client.get("/static/x/../../render.py").status_code == 404


def test_a_browser_that_asks_for_an_icon_by_itself_gets_the_mark(client: TestClient) -> None:
    answer = client.get("/favicon.ico")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.content == client.get(static_url("mark.svg")).content


def test_every_static_file_is_served(client: TestClient) -> None:
    assert {"theme.css", "console.css", "console.js", "mark.svg", "vendor/htmx.min.js"} <= set(static_files())
    assert all(client.get(static_url(name)).status_code == 200 for name in static_files())


@pytest.mark.parametrize("zone", ["", "Mars/Base", "/etc/localtime", "Asia/Shanghai\n"])
def test_an_unknown_zone_is_utc(zone: str) -> None:
    assert known_zone(zone) == "UTC"


@pytest.mark.parametrize(("part", "path"), [("a/b", "a%2Fb"), ("..", "%2E%2E"), ("租户", "%E7%A7%9F%E6%88%B7")])
def test_a_segment_of_a_path_is_whole(part: str, path: str) -> None:
    assert seg(part) == path
