"""The notifier's settings: errors are reported, and secrets are not shown."""

import pytest

from streams.settings.load import SettingsError, load

SECRET = "key-of-the-tests-0123456789"


def faults(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(f"CALLWARDEN_NOTIFY_{name}", value)
    with pytest.raises(SettingsError) as raised:
        load()
    said = str(raised.value)
    assert SECRET not in said
    return said


@pytest.mark.parametrize("name", ["DINGTALK_URL", "FEISHU_URL", "WECOM_URL", "ALERTMANAGER_URLS"])
@pytest.mark.parametrize(
    "url", [f"oapi.example/send?key={SECRET}", f"ftp://h/{SECRET}", f"https:// h/{SECRET}", "https://"]
)
def test_an_address_that_is_none_is_reported_without_it(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = faults(monkeypatch, **{name: url})
    assert said == f"CALLWARDEN_NOTIFY_{name}: not a web address; expected https://HOST/PATH"


def test_a_webhook_needs_its_secret_and_a_secret_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    said = faults(monkeypatch, WEBHOOK_URL="https://hook.example/", DINGTALK_SECRET=SECRET)
    assert "CALLWARDEN_NOTIFY_WEBHOOK_SECRET: absent" in said
    assert "CALLWARDEN_NOTIFY_DINGTALK_SECRET: a secret without its address" in said
    assert "expected CALLWARDEN_NOTIFY_DINGTALK_URL, too" in said


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("SEVERITY", "fatal", "expected one of info, warning, critical"),
        ("DELAY", "2d", "expected 0s to 24h"),
        ("QUIET", "5", "did you mean `5s`?"),
        ("PER_MINUTE", "21", "expected a whole number from 2 to 20"),
        ("SUMMARY_HOUR", "24", "expected a whole number from 0 to 23"),
        ("LINK", "https://console.example/", "expected https://HOST/.../{tenant}"),
        ("DINGDONG_URL", "x", "unknown; expected "),
    ],
)
def test_what_would_be_right_is_reported(name: str, value: str, right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = faults(monkeypatch, **{name: value})
    assert said.startswith(f"CALLWARDEN_NOTIFY_{name}: ")
    assert right in said


def test_several_alertmanagers_are_several_and_nothing_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLWARDEN_NOTIFY_ALERTMANAGER_URLS", "http://one:9093, https://u:pw@two/am ,")
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WECOM_URL", f"https://robot.example/send?key={SECRET}")
    settings = load()
    assert [url.get_secret_value() for url in settings.alertmanagers()] == ["http://one:9093", "https://u:pw@two/am"]
    assert SECRET not in repr(settings)
    assert "pw@" not in repr(settings)
    assert (settings.notify_delay_ms, settings.notify_severity) == (300_000, "warning")
