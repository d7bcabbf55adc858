"""POST /v1/in/NAME: foreign records, mapped; tokens in paths; signatures; Tencent's push protocol."""

import asyncio
import base64
import hmac
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ingest_service import JSON, NARROW, TOKEN, MemoryTopics, Served, call, serving, tokens_text

from helpers.patience import PATIENCE_S
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.kafka.api import PermanentError

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IN_PATH = "a-token-for-paths"
TOKENS = tokens_text(
    ("wide", TOKEN, "all", "all"),
    ("narrow", NARROW, "[cdr]", "[acme]"),
    ("path", IN_PATH, "[cdr]", "all", "[tccc, twilio, vonage]"),
)
MAPPING = """
mapping: own
about: calls of a small PBX
format: FORMAT
record: cdr
reject:
- {when: {column: kind, equals: internal}, reason: it goes to nobody outside}
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {column: from}
  callee: {column: to}
  start_ms: {column: start, time: epoch_s}
  end_ms: {column: end, time: epoch_s}
  outcome: {column: cause, table: {"17": busy, "19": no_answer}}
"""
SOURCES = """
sources:
- name: tccc
  protocol: tccc
- name: twilio
  signature: {scheme: twilio, secret_file: twilio.secret, origin: https://door.example.com}
- name: vonage
  format: own.yaml
  signature: {scheme: vonage, secret_env: THE_SECRET_OF_VONAGE}
- {name: csv, format: csv.yaml, set: {tenant_id: acme}}
- {name: form, format: form.yaml}
- {name: json, format: own.yaml}
"""


def row(number: int, **fields: str) -> dict[str, str]:
    return {"id": f"c-{number}", "tenant": "acme", "from": "+861058000001", "to": "+8613800000000",
            "start": "1772438400", "end": "1772438430", "cause": "19", "kind": "out"} | fields  # fmt: skip


def push(number: int, **fields: Any) -> bytes:
    return json.dumps(
        {"SessionId": f"s-{number}", "SdkAppId": "1400000000", "Direction": 1, "Caller": "+861058000001",
         "Callee": "+8613800000000", "Time": 1772438400, "StartTimestamp": 1772438400, "EndedTimestamp": 1772438430,
         "EndStatus": 202, "CallType": 1} | fields
    ).encode()  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THE_SECRET_OF_VONAGE", "vonage-secret")
    (tmp_path / "twilio.secret").write_text("the-former-secret\n12345\n", "utf-8")
    (tmp_path / "own.yaml").write_text(MAPPING.replace("FORMAT", "json"), "utf-8")
    (tmp_path / "csv.yaml").write_text(MAPPING.replace("FORMAT", "csv"), "utf-8")
    (tmp_path / "form.yaml").write_text(MAPPING.replace("FORMAT", "form"), "utf-8")
    (tmp_path / "sources.yaml").write_text(SOURCES, "utf-8")
    return tmp_path


def open_service(folder: Path, topics: MemoryTopics | None = None) -> Any:
    return serving(folder, topics, tokens=TOKENS, ingest_sources_file=str(folder / "sources.yaml"))


async def post(
    service: Served, path: str, body: bytes, headers: Mapping[str, str] = {}, token: str | None = TOKEN
) -> tuple[int, Any]:
    given = {"Authorization": f"Bearer {token}"} if token is not None else {}
    status, _, answer = await service.ask("POST", path, {**given, **headers}, body)
    return status, answer


def written(service: Served) -> list[dict[str, Any]]:
    return [json.loads(each.value or b"") for each in service.topics.of("cdr")]


async def test_json_csv_and_forms_become_the_records_that_the_mapping_says(folder: Path) -> None:
    names = list(row(1))
    bodies = {
        "json": json.dumps([row(1)]).encode(),
        "csv": "\n".join([",".join(names), ",".join(row(1, tenant="the file says").values()), ""]).encode(),
        "form": "&".join(f"{name}={quote(value)}" for name, value in row(1).items()).encode(),
    }
    async with open_service(folder) as service:
        for name, body in bodies.items():
            answer = await post(service, f"/v1/in/{name}", body, FORM)
            assert answer == (202, {"received": 1, "accepted": 1, "rejected": 0, "rejections": []}), name
        assert len(written(service)) == 3
        assert {each.key for each in service.topics.of("cdr")} == {b"acme"}
        # The mapped record equals what our own API would have written.
        assert all(call(1).items() <= each.items() for each in written(service))


async def test_a_row_that_cannot_be_mapped_steps_aside_alone_as_it_came(folder: Path) -> None:
    rows = [row(1), row(2, start="soon"), row(3, cause="99"), row(4, tenant="other"), row(5, kind="internal")]
    async with open_service(folder) as service:
        status, answer = await post(service, "/v1/in/json", json.dumps(rows).encode(), JSON, NARROW)
        assert (status, answer["received"], answer["accepted"]) == (202, 5, 1)
        codes = [(each["index"], each["code"]) for each in answer["rejections"]]
        assert codes == [(1, "unreadable_time"), (2, "unknown_value"), (3, "forbidden_tenant"), (4, "excluded")]
        letters = service.topics.of("dead-letter")
        # Rows that the mapping leaves out on purpose are counted, and are not dead letters.
        assert [json.loads(each.value or b"") for each in letters] == rows[1:4]
        assert dict(letters[0].headers)["ingest"] == b"narrow"
        assert await service.metric('callwarden_ingest_rejected_total{code="excluded"}') == 1


async def test_rows_that_are_left_out_on_purpose_are_no_failure(folder: Path) -> None:
    # A switch that receives 422 sends the same rows for ever.
    body = json.dumps([row(1, kind="internal")]).encode()
    async with open_service(folder) as service:
        for headers in ({}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}):
            status, answer = await post(service, "/v1/in/json", body, headers)
            assert (status, answer["accepted"], answer["rejected"]) == (202, 0, 1)
        assert not written(service)
        assert not service.topics.of("dead-letter")


async def test_keys_hold_for_mapped_records_too(folder: Path) -> None:
    body, key = json.dumps([row(1), row(2, start="soon")]).encode(), {"Idempotency-Key": "k"}
    async with open_service(folder) as service:
        first = await post(service, "/v1/in/json", body, key)
        assert await post(service, "/v1/in/json", body, key) == first
        assert len(written(service)) == len(service.topics.of("dead-letter")) == 1
        assert (await post(service, "/v1/in/json", body + b" ", key))[0] == 422
        assert (await post(service, "/v1/in/form", body, key))[0] == 422


@pytest.mark.parametrize(
    ("name", "body", "status", "why"),
    [
        ("nobody", b"{}", 404, "no source of this name"),
        ("json", b"", 400, "no row"),
        ("csv", b"id,tenant\n", 422, ""),
        ("json", b"[" + b"{}," * 1_000_000 + b"{}]", 413, "at most 2,000 rows"),
        ("json", b"[" + b"{}," * 2_000 + b"{}]", 413, "at most 2,000 rows"),
        ("json", b"{}" * 1_000_000, 413, "at most 2,000 rows"),
        ("json", b"\n " * 1_000_000, 413, "at most 2,000 rows"),
        ("form", b"a=b\n" * 1_000_000, 413, "at most 2,000 rows"),
        ("csv", b"\n" * 1_000_000, 413, "at most 2,000 rows"),
        ("json", b"x" * (9 << 20), 413, "too large"),
        ("json", b"[" * 500_000, 422, ""),
        ("json", bytes(range(256)), 422, ""),
    ],
)
async def test_a_hostile_body_has_a_clear_answer(folder: Path, name: str, body: bytes, status: int, why: str) -> None:
    async with open_service(folder) as service:
        found, problem = await post(service, f"/v1/in/{name}", body)
        assert (found, why in problem.get("detail", "")) == (status, True), problem
        assert not written(service)


class TestTokens:
    async def test_where_a_token_may_stand(self, folder: Path) -> None:
        body = push(1)
        target = "?action=cdr&version=1"
        basic = {"Authorization": "Basic " + base64.b64encode(f"tencent:{IN_PATH}".encode()).decode()}
        async with open_service(folder) as service:
            for path, headers, token, wanted in (
                (f"/v1/in/tccc/{IN_PATH}", {}, None, 200),
                ("/v1/in/tccc", basic, None, 200),
                ("/v1/in/tccc", {}, IN_PATH, 200),
                ("/v1/in/tccc", {}, TOKEN, 200),
                (f"/v1/in/tccc/{IN_PATH}x", {}, None, 401),
                (f"/v1/in/tccc/{IN_PATH}/", {}, None, 401),
                ("/v1/in/tccc/", {}, TOKEN, 401),
                # A token that does not name its sources is for headers only, because paths may appear in logs.
                (f"/v1/in/tccc/{TOKEN}", {}, None, 401),
                # A token that names them allows nothing else.
                ("/v1/in/json", {}, IN_PATH, 401),
                (f"/v1/in/json/{IN_PATH}", {}, None, 401),
                ("/v1/records", {}, IN_PATH, 401),
                ("/v1/in/nobody", {}, "wrong", 401),
            ):
                status, _ = await post(service, path + target, body, headers, token)
                assert status == wanted, (path, headers, token)

    async def test_a_token_in_a_path_is_in_no_log_no_page_and_no_answer(
        self, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = []
        async with open_service(folder) as service:
            for path in ("tccc", "json", "nobody"):
                for body in (push(1), b"{", b"x" * (9 << 20)):
                    shown.append(await post(service, f"/v1/in/{path}/{IN_PATH}?action=cdr", body, token=None))
            # An internal error, whose traceback is logged.
            monkeypatch.setattr("streams.ingest.http.intake.mapped", lambda source, body: 1 / 0)
            status, answer = await post(service, f"/v1/in/tccc/{IN_PATH}?action=cdr&version=1", push(2), token=None)
            assert status == 500
            shown.append((status, answer))
            shown.append(await service.ask("GET", f"/v1/in/tccc/{IN_PATH}", {}))
            shown.append(await service.ask("GET", "/metrics", {}))
        assert "Traceback" in caplog.text
        assert IN_PATH not in caplog.text
        assert IN_PATH not in repr(shown)


class TestTccc:
    """Tencent's protocol: any answer except ErrCode 0 is pushed again, up to three times."""

    PATH = "/v1/in/tccc?action=cdr&version=1"

    async def test_a_push_is_taken_and_its_repetitions_write_nothing(self, folder: Path) -> None:
        again = {"X-TCCC-PUSH-UUID": "0b9a8c7d-6e5f"} | JSON
        async with open_service(folder) as service:
            for _ in range(4):
                status, headers, answer = await service.ask(
                    "POST", self.PATH, {"Authorization": f"Bearer {TOKEN}"} | again, push(1)
                )
                assert (status, answer) == (200, {"ErrCode": 0})
                assert headers["content-type"] == "application/json"
            assert [(each["call_id"], each["tenant_id"]) for each in written(service)] == [("s-1", "1400000000")]
            assert await service.metric("callwarden_ingest_repeated_requests_total") == 3
            # Another push, and one that reuses the id: nothing is lost.
            assert (await post(service, self.PATH, push(2), {"X-TCCC-PUSH-UUID": "another"}))[0] == 200
            assert (await post(service, self.PATH, push(3), again))[0] == 200
            assert len(written(service)) == 3

    async def test_what_a_repetition_cannot_mend_is_taken_as_a_dead_letter(self, folder: Path) -> None:
        async with open_service(folder) as service:
            assert await post(service, self.PATH, push(1, EndStatus=999)) == (200, {"ErrCode": 0})
            assert [each.value for each in service.topics.of("dead-letter")] == [push(1, EndStatus=999)]
            assert await post(service, self.PATH, push(2, CallType=6)) == (200, {"ErrCode": 0})
            assert len(service.topics.of("dead-letter")) == 1

    async def test_what_is_not_taken_is_pushed_again(self, folder: Path) -> None:
        again = {"X-TCCC-PUSH-UUID": "0b9a8c7d-6e5f"}
        async with open_service(folder) as service:
            for path, token, wanted in (
                (self.PATH, "wrong", 401),
                ("/v1/in/tccc", TOKEN, 400),
                ("/v1/in/tccc?action=record&version=1", TOKEN, 400),
                ("/v1/in/tccc?action=cdr&version=2", TOKEN, 400),
            ):
                status, answer = await post(service, path, push(1), again, token)
                assert (status, answer["ErrCode"]) == (wanted, wanted)
                assert answer["ErrMsg"]
            service.topics.away = True
            status, answer = await post(service, self.PATH, push(1), again)
            assert (status, answer["ErrCode"]) == (503, 503)
            service.topics.away = False
            async with asyncio.timeout(PATIENCE_S):
                while (await post(service, self.PATH, push(1), again))[0] != 200:
                    await asyncio.sleep(0.05)
            assert len(written(service)) == 1


class TestSignatures:
    PATH = f"/v1/in/twilio/{IN_PATH}"
    # No mapping of a single callback is shipped; the body is the API's resource.
    BODY = json.dumps({"calls": []}).encode()

    def signed(self, target: str, secret: bytes = b"12345") -> dict[str, str]:
        given = hmac.digest(secret, b"https://door.example.com" + target.encode(), "sha1")
        return {"X-Twilio-Signature": base64.b64encode(given).decode()}

    def target(self, body: bytes) -> str:
        import hashlib

        return f"{self.PATH}?bodySHA256={hashlib.sha256(body).hexdigest()}"

    async def test_a_signed_request_is_taken_once_whatever_key_a_replay_has(self, folder: Path) -> None:
        body = json.dumps(
            {"sid": "CA1", "account_sid": "AC1", "parent_call_sid": None, "from": "+15550001111", "to": "+15557654321",
             "status": "busy", "start_time": "Mon, 02 Mar 2026 01:31:00 +0000", "answered_by": None, "duration": "0",
             "end_time": "Mon, 02 Mar 2026 01:31:00 +0000", "direction": "outbound-api"}
        ).encode()  # fmt: skip
        target = self.target(body)
        async with open_service(folder) as service:
            first = await post(service, target, body, self.signed(target), None)
            assert first == (202, {"received": 1, "accepted": 1, "rejected": 0, "rejections": []})
            for key in ("a", "b"):
                assert await post(service, target, body, self.signed(target) | {"Idempotency-Key": key}, None) == first
            assert len(written(service)) == 1

    async def test_a_forgery_is_told_why_and_writes_nothing(self, folder: Path) -> None:
        target = self.target(self.BODY)
        async with open_service(folder) as service:
            for headers in ({}, self.signed(target, b"x"), self.signed(self.PATH)):
                status, problem = await post(service, target, self.BODY, headers, None)
                assert (status, problem["type"]) == (401, "urn:callwarden:problem:bad-signature")
            # The signature is not a token.
            unknown = target.replace(IN_PATH, "wrong")
            status, problem = await post(service, unknown, self.BODY, self.signed(unknown), None)
            assert (status, problem["type"]) == (401, "urn:callwarden:problem:unauthorized")
            assert all(not log for log in service.topics.logs.values())

    async def test_where_the_header_has_the_signature_the_token_is_in_the_path(self, folder: Path) -> None:
        async with open_service(folder) as service:
            status, problem = await post(service, "/v1/in/vonage", b"{}", {}, IN_PATH)
            assert (status, problem["type"]) == (401, "urn:callwarden:problem:unauthorized")
            status, problem = await post(service, f"/v1/in/vonage/{IN_PATH}", b"{}", {}, IN_PATH)
            assert (status, problem["type"]) == (401, "urn:callwarden:problem:bad-signature")

    async def test_a_secret_is_changed_without_a_restart(self, folder: Path) -> None:
        target = self.target(b"{}")
        async with open_service(folder) as service:
            (folder / "twilio.secret").write_text("a-new-secret", "utf-8")
            assert (await post(service, target, b"{}", self.signed(target), None))[0] == 401
            assert (await post(service, target, b"{}", self.signed(target, b"a-new-secret"), None))[0] == 422


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "expected `sources:` with a list of sources"),
        ("sources: 5\n", "sources.yaml:1:1: expected `sources:`"),
        ("sources:\n- 5\n", "sources.yaml:2:3: not a source; expected name, format"),
        ("sources:\n- {name: a/b, format: tccc}\n", "sources.yaml:2:10: name: expected 1 to 64"),
        ("sources:\n- {name: x, format: tcc}\n", "did you mean `tccc`"),
        ("sources:\n- {name: x, format: bank-calls}\n", "reads files only"),
        ("sources:\n- {name: tccc, mapping: x}\n", "unknown"),
        ("sources:\n- {name: tccc, set: {tenant: x}}\n", "tenant"),
        ("sources:\n- {name: tccc, set: {tenant_id: 5}}\n", "set: expected fields, each with a text in quotes"),
        ("sources:\n- {name: tccc, protocol: tcc}\n", "did you mean `tccc`"),
        ("sources:\n- {name: tccc}\n- {name: tccc}\n", "expected each name once"),
        ("sources:\n- {name: tccc, signature: twilio}\n", "signature: expected a scheme"),
        ("sources:\n- {name: tccc, signature: {scheme: twillio}}\n", "did you mean `twilio`"),
        ("sources:\n- {name: tccc, signature: {scheme: vonage}}\n", "expected secret_file or secret_env"),
        ("sources:\n- {name: tccc, signature: {scheme: vonage, secret_env: NOT_THERE}}\n", "there is none"),
        ("sources:\n- {name: tccc, signature: {scheme: vonage, secret_file: gone}}\n", "cannot be read: No such file"),
        ("sources:\n- {name: tccc, signature: {scheme: twilio, secret_file: own.yaml}}\n", "origin: expected"),
        (
            "sources:\n- {name: tccc, signature: {scheme: twilio, secret_file: s, origin: https://x/y}}\n",
            "origin: expected the beginning",
        ),
        (
            "sources:\n- {name: tccc, signature: {scheme: vonage, secret_file: s, origin: https://x}}\n",
            "only twilio signs the URL",
        ),
        (
            "sources:\n- {name: tccc, signature: {scheme: vonage, secret_file: s, tolerance_s: 0}}\n",
            "tolerance_s: expected 1 to 3,600",
        ),
        (
            "sources:\n- {name: tccc, signature: {scheme: standard-webhooks, secret_file: s}}\n",
            "expected the secret in base64",
        ),
    ],
)
def test_every_fault_of_the_sources_file_has_its_place_and_shows_no_secret(
    tmp_path: Path, text: str, wanted: str
) -> None:
    (tmp_path / "s").write_text("a?secret", "utf-8")
    (tmp_path / "own.yaml").write_text("", "utf-8")
    file = tmp_path / "sources.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(PermanentError) as output:
        ForeignSources(file)
    assert wanted in str(output.value)
    assert "a?secret" not in str(output.value)
