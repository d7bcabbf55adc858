"""`callwarden billing` rejects wrong options before it does anything, and names valid ones."""

import os
from pathlib import Path

import pytest

from helpers.warm_commands import callwarden

TOKEN = "a-token-of-the-tests"
AT, WHY = ["--partition", "0", "--offset", "7"], ["--reason", "why"]


def billing(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit status, and standard error."""
    mine = os.environ | {f"CALLWARDEN_{name}": value for name, value in environment.items()}
    done = callwarden("billing", *arguments, folder=folder, environment=mine)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "environment", "wanted"),
    [
        ([], {}, "no token is set; expected CALLWARDEN_BILLING_TOKEN_FILE, a file with one token per line, or CALL"),
        ([], {"BILLING_TOKEN": "hunter2"}, "CALLWARDEN_BILLING_TOKEN: not a token; expected 16 to 512 letters"),
        ([], {"BILLING_TOKEN_FILE": "absent"}, "`absent` is not an existing file"),
        ([], {"BILLING_AUTH": "no"}, "CALLWARDEN_BILLING_AUTH: `no` is unknown; expected one of token, none"),
        (
            [],
            {"BILLING_AUTH": "none", "WEB_HOST": "0.0.0.0"},
            "CALLWARDEN_BILLING_AUTH=none lets anyone query who can reach 0.0.0.0; expected tokens, or a loop",
        ),
        ([], {"BILLING_TOKEN": TOKEN, "BILLING_DATABASE": "x"}, "CALLWARDEN_BILLING_DATABASE: not the address"),
        ([], {"BILLING_STALE_AFTER": "0s"}, "CALLWARDEN_BILLING_STALE_AFTER: "),
        (["--accept-loss", *AT], {"BILLING_TOKEN": TOKEN}, "--reason: expected with --accept-loss and with"),
        (["--reason", "why"], {"BILLING_TOKEN": TOKEN}, "--reason: expected with --accept-loss and with"),
        (["--accept-loss", *WHY], {"BILLING_TOKEN": TOKEN}, "--accept-loss: expected --partition and --offset"),
        (["--accept-loss", *AT, "--all", *WHY], {"BILLING_TOKEN": TOKEN}, "--accept-loss: expected --partition and"),
        (["--accept-loss", *AT[:2], *WHY], {"BILLING_TOKEN": TOKEN}, "expected an --offset for each --partition"),
        (["--accept-unread", *WHY], {"BILLING_TOKEN": TOKEN}, "--accept-unread: expected --partition and"),
        (["--accept-unread", *AT, "--all", *WHY], {"BILLING_TOKEN": TOKEN}, "--accept-unread: expected --partition"),
        (["--accept-unread", "--accept-loss", *AT, *WHY], {"BILLING_TOKEN": TOKEN}, "--unread: expected one of them"),
        (AT, {"BILLING_TOKEN": TOKEN}, "expected only with --accept-loss or --accept-unread"),
    ],
)  # fmt: skip
def test_wrong_options_are_reported_in_a_sentence(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], wanted: str
) -> None:
    status, said = billing(tmp_path, *arguments, **environment)
    assert (status, "Traceback" in said) == (2, False), said
    assert wanted in said
    assert "hunter2" not in said
    assert list(tmp_path.iterdir()) == []
