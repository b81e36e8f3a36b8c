"""The documentation, in a browser and for tools. It brings its scripts along: no foreign script runs where the API can
be reached, and those it came with are the only ones."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Coroutine
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from api import signin
from api.auth import ANY_KEY, Guarded, Unauthorized, needs, router_of

_FOLDER = Path(str(files("fastapi_offline"))) / "static"
_PARTS = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"})
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class _Page(Guarded):
    """A route that a browser may open which has signed in, and that asks one to which has not."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def page(request: Request) -> Response:
            try:
                return await answer(signin.with_key(request))
            except Unauthorized:
                if "text/html" in request.headers.get("accept", ""):
                    return signin.form(to="docs")
                raise

        return page


router = router_of("pages", prefix="")
router.route_class = _Page


@router.get("/openapi.json", openapi_extra=needs(ANY_KEY), include_in_schema=False)
async def document(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@router.get("/docs", openapi_extra=needs(ANY_KEY), include_in_schema=False)
async def documentation(request: Request) -> Response:
    page = get_swagger_ui_html(
        title="Muster: what the API can do",
        openapi_url="openapi.json",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon.png",
    ).body
    hashes = (base64.b64encode(sha256(script).digest()).decode() for script in _SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{digest}'" for digest in hashes)
    policy = (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


@router.get("/docs/{part}", openapi_extra=needs(ANY_KEY), include_in_schema=False)
async def part_of_it(part: str) -> Response:
    if part not in _PARTS:
        raise HTTPException(404)
    return FileResponse(_FOLDER / part)
