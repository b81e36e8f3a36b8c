"""Temporal's remote codec: what it keeps encrypted, shown to those who may see it.

Two kinds of clients ask. The `temporal` CLI sends a key. The Web UI runs in a browser, at another address than this
API and without a key: it is let in from exactly its own address (CORS), with a cookie that `/codec/login` sets.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs, urlsplit

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from starlette.responses import HTMLResponse, Response
from temporalio.api.common.v1 import Payload

from api.answers import problems
from api.auth import OPEN, Guarded, MissingScope, Unauthorized, must_reach_all, needs, router_of
from api.context import asking, context
from api.errors import problem, refusal
from muster.domain.errors import Forbidden, MusterError
from muster.domain.tenants import Scope
from muster.payloads import INSTANCE, Keys, UnreadablePayload, is_sealed, owner_of
from muster.settings import Settings

if TYPE_CHECKING:
    from muster.sealing import AESGCM

log = logging.getLogger(__name__)

PATHS = frozenset({"/codec/decode", "/codec/encode"})
"""What the Web UI's pages ask for, from their own address."""
MAX_BODY_BYTES = 4 * 1024 * 1024
"""A payload of the largest size there is, as base64."""

COOKIE = "muster_codec"
COOKIE_SECONDS = 12 * 3600
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
            cookie = request.cookies.get(COOKIE) if _cors(request).keys() > {"Vary"} else None
            if cookie and not ({"authorization", "x-api-key"} & set(request.headers)):
                key = _open_cookie(context(request).settings, cookie)
                if key:
                    header = (b"authorization", b"Bearer " + key.encode())
                    request.scope["headers"] = [*request.scope["headers"], header]
                    request = Request(request.scope, request.receive)
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


# -- Signing in, for a browser ---------------------------------------------------------------------------------------

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Muster: read payloads in the Temporal Web UI</title>
<style nonce="{nonce}">
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1rem; }}
input {{ font: inherit; width: 100%; box-sizing: border-box; padding: .4rem; margin: .5rem 0 1rem; }}
button {{ font: inherit; padding: .4rem 1rem; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #161616; color: #eee; }} }}
</style>
<h1>Read payloads</h1>
<p role="status">{message}</p>
<form method="post" action="login">
<label for="key">A key with the scope <code>tasks:read</code>, of a whole workspace</label>
<input id="key" name="key" type="password" autocomplete="off" required autofocus placeholder="mst_…">
<button>Sign in for 12 hours</button>
</form>
<form method="post" action="login"><p><button name="out" value="1">Sign out</button></p></form>
"""

_ASKING = "The Temporal Web UI shows what Muster encrypted once this browser has signed in here."
_SIGNED_IN = (
    "Signed in. Once, in the Web UI: open its codec server settings (the glasses at the top), choose your browser's "
    "setting over the cluster's, give {endpoint} as the endpoint, and turn on “Include cross-origin credentials”."
)


def _page(message: str, status: int = 200) -> Response:
    nonce = base64.b64encode(os.urandom(16)).decode()
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    # With no referrer at all, a browser sends the form with `Origin: null`, which is nobody's.
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    return HTMLResponse(_PAGE.format(nonce=nonce, message=html.escape(message)), status, headers)


@router.get("/login", openapi_extra=needs(OPEN), include_in_schema=False)
async def login_page() -> Response:
    return _page(_ASKING)


@router.post("/login", openapi_extra=needs(OPEN), include_in_schema=False)
async def login(request: Request) -> Response:
    here = context(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        return problem(request.scope, 415, "unsupported_media_type", "this is where a browser's form is sent")
    form = parse_qs((await request.body()).decode("ascii", "replace"))
    secure = request.url.scheme == "https"
    options: dict[str, Any] = {"path": "/codec", "secure": secure, "httponly": True, "samesite": "strict"}
    if "out" in form:
        page = _page("Signed out.")
        page.delete_cookie(COOKIE, **options)
        return page
    key, address = form.get("key", [""])[0].strip(), request.client.host if request.client else None
    here.limits.check_address(address)
    try:
        identity = await here.keyring.identify(key)
        if Scope.TASKS_READ not in identity.scopes:
            raise MissingScope(f"this key lacks the scope {Scope.TASKS_READ}")
        if identity.project_id or identity.task_id:
            raise Forbidden("this key reaches one project only")
    except (Unauthorized, Forbidden) as error:
        if isinstance(error, Unauthorized):
            here.limits.note_wrong(address)
        return _page(f"Not signed in: {error.message}.", error.status)
    page = _page(_SIGNED_IN.format(endpoint=request.url.replace(path="/codec", query="")))
    page.set_cookie(COOKIE, _seal_cookie(here.settings, key), max_age=COOKIE_SECONDS, **options)
    return page


def _cookies(settings: Settings) -> AESGCM:
    from muster.sealing import sealer

    secret = settings.secret_key
    assert secret is not None  # noqa: S101 - the app does not start without
    return sealer(secret.get_secret_value().encode(), b"codec cookie")


def _seal_cookie(settings: Settings, key: str) -> str:
    """Not the key itself: a browser sends cookies to every port of a machine, and this one is of use here only."""
    nonce = os.urandom(12)
    content = json.dumps([int(time.time()) + COOKIE_SECONDS, key]).encode()
    return base64.urlsafe_b64encode(nonce + _cookies(settings).encrypt(nonce, content, None)).decode()


def _open_cookie(settings: Settings, cookie: str) -> str | None:
    from muster.sealing import InvalidTag

    try:
        sealed = base64.urlsafe_b64decode(cookie)
        until, key = json.loads(_cookies(settings).decrypt(sealed[:12], sealed[12:], None))
    except (InvalidTag, ValueError):
        return None
    return str(key) if time.time() < until else None
