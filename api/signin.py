"""A browser signs in: what it opens here carries a cookie where others send a key.

The cookie opens what people look at in a browser, and nothing else: the documentation (`api/pages.py`), and payloads
for pages of the Temporal Web UI (`api/codec.py`).
"""

from __future__ import annotations

import base64
import html
import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.auth import OPEN, Identity, Unauthorized, credential, needs, router_of
from api.context import context
from api.errors import problem
from muster.domain.tenants import Scope
from muster.settings import Settings

if TYPE_CHECKING:
    from muster.sealing import AESGCM

COOKIE = "muster_browser"
COOKIE_SECONDS = 12 * 3600
_PLACES = {"docs": "/docs"}
"""Where a form may lead on to once its key is right."""

router = router_of("login", prefix="")

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Muster: sign in</title>
<style nonce="{nonce}">
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1rem; }}
input {{ font: inherit; width: 100%; box-sizing: border-box; padding: .4rem; margin: .5rem 0 1rem; }}
button {{ font: inherit; padding: .4rem 1rem; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #161616; color: #eee; }} a {{ color: #9cf; }} }}
</style>
<h1>Muster</h1>
<p role="status">{message}</p>
{form}
"""
_SIGN_IN = """\
<form method="post" action="login">
<input type="hidden" name="to" value="{to}">
<label for="key">A key</label>
<input id="key" name="key" type="password" autocomplete="off" required autofocus placeholder="mst_…">
<button>Sign in for 12 hours</button>
</form>
<p><small>The administrator's is in <code>admin.key</code>, in the folder where Muster keeps its state.</small></p>"""
_SIGN_OUT = """\
<p><a href="docs">What the API can do</a></p>
<form method="post" action="login"><button name="out" value="1">Sign out</button></form>"""

_ASKING = "Muster shows its documentation here, and in the Temporal Web UI what it encrypted, once you have signed in."
_SIGNED_IN = (
    "Signed in. To read payloads in the Temporal Web UI, once: open its codec server settings (the glasses at the "
    "top), choose your browser's setting over the cluster's, give {endpoint} as the endpoint, and turn on “Include "
    "cross-origin credentials”."
)
_NO_PAYLOADS = "Signed in. Payloads in the Temporal Web UI need a key with the scope tasks:read, of a whole workspace."


@router.get("/login", openapi_extra=needs(OPEN), include_in_schema=False)
async def login_page(request: Request) -> Response:
    request = with_key(request)
    try:
        return _signed_in(request, await _who(request, credential(request)))
    except Unauthorized:  # none, or it has ended before its cookie
        return form()


@router.post("/login", openapi_extra=needs(OPEN), include_in_schema=False)
async def login(request: Request) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        return problem(request.scope, 415, "unsupported_media_type", "this is where a browser's form is sent")
    sent = parse_qs((await request.body()).decode("ascii", "replace"))
    options: dict[str, Any] = {"secure": request.url.scheme == "https", "httponly": True, "samesite": "strict"}
    if "out" in sent:
        answer = form("Signed out.", status=200)
        answer.delete_cookie(COOKIE, **options)
        return answer
    key, to = sent.get("key", [""])[0].strip(), sent.get("to", [""])[0]
    try:
        identity = await _who(request, key)
    except Unauthorized as error:
        return form(f"Not signed in: {error.message}.", to=to)
    answer = RedirectResponse(_PLACES[to], 303) if to in _PLACES else _signed_in(request, identity)
    answer.set_cookie(COOKIE, _seal(context(request).settings, key), max_age=COOKIE_SECONDS, **options)
    return answer


def form(message: str = _ASKING, *, to: str = "", status: int = 401) -> Response:
    """Asks for a key, in the place of what needs one."""
    return _page(message, _SIGN_IN.format(to=to if to in _PLACES else ""), status)


def with_key(request: Request) -> Request:
    """The request, with the key it signed in with unless it brings one. For routes that a browser may see."""
    headers = request.scope["headers"]
    if any(name in (b"authorization", b"x-api-key") for name, _ in headers):
        return request
    key = _open(context(request).settings, request.cookies.get(COOKIE, ""))
    if key is None:
        return request
    request.scope["headers"] = [*headers, (b"authorization", b"Bearer " + key.encode())]
    return Request(request.scope, request.receive)


async def _who(request: Request, key: str) -> Identity:
    here, address = context(request), request.client.host if request.client else None
    here.limits.check_address(address)
    try:
        return await here.keyring.identify(key)
    except Unauthorized:
        here.limits.note_wrong(address)
        raise


def _signed_in(request: Request, identity: Identity) -> Response:
    if Scope.TASKS_READ not in identity.scopes or identity.project_id or identity.task_id:
        return _page(_NO_PAYLOADS, _SIGN_OUT)
    return _page(_SIGNED_IN.format(endpoint=request.url.replace(path="/codec", query="")), _SIGN_OUT)


def _page(message: str, body: str, status: int = 200) -> Response:
    nonce = base64.b64encode(os.urandom(16)).decode()
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    # With no referrer at all, a browser sends the form with `Origin: null`, which is nobody's.
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="muster"'
    return HTMLResponse(_PAGE.format(nonce=nonce, message=html.escape(message), form=body), status, headers)


def _cookies(settings: Settings) -> AESGCM:
    from muster.sealing import sealer

    secret = settings.secret_key
    assert secret is not None  # noqa: S101 - the app does not start without
    return sealer(secret.get_secret_value().encode(), b"browser cookie")


def _seal(settings: Settings, key: str) -> str:
    """Not the key itself: a browser sends cookies to every port of a machine, and this one is of use here only."""
    nonce = os.urandom(12)
    content = json.dumps([int(time.time()) + COOKIE_SECONDS, key]).encode()
    return base64.urlsafe_b64encode(nonce + _cookies(settings).encrypt(nonce, content, None)).decode()


def _open(settings: Settings, cookie: str) -> str | None:
    if not cookie:
        return None
    from muster.sealing import InvalidTag

    try:
        sealed = base64.urlsafe_b64decode(cookie)
        until, key = json.loads(_cookies(settings).decrypt(sealed[:12], sealed[12:], None))
    except (InvalidTag, ValueError):
        return None
    return str(key) if time.time() < until else None
