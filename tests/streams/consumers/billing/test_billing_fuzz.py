"""The API against its own OpenAPI document: the answer to any request conforms to it."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from billing_server import TOKEN, TOPIC, serving
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from helpers.fake_topics import FakeTopics
from helpers.thorough import thorough
from oracle.billing import TENANTS, event

CHECKS = [
    not_a_server_error,
    checks.content_type_conformance,
    checks.ignored_auth,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
]
# The document allows a 503 while the topic is not read to its end.
WITHOUT_ANSWERS = [each for each in CHECKS if each not in (not_a_server_error, checks.positive_data_acceptance)]


def ask_whatever(port: int, wanted: list[object], examples: int) -> Counter[tuple[str, int]]:
    """Send so many requests that the document allows to each path, and as many others.

    Returns how often each path answered with each status.
    """
    answered: Counter[tuple[str, int]] = Counter()
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    for operation in (result.ok() for result in schema.get_all_operations()):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):  # apart, so that neither is left out by chance

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
            def ask(case: schemathesis.Case) -> None:
                answer = case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=wanted)
                answered[case.operation.path, answer.status_code] += 1
                body = answer.json()
                if answer.status_code == 200:
                    assert body["refundable"] is body["cancellable"] is (not body["holds"])
                else:
                    assert not {"refundable", "cancellable"} & body.keys()

            ask()
    return answered


@pytest.mark.parametrize(("away", "examples"), thorough([(False, 8), (True, 8), (False, 40), (True, 40)], 2))
async def test_every_request_is_answered_as_the_document_says(tmp_path: Path, away: bool, examples: int) -> None:
    topics = FakeTopics(**{TOPIC: 1})
    topics.put(TOPIC, 0, *[event(f"e{number}", tenant, "frozen") for number, tenant in enumerate(TENANTS)])
    topics.away = away
    async with serving(tmp_path, topics=topics, caught_up=not away) as billing:
        answered = await asyncio.to_thread(ask_whatever, billing.port, WITHOUT_ANSWERS if away else CHECKS, examples)
    for path in ("/v1/refunds/{tenant_id}", "/v1/refunds"):
        assert answered[path, 503 if away else 200] > 0
        assert answered[path, 422] > 0 or path != "/v1/refunds"
