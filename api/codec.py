"""Temporal's remote codec: what it keeps encrypted, shown to those who may see it.

Two kinds of clients ask. The `temporal` CLI sends a key. The Web UI runs in a browser, at another address than this
API and without a key: it is let in from exactly its own address (CORS), with the cookie that `/login` sets.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from starlette.responses import Response
from temporalio.api.common.v1 import Payload

from api import signin
from api.answers import problems
from api.auth import OPEN, Guarded, must_reach_all, needs, router_of
from api.context import asking, context
from api.errors import refusal
from muster.domain.errors import Forbidden, MusterError
from muster.domain.tenants import Scope
from muster.payloads import INSTANCE, Keys, UnreadablePayload, is_sealed, owner_of
from muster.settings import Settings

log = logging.getLogger(__name__)

PATHS = frozenset({"/codec/decode", "/codec/encode"})
"""What the Web UI's pages ask for, from their own address."""
MAX_BODY_BYTES = 4 * 1024 * 1024
"""A payload of the largest size there is, as base64."""

_HEADERS = "Authorization, X-Namespace, Content-Type"
_LOCAL = ("localhost", "127.0.0.1")


def origins(settings: Settings) -> frozenset[str]:
    """The Web UI's address, as browsers say it."""
    try:
        address = urlsplit(settings.temporal_ui_url or "")
        port = address.port
    except ValueError:
        return frozenset()
    if not address.hostname or address.scheme not in ("http", "https"):
        return frozenset()
    names = _LOCAL if address.hostname in _LOCAL else (address.hostname,)
    shown = "" if port in (None, {"http": 80, "https": 443}[address.scheme]) else f":{port}"
    return frozenset(f"{address.scheme}://{f'[{name}]' if ':' in name else name}{shown}" for name in names)


class _Remote(Guarded):
    """A route that pages of the Web UI may ask, with their cookie in the place of a key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def remote(request: Request) -> Response:
            # Only to the Web UI's own pages: a cookie goes along with whatever a browser sends here.
            if _cors(request).keys() > {"Vary"}:
                request = signin.with_key(request)
            try:
                response = await answer(request)
            except MusterError as error:
                response = refusal(request.scope, error)
            response.headers.update(_cors(request))
            return response

        return remote


router = router_of("codec", prefix="/codec")
router.route_class = _Remote


def _decoded(text: object) -> object:
    if not isinstance(text, str):
        return text
    # Both alphabets: protobuf's JSON writes one and reads either.
    return base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)


def _in_utf8(text: str) -> str:
    text.encode()  # JSON can hold half of a pair of surrogates, and protobuf cannot
    return text


Base64 = Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "format": "byte"})]


class EncodedPayload(BaseModel):
    """`temporal.api.common.v1.Payload` as JSON: every value in base64."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "InRleHQi"}]},
    )

    metadata: dict[Annotated[str, AfterValidator(_in_utf8)], Base64] = Field(default={}, max_length=100)
    data: Base64 = Field(default=b"", json_schema_extra={"default": ""})

    def read(self) -> Payload:
        return Payload(metadata=self.metadata, data=self.data)

    @classmethod
    def of(cls, payload: Payload) -> EncodedPayload:
        return cls.model_construct(metadata=dict(payload.metadata), data=payload.data)


class EncodedPayloads(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "InRleHQi"}]}]
        },
    )

    payloads: list[EncodedPayload] = Field(default=[], max_length=10_000)


@router.post(
    "/decode",
    operation_id="decode_payloads",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="Show encrypted payloads",
    response_model=EncodedPayloads,
    responses=problems(413),
)
async def decode(request: Request, body: EncodedPayloads) -> Response:
    """Payloads of the key's own workspace come back as they were written; others as they were sent. An administrator's
    key opens them all."""
    _, tenant = await asking(request)
    must_reach_all(tenant)
    keys, own = _keys(request), str(tenant.workspace_id)

    def opened(sent: EncodedPayload) -> Payload:
        payload = sent.read()
        if keys is None or not is_sealed(payload) or not (tenant.administrator or owner_of(payload) == own):
            return payload
        try:
            return keys.open(payload)
        except UnreadablePayload as error:
            # One that cannot be shown must not hide the others of its page.
            log.warning("%s", error)
            return payload

    return _answer([opened(payload) for payload in body.payloads])


@router.post(
    "/encode",
    operation_id="encode_payloads",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="Encrypt payloads",
    response_model=EncodedPayloads,
    responses=problems(413),
)
async def encode(request: Request, body: EncodedPayloads) -> Response:
    """Encrypts for the key's workspace; with an administrator's key for the one that the `Muster-Workspace` header
    names, and without it for none in particular, which is readable in all of them."""
    _, tenant = await asking(request)
    must_reach_all(tenant)
    keys = _keys(request)
    anywhere = tenant.administrator and "muster-workspace" not in request.headers
    owner = INSTANCE if anywhere else str(tenant.workspace_id)
    payloads = [sent.read() for sent in body.payloads]
    if keys is not None:
        payloads = [payload if is_sealed(payload) else keys.seal(payload, owner) for payload in payloads]
    return _answer(payloads)


@router.options("/decode", openapi_extra=needs(OPEN), include_in_schema=False)
@router.options("/encode", openapi_extra=needs(OPEN), include_in_schema=False)
async def preflight(request: Request) -> Response:
    """A browser asks whether a page of the Web UI may."""
    if request.headers.get("origin") not in origins(context(request).settings):
        raise Forbidden("requests from other web sites are refused")
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "POST, OPTIONS",
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": "600",
        },
    )


def _cors(request: Request) -> dict[str, str]:
    origin = request.headers.get("origin")
    if origin is None or origin not in origins(context(request).settings):
        return {"Vary": "Origin"}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}


def _keys(request: Request) -> Keys | None:
    ring = context(request).settings.payload_key_ring
    if ring is None:
        return None
    state = request.app.state
    if not hasattr(state, "payload_keys"):
        state.payload_keys = Keys(ring)
    keys: Keys = state.payload_keys
    return keys


def _answer(payloads: list[Payload]) -> Response:
    answer = {
        "payloads": [
            {
                "metadata": {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()},
                "data": base64.b64encode(payload.data).decode(),
            }
            for payload in payloads
        ]
    }
    return Response(json.dumps(answer, separators=(",", ":")), media_type="application/json")
