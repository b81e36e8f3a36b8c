"""What a body says is taken as it is said: no text becomes a number, and no truth value either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.app import create_app
from muster.domain.tasks import TaskSpec
from muster.settings import Settings

WRONG: dict[str, tuple[Any, ...]] = {
    "integer": (True, "5", 5.5), "number": (True, "5"), "boolean": (1, 0, "true", "yes"),
}  # fmt: skip


def bodies() -> Iterator[tuple[str, APIRoute]]:
    app = create_app(Settings(_env_file=None))  # type: ignore[call-arg]
    for route in app.routes:
        if isinstance(route, APIRoute) and route.body_field and route.path.startswith("/v1/"):
            yield f"{min(route.methods)} {route.path}", route


def kinds(schema: dict[str, Any]) -> Iterator[str]:
    yield schema.get("type", "")
    for shape in schema.get("anyOf", ()):
        yield from kinds(shape)


def members(kind: Any) -> Iterator[type[BaseModel]]:
    """The models of a body: itself, of a list, of what may be null."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in getattr(kind, "__args__", ()):
        yield from members(part)


def test_no_body_is_bent_into_shape() -> None:
    tried, taken = 0, []
    for name, route in bodies():
        assert route.body_field
        for model in members(route.body_field.field_info.annotation):
            for field, schema in model.model_json_schema()["properties"].items():
                for kind in set(kinds(schema)) & WRONG.keys():
                    for value in WRONG[kind]:
                        tried += 1
                        _, errors = route.body_field.validate({field: value}, loc=("body",))
                        if not any(field in error["loc"] for error in errors or ()):
                            taken.append(f"{name} {field}: {value!r}")
    assert tried > 60
    assert taken == []


@pytest.mark.parametrize(
    "more",
    [
        {"priority": "3"}, {"retry": {"max_attempts": "2"}}, {"retry": {"factor": True}},
        {"runner": {"argv": ["x"], "timeout_seconds": "4"}}, {"memory": {"inject": "no"}},
    ],
)  # fmt: skip
def test_nor_what_is_inside_it(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Input should be a valid"):
        TaskSpec.model_validate({"title": "t", **more})


def test_integers_are_numbers_and_texts_are_ids() -> None:
    spec = TaskSpec.model_validate(
        {
            "title": "t", "retry": {"factor": 3}, "runner": {"argv": ["x"], "timeout_seconds": 4},
            "depends_on": ["01939b6f-0000-7000-8000-000000000000"],
        }
    )  # fmt: skip
    assert (spec.retry.factor, len(spec.depends_on)) == (3, 1)
