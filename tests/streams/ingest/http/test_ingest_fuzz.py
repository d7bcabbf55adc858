"""The API against its own OpenAPI document: the answer to any request conforms to it."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from ingest_service import TOKEN, serving
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from helpers.thorough import thorough

CHECKS = [
    not_a_server_error,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
]


def ask_whatever(port: int, examples: int) -> Counter[int]:
    """Send requests that the document allows, and as many others; return how often each status came."""
    answered: Counter[int] = Counter()
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    for operation in (result.ok() for result in schema.get_all_operations()):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):  # apart, so that neither is left out by chance

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
            def ask(case: schemathesis.Case) -> None:
                answer = case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)
                answered[answer.status_code] += 1

            ask()
    return answered


@pytest.mark.parametrize("examples", thorough([10, 30], 1))
async def test_every_request_is_answered_as_the_document_says(tmp_path: Path, examples: int) -> None:
    async with serving(tmp_path) as service:
        answered = await asyncio.to_thread(ask_whatever, service.port, examples)
    assert answered[202] > 0
    assert answered[400] + answered[422] > 0
