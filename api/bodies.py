"""A route whose body goes from bytes to its model in one step.

FastAPI makes Python objects of a body first and solves a route's parameters as dependencies: more than what recording
an event costs otherwise. Here the signature says the same, to the documentation and to whoever asks.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Coroutine
from typing import Any, Union, get_args, get_origin, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from starlette.responses import Response

from api.auth import Guarded

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_KEY = "idempotency-key"
_UNSTORABLE = ("surrogate", "hex escape", "recursion limit", "number out of range")
"""Lone halves of a pair of surrogates, what is nested too deeply, numbers of thousands of digits."""


_PAIR = rb"u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(rb"\\(?:" + _PAIR + rb"|(u[dD][89a-fA-F][\da-fA-F]{2})|.)", re.DOTALL)


class Straight(Guarded):
    """Of an endpoint `(request, body, *queries, key)`: the second parameter is the body, `key` its Idempotency-Key."""

    def answering(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        hints = get_type_hints(self.endpoint, include_extras=True)
        names = list(inspect.signature(self.endpoint).parameters)
        body = _Body(hints[names[1]])
        queries = _queries(self.endpoint, names[2:-1], hints)
        key: TypeAdapter[str | None] = TypeAdapter(hints[names[-1]])
        endpoint = self.endpoint

        async def straight(request: Request) -> Response:
            raw = await request.body()
            sent = body.read(request.headers.get("content-type"), raw)
            asked: dict[str, Any] = {}
            if request.scope["query_string"]:
                found = _validated(queries.model_validate, dict(request.query_params), "query")
                asked = {name: getattr(found, name) for name in found.model_fields_set}
            if (named := request.headers.get(_KEY)) is not None:
                asked[names[-1]] = _validated(key.validate_python, named, "header", "Idempotency-Key")
            answer: Response = await endpoint(request, sent, **asked)
            return answer

        return straight


class Lenient(Guarded):
    """Of what people and programs write for the memory, where a lone half of a character is no reason to refuse it."""

    def answering(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().answering()
        return lambda request: answer(_Mended(request.scope, request.receive))


class _Mended(Request):
    async def body(self) -> bytes:
        raw = await super().body()
        return _ESCAPE.sub(_whole, raw) if _HALF.search(raw) else raw


class _Body:
    """Of one kind, or an object or an array."""

    def __init__(self, hint: Any) -> None:
        kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        self._object = self._array = TypeAdapter(kinds[0])
        for kind in kinds[1:]:
            self._array = TypeAdapter(kind)

    def read(self, content_type: str | None, raw: bytes) -> Any:
        if not raw:
            raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
        kind = (content_type or "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            error = {"type": "model_attributes_type", "loc": ("body",), "msg": "Input should be JSON"}
            raise RequestValidationError([error], body=raw)
        adapter = self._array if raw.lstrip()[:1] == b"[" else self._object
        try:
            return adapter.validate_json(raw)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        if any(item["type"] == "json_invalid" and _is_half(str(item["ctx"]["error"])) for item in found):
            try:
                return adapter.validate_json(_ESCAPE.sub(_whole, raw))
            except ValidationError as error:
                found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([_at_body(item, raw) for item in found])


def _is_half(error: str) -> bool:
    return "surrogate" in error or "hex escape" in error


def _whole(escape: re.Match[bytes]) -> bytes:
    """Half of a pair of surrogates, as a text has it that was cut in a character, is U+FFFD."""
    return rb"\ufffd" if escape[1] else escape[0]


def _at_body(item: Any, raw: bytes) -> dict[str, Any]:
    if item["type"] != "json_invalid":
        return {"type": item["type"], "loc": ("body", *item["loc"]), "msg": item["msg"]}
    what = str(item["ctx"]["error"])
    if any(words in what for words in _UNSTORABLE):
        # JSON by its grammar: told like any other item that cannot be kept.
        return {"type": "value_error", "loc": ("body", *_item_at(raw, what)), "msg": f"cannot be stored: {what}"}
    return {"type": "json_invalid", "loc": ("body",), "msg": item["msg"], "ctx": {"error": what}}


def _item_at(raw: bytes, error: str) -> tuple[str | int, ...]:
    """Where in a list of items `… at line 3 column 14` is."""
    try:
        line, column = (int(word) for word in error.split()[-3::2])
        at = sum(len(text) + 1 for text in raw.split(b"\n")[: line - 1]) + column
        for back in (1, 8, 16):
            try:
                known = _ANY.validate_json(raw[: at - back], experimental_allow_partial=True)
                break
            except ValueError:
                continue
        else:
            return ()
    except ValueError:
        return ()
    if isinstance(known, list):
        return (max(0, len(known) - 1),)
    if isinstance(known, dict) and isinstance(events := known.get("events"), list):
        return ("events", max(0, len(events) - 1))
    return ()


def _queries(endpoint: Callable[..., Any], names: list[str], hints: dict[str, Any]) -> type[BaseModel]:
    parameters = inspect.signature(endpoint).parameters
    fields: dict[str, Any] = {name: (hints[name], parameters[name].default) for name in names}
    return create_model("Queries", **fields)


def _validated(validate: Callable[[Any], Any], value: Any, *loc: str) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    raise RequestValidationError([{**item, "loc": (*loc, *item["loc"])} for item in found])
