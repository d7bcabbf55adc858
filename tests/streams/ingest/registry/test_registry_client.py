"""The answer of a schema registry is a schema, the absence of one, or a reason to wait; its size is always limited."""

import base64

import pytest
from registry_stub import RegistryStub, reference

from streams.ingest.registry.client import NoSuchSchema, RegistryAddress, RegistryClient
from streams.ingest.registry.errors import MAX_SCHEMA_BYTES, SchemaRefused
from streams.kafka.api import TransientError


@pytest.fixture
def registry():
    with RegistryStub() as stub:
        yield stub


def client(registry, **more):
    return RegistryClient(RegistryAddress(registry.url, **more))


def test_a_schema_comes_with_all_that_it_refers_to_deepest_first(registry):
    registry.schema(7, "int", reference("b", "B"), reference("c", "C"))
    registry.subject("B", 1, "long", reference("d", "D%2FE", 3))
    registry.answers["/subjects/D%252FE/versions/3"] = 200, {"schema": '"string"'}
    registry.subject("C", 1, "bytes", reference("d", "D%2FE", 3))
    found = client(registry).schema(7)
    assert (found.kind, found.text) == ("AVRO", "int")
    assert list(found.references.items()) == [("d", '"string"'), ("b", '"long"'), ("c", '"bytes"')]
    assert len(registry.asked) == 4
    assert registry.asked[0] == "/schemas/ids/7?format=serialized"


def test_an_id_that_the_registry_does_not_know_is_told_from_a_path_that_it_does_not_know(registry):
    with pytest.raises(NoSuchSchema):
        client(registry).schema(7)
    registry.answers["/schemas/ids/7"] = 404, {"error_code": 0, "message": "no resource"}
    one = client(registry)
    with pytest.raises(TransientError, match=r"no schema registry; check CALLWARDEN_SCHEMA_REGISTRY_URL .*ccompat"):
        one.schema(7)
    registry.schema(8, "int")
    one.schema(8)
    with pytest.raises(SchemaRefused, match="answers 404"):  # now the request is wrong: other requests must not wait
        one.schema(7)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, r"answers 500 to /schemas/ids/7"),
        (429, r"answers 429"),
        (401, r"refuses the login \(401\); check CALLWARDEN_SCHEMA_REGISTRY_AUTH"),
        (403, r"refuses the login"),
        (302, r"no schema registry"),
        (200, r"no schema registry"),
    ],
)
def test_what_may_pass_is_a_reason_to_wait(registry, status, reason):
    registry.answers["/schemas/ids/7"] = status, b"<html>" if status == 200 else {"message": "x"}
    with pytest.raises(TransientError, match=reason):
        client(registry).schema(7)
    assert len(registry.asked) == 1


def test_a_registry_that_is_away_is_a_reason_to_wait(registry):
    gone = RegistryStub()
    gone._server.server_close()
    with pytest.raises(TransientError, match=r"^the schema registry 127\.0\.0\.1:\d+ cannot be reached: Conn"):
        client(gone).schema(7)


def test_a_slow_answer_is_given_up(registry, monkeypatch):
    monkeypatch.setattr("streams.ingest.registry.client.TIMEOUT_S", 0.2)
    registry.schema(7, "x" * 1_000)
    registry.drips = True
    # Each byte comes in time; what is limited is the whole answer.
    with pytest.raises(TransientError, match=r"does not answer within 0\.2 s"):
        client(registry).schema(7)


def test_no_answer_is_read_beyond_its_limit(registry):
    registry.answers["/schemas/ids/7"] = 200, b" " * (8 << 20)
    with pytest.raises(SchemaRefused, match="more than"):
        client(registry).schema(7)
    registry.schema(8, "x" * (MAX_SCHEMA_BYTES + 1))
    with pytest.raises(SchemaRefused, match="expected at most"):
        client(registry).schema(8)


def test_references_in_a_circle_and_too_many_of_them_are_refused(registry):
    registry.schema(7, "int", reference("b", "B"))
    registry.subject("B", 1, "int", reference("c", "C"))
    registry.subject("C", 1, "int", reference("b", "B"))
    with pytest.raises(SchemaRefused, match="circle"):
        client(registry).schema(7)
    assert len(registry.asked) == 3
    registry.schema(8, "int", *(reference(f"r{n}", f"R{n}") for n in range(1_000)))
    for n in range(1_000):
        registry.subject(f"R{n}", 1, "int")
    registry.asked.clear()
    with pytest.raises(SchemaRefused, match="more than 32"):
        client(registry).schema(8)
    assert len(registry.asked) == 33
    registry.schema(9, "int", reference("gone", "GONE"))
    with pytest.raises(SchemaRefused, match="'gone', which the registry does not have"):
        client(registry).schema(9)
    for odd in ({"schema": "int", "references": 5}, {"schema": "int", "references": [5]}, {"schema": 7}):
        registry.answers["/schemas/ids/10"] = 200, odd
        with pytest.raises(SchemaRefused):
            client(registry).schema(10)


def test_the_login_is_sent_and_is_in_no_message(registry):
    secret = "user:p:ss"
    registry.answers["/schemas/ids/7"] = 401, {}
    for one in (
        client(registry, login=secret),
        RegistryClient(RegistryAddress(registry.url.replace("//", "//user:p%3Ass@"))),
    ):
        with pytest.raises(TransientError) as refused:
            one.schema(7)
        assert "ss" not in str(refused.value).replace("CALLWARDEN", "").replace("refuses", "")
        assert registry.headers[-1]["Authorization"] == "Basic " + base64.b64encode(secret.encode()).decode()
