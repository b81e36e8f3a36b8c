"""`openapi.json` is made from the routes: `python tests/checks/test_openapi.py` writes it anew."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from api.app import create_app
from muster.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "openapi.json"
PROJECT = DOCUMENT.with_name("pyproject.toml")


def rendered() -> str:
    app = create_app(Settings(_env_file=None))  # type: ignore[call-arg]
    document: dict[str, Any] = app.openapi()
    # The installed distribution's, which in a checkout may lag behind.
    document["info"]["version"] = tomllib.loads(PROJECT.read_text())["project"]["version"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def test_the_openapi_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == rendered(), f"stale: run `python {Path(__file__).relative_to(DOCUMENT.parent)}`"


def examples(document: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Of a whole body: of one of the shapes that it may have."""
    if name := schema.get("$ref"):
        return examples(document, document["components"]["schemas"][name.rpartition("/")[2]])
    found = list(schema.get("examples", ()))
    for shape in schema.get("anyOf", ()):
        found += examples(document, shape)
    if not found and schema.get("type") == "array":
        found = [[item] for item in examples(document, schema["items"])]
    return found


def test_every_body_has_an_example_that_is_taken() -> None:
    document = json.loads(DOCUMENT.read_text())
    bodies = {
        operation["operationId"]: content
        for operations in document["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    }
    assert len(bodies) > 30
    app = create_app(Settings(_env_file=None))  # type: ignore[call-arg]
    read = {route.operation_id: route.body_field for route in app.routes if isinstance(route, APIRoute)}
    without, refused = [], []
    for name, content in bodies.items():
        found = [one["value"] for one in content.get("examples", {}).values()]
        found += [content["example"]] if "example" in content else examples(document, content["schema"])
        if not found:
            without.append(name)
        if field := read[name]:  # what is read line by line has none
            refused += [f"{name}: {errors}" for one in found if (errors := field.validate(one, loc=("body",))[1])]
    assert (without, refused) == ([], [])


if __name__ == "__main__":
    DOCUMENT.write_text(rendered())
