"""The signatures of webhooks: the vendors' own examples, forgeries, and replays outside the tolerance."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.ingest.http.signatures.signed import InvalidSignature, SignatureScheme, SignedRequest
from streams.ingest.http.signatures.standard_webhooks import StandardWebhooksSignature
from streams.ingest.http.signatures.telnyx import TelnyxSignature
from streams.ingest.http.signatures.twilio import TwilioSignature
from streams.ingest.http.signatures.vonage import VonageSignature

NOW_S = 1_731_705_121.0
FORM = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
FIELDS = (
    b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
)  # fmt: skip


def asked(
    headers: Mapping[str, str], body: bytes = b"", target: str = "/v1/in/x", now_s: float = NOW_S
) -> SignedRequest:
    return SignedRequest(headers, target, body, now_s)


def refused(scheme: SignatureScheme, request: SignedRequest, why: str) -> None:
    with pytest.raises(InvalidSignature, match=why):
        scheme.verify(request)


def twilio(signature: str, body: bytes = FIELDS, target: str = "/myapp.php?foo=1&bar=2") -> SignedRequest:
    return asked(FORM | {"x-twilio-signature": signature}, body, target)


class TestTwilio:
    SCHEME = TwilioSignature([b"old", b"12345"], "https://mycompany.com")
    SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    JSON = b'{"property": "value", "boolean": true}'
    JSON_TARGET = "/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"

    def test_its_examples(self) -> None:
        identity = self.SCHEME.verify(twilio(self.SIGNATURE))
        assert self.SCHEME.verify(asked({"x-twilio-signature": "a9nBmqA0ju/hNViExpshrM61xv4="}, self.JSON,
                                        self.JSON_TARGET)) != identity  # fmt: skip

    def test_the_order_of_the_form_does_not_matter_and_it_is_the_same_message(self) -> None:
        turned = b"&".join(reversed(FIELDS.split(b"&")))
        assert self.SCHEME.verify(twilio(self.SIGNATURE, turned)) == self.SCHEME.verify(twilio(self.SIGNATURE))

    @pytest.mark.parametrize("origin", ["https://mycompany.com:443", "https://MyCompany.com"])
    def test_the_usual_port_may_be_written(self, origin: str) -> None:
        TwilioSignature([b"12345"], origin).verify(twilio(self.SIGNATURE))

    @pytest.mark.parametrize("origin", ["http://mycompany.com", "https://mycompany.com:8443", "https://other.com"])
    def test_another_url_is_refused(self, origin: str) -> None:
        refused(TwilioSignature([b"12345"], origin), twilio(self.SIGNATURE), "does not fit")

    def test_forgeries(self) -> None:
        refused(self.SCHEME, asked(FORM, FIELDS), "expected the header X-Twilio-Signature")
        refused(self.SCHEME, twilio("???"), "base64")
        refused(self.SCHEME, twilio(self.SIGNATURE, FIELDS + b"&Digits=5"), "does not fit")
        refused(self.SCHEME, twilio(self.SIGNATURE, target="/myapp.php?foo=1"), "does not fit")
        refused(TwilioSignature([b"1234"], "https://mycompany.com"), twilio(self.SIGNATURE), "does not fit")
        refused(self.SCHEME, asked({"x-twilio-signature": self.SIGNATURE}, b"{}"), "expected a form")
        signed = {"x-twilio-signature": "a9nBmqA0ju/hNViExpshrM61xv4="}
        refused(self.SCHEME, asked(signed, self.JSON + b" ", self.JSON_TARGET), "not the hash of the body")
        refused(self.SCHEME, twilio(self.SIGNATURE, b"a=1&" * 1_001), "at most 1,000 fields")


def jwt(claims: Any, secret: bytes = b"vonage-secret", alg: str = "HS256", signed: bool = True) -> dict[str, str]:
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in ({"alg": alg}, claims)]
    given = hmac.digest(secret, b".".join(parts), "sha256") if signed else b""
    token = b".".join([*parts, base64.urlsafe_b64encode(given).rstrip(b"=")]).decode()
    return {"authorization": f"Bearer {token}"}


class TestVonage:
    SCHEME = VonageSignature([b"vonage-secret"], 300)
    BODY = b'{"uuid": "1"}'
    CLAIMS: ClassVar = {"iat": NOW_S, "jti": "1", "payload_hash": hashlib.sha256(BODY).hexdigest()}

    def test_a_signed_body(self) -> None:
        first = self.SCHEME.verify(asked(jwt(self.CLAIMS), self.BODY))
        # A repetition has another jti.
        assert self.SCHEME.verify(asked(jwt(self.CLAIMS | {"jti": "2", "iat": NOW_S + 60}), self.BODY)) == first

    @pytest.mark.parametrize(
        ("headers", "why"),
        [
            ({}, "expected the header Authorization"),
            ({"authorization": "Bearer a.b"}, "expected a JWT"),
            ({"authorization": "Basic a.b.c"}, "expected a JWT"),
            (jwt(CLAIMS, b"other"), "not signed"),
            (jwt(CLAIMS, alg="none", signed=False), "not signed"),
            (jwt(CLAIMS, alg="none"), "HS256"),
            (jwt([1]), "JSON objects"),
            (jwt({"payload_hash": "x"}), "iat"),
            (jwt(CLAIMS | {"iat": True}), "iat"),
            (jwt(CLAIMS | {"iat": NOW_S - 301}), "replay"),
            (jwt(CLAIMS | {"iat": NOW_S + 301}), "replay"),
            (jwt(CLAIMS | {"exp": NOW_S}), "expired"),
            (jwt(CLAIMS | {"payload_hash": hashlib.sha256(b"{}").hexdigest()}), "not the hash of the body"),
            (jwt({"iat": NOW_S}), "not the hash of the body"),
        ],
    )
    def test_forgeries_and_replays(self, headers: dict[str, str], why: str) -> None:
        refused(self.SCHEME, asked(headers, self.BODY), why)


class TestStandardWebhooks:
    SCHEME = StandardWebhooksSignature([b"whsec_plJ3nmyCDGBKInavdOK15jsl"], 300)
    BODY = b'{"event_type":"ping","data":{"success":true}}'
    HEADERS: ClassVar = {
        "webhook-id": "msg_loFOjxBNrRLzqYUf",
        "webhook-timestamp": "1731705121",
        "webhook-signature": "v1,AAAA v2,xyz v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }

    def test_its_example(self) -> None:
        assert self.SCHEME.verify(asked(self.HEADERS, self.BODY)) == (b"msg_loFOjxBNrRLzqYUf",)

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"webhook-id": "msg_other"}, "no signature v1 that fits"),
            ({"webhook-id": ""}, "expected the header webhook-id"),
            ({"webhook-timestamp": "1731705122"}, "no signature v1 that fits"),
            ({"webhook-timestamp": "1731704820"}, "replay"),
            ({"webhook-timestamp": "1731705422"}, "replay"),
            ({"webhook-timestamp": "nan"}, "replay"),
            ({"webhook-timestamp": "soon"}, "expected a time"),
            ({"webhook-signature": "v1a,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="}, "no signature v1 that fits"),
            ({"webhook-signature": "v1,A " * 21}, "no signature v1 that fits"),
        ],
    )
    def test_forgeries_and_replays(self, changed: dict[str, str], why: str) -> None:
        refused(self.SCHEME, asked(self.HEADERS | changed, self.BODY), why)

    def test_another_body(self) -> None:
        refused(self.SCHEME, asked(self.HEADERS, self.BODY + b"\n"), "no signature v1 that fits")

    def test_a_secret_that_is_not_base64(self) -> None:
        with pytest.raises(InvalidSignature, match="expected the secret in base64"):
            StandardWebhooksSignature([b"whsec_???"], 300)


class TestTelnyx:
    def test_signed_forged_and_replayed(self) -> None:
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        public = base64.b64encode(key.public_key().public_bytes_raw())
        scheme, body, time = TelnyxSignature([public], 300), b'{"data": {}}', str(int(NOW_S))
        signature = base64.b64encode(key.sign(time.encode() + b"|" + body)).decode()
        headers = {"telnyx-timestamp": time, "telnyx-signature-ed25519": signature}
        assert scheme.verify(asked(headers, body)) == (hashlib.sha256(body).digest(),)
        refused(scheme, asked(headers, body + b" "), "does not fit")
        refused(scheme, asked(headers | {"telnyx-timestamp": str(int(NOW_S) + 1)}, body), "does not fit")
        refused(scheme, asked(headers | {"telnyx-signature-ed25519": "AAAA"}, body), "does not fit")
        refused(scheme, asked(headers, body, now_s=NOW_S + 301), "replay")
        for wrong in (b"???", b"AAAA"):
            with pytest.raises(InvalidSignature):
                TelnyxSignature([wrong], 300)
