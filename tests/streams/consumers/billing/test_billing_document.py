"""The documentation of the API: its page and its examples."""

from pathlib import Path

import jsonschema
from billing_server import serving


async def test_the_documentation_page_has_every_field_and_loads_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as billing:
        _, _, html = await billing.ask("/docs", None)
        _, _, document = await billing.ask("/openapi.json", None)
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
    names = [name for schema in document["components"]["schemas"].values() for name in schema["properties"]]
    assert len(names) > 20
    assert [name for name in names if f"<code>{name}</code>" not in html] == []
    assert set(document["paths"]) == {"/v1/refunds", "/v1/refunds/{tenant_id}"}
    answer = document["components"]["schemas"]["Answer"]
    assert {"refundable", "cancellable"} <= set(answer["required"])
    assert "退款" in answer["properties"]["refundable"]["description"]
    assert "退订" in answer["properties"]["cancellable"]["description"]


async def test_the_examples_of_the_document_conform_to_its_schema(tmp_path: Path) -> None:
    async with serving(tmp_path) as billing:
        _, _, document = await billing.ask("/openapi.json", None)
    validator = jsonschema.Draft202012Validator({"$ref": "#/components/schemas/Answer", **document})
    for path in document["paths"].values():
        examples = path["get"]["responses"]["200"]["content"]["application/json"]["examples"]
        assert set(examples) == {"forbidden", "allowed"}
        for example in examples.values():
            value = example["value"]
            validator.validate(value)
            assert value["cancellable"] is value["refundable"] is (not value["holds"])
