"""A program that reads Avro or Protobuf checks its requirements at start, and names those that are missing."""

import importlib.util
import subprocess
import sys

import pytest
from avro_samples import framed, long, record
from registry_stub import RegistryStub

from streams.ingest.registry.decoder import Undecodable, open_decoder
from streams.kafka.api import PermanentError
from streams.settings.load import SettingsError, load


def test_values_are_decoded_by_the_schema_of_their_id(monkeypatch):
    with RegistryStub() as registry:
        monkeypatch.setenv("CALLWARDEN_SCHEMA_REGISTRY_URL", registry.url + "/")
        registry.schema(3, record(("n", "long")))
        registry.schema(4, 'syntax = "proto3";', schemaType="PROTOBUF")
        decoder = open_decoder(load(), "avro")
        assert decoder.decode(framed(long(5), 3)) == b'{"n":5}'
        with pytest.raises(Undecodable, match=r"schema 4 is not used: it is a schema of type PROTOBUF; expected AVRO"):
            decoder.decode(framed(b"", 4))
        with pytest.raises(Undecodable, match="schema 4 is not used: the schema has no message"):
            open_decoder(load(), "protobuf").decode(framed(b"\0", 4))


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr("streams.ingest.registry.decoder.find_spec", lambda name: None)
    with pytest.raises(PermanentError, match=r"avro needs a package .*; run `pip install 'callwarden\[registry\]'"):
        open_decoder(load(), "avro")


def test_a_missing_parent_package_is_no_error_of_the_program(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("streams.ingest.registry.decoder.find_spec", absent)
    with pytest.raises(PermanentError, match="protobuf needs a package"):
        open_decoder(load(), "protobuf")


def test_a_missing_address_is_named():
    with pytest.raises(PermanentError, match="avro needs CALLWARDEN_SCHEMA_REGISTRY_URL"):
        open_decoder(load(), "avro")


def test_the_packages_of_the_extra_are_not_imported_before_they_are_needed():
    code = "import sys, streams.ingest.registry.decoder; print({'fastavro', 'google.protobuf'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert importlib.util.find_spec("fastavro") is not None


def test_settings_that_cannot_be_right_are_refused_without_showing_them(monkeypatch, tmp_path):
    no_certificate = tmp_path / "ca.pem"
    no_certificate.write_text("hello")
    monkeypatch.setenv("CALLWARDEN_SCHEMA_REGISTRY_URL", "registry.example:8081/secret")
    monkeypatch.setenv("CALLWARDEN_SCHEMA_REGISTRY_AUTH", "secret")
    with pytest.raises(SettingsError) as refused:
        load()
    assert "CALLWARDEN_SCHEMA_REGISTRY_URL: not a web address" in str(refused.value)
    assert "CALLWARDEN_SCHEMA_REGISTRY_AUTH: not a login; expected USER:PASSWORD" in str(refused.value)
    assert "secret" not in str(refused.value)
    monkeypatch.delenv("CALLWARDEN_SCHEMA_REGISTRY_AUTH")
    monkeypatch.setenv("CALLWARDEN_SCHEMA_REGISTRY_URL", "https://registry.example")
    monkeypatch.setenv("CALLWARDEN_SCHEMA_REGISTRY_CA_FILE", str(no_certificate))
    with pytest.raises(SettingsError, match=r"CALLWARDEN_SCHEMA_REGISTRY_CA_FILE: not all can be read .* in PEM"):
        load()
