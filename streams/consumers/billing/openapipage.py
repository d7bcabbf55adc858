"""The OpenAPI document as an HTML page: one file without scripts, so that nothing is loaded from elsewhere."""

from typing import Any

from monitor.theme.templates import environment_of
from streams.consumers.billing.api_models import EXAMPLES


def page(document: dict[str, Any]) -> str:
    """Render the page, with the examples of answers once for all operations."""
    environment = environment_of("streams.consumers.billing", "")
    environment.filters["schema"] = _named
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return environment.get_template("openapi.html.j2").render(document=document, examples=EXAMPLES)


def _named(schema: dict[str, Any]) -> str:
    """A schema's name or type, for display."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(map(_named, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_named(schema['items'])}"
    return str(schema.get("type", "anything"))
