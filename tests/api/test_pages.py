"""What answers without a key, and what a browser sees that has signed in."""

from __future__ import annotations

import pytest
from starlette.routing import Route

from api.app import create_app
from api.signin import COOKIE
from muster.settings import Settings
from tests.api.conftest import Api, is_problem
from tests.api.people import bearer, key_in, new_workspace

HEALTH = {"/healthz", "/readyz", "/compat/claude-mem/healthz"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
DOCS = ("/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json")


def own_key(api: Api) -> str:
    return api.headers["Authorization"].removeprefix("Bearer ")


async def test_without_a_key_only_health_answers(settings: Settings, url: str) -> None:
    """Whatever the API has, listed in its document or not."""
    routes = create_app(settings).routes
    answered = set()
    async with Api(url, None) as nobody:
        for route in routes:
            assert isinstance(route, Route), route
            path = route.path.replace("{", "").replace("}", "")
            for method in route.methods or ():
                for headers in ({}, BROWSER):
                    answer = await nobody.request(method, path, headers=headers)
                    if answer.is_success:
                        answered.add(route.path)
                    elif method == "OPTIONS":  # pages of the Web UI ask so whether they may
                        assert answer.status_code == 403
                    elif (method, path) == ("POST", "/login"):
                        assert answer.status_code == 415
                    else:
                        assert answer.status_code == 401, (method, path, answer.text)
                        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answered == HEALTH


async def test_the_documentation_opens_to_a_key(api: Api, url: str) -> None:
    read_only = bearer(await key_in(api, await new_workspace(api), "tasks:read"))
    async with Api(url, None) as tool:
        for path in DOCS:
            is_problem(await tool.get(path), 401, "unauthorized")
            assert (await tool.get(path, headers=read_only)).status_code == 200
            is_problem(await tool.get(path, headers={"Authorization": "Bearer mst_x"}), 401, "unauthorized")


async def test_a_browser_signs_in_to_read_the_documentation(api: Api, url: str) -> None:
    async with Api(url, None) as browser:
        browser.headers.update(BROWSER)
        asked = await browser.get("/docs")
        assert asked.status_code == 401
        assert 'name="to" value="docs"' in asked.text
        own = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
        wrong = await browser.post("/login", data={"key": "mst_nonsense", "to": "docs"}, headers=own)
        assert wrong.status_code == 401
        assert 'value="docs"' in wrong.text, "what was wanted is forgotten"
        done = await browser.post("/login", data={"key": own_key(api), "to": "docs"}, headers=own)
        assert (done.status_code, done.headers["location"]) == (303, "/docs")
        for path in (*DOCS, "/login"):
            assert (await browser.get(path)).status_code == 200, path
        # It is no key: it opens what is read in a browser, and another site gets it to open nothing.
        is_problem(await browser.get("/v1/tasks"), 401, "unauthorized")
        is_problem(await browser.post("/v1/tasks", json={"title": "t"}, headers=own), 401, "unauthorized")
        is_problem(await browser.get("/docs", headers={"Origin": "https://evil.example"}), 403, "forbidden")
        assert (await browser.post("/login", data={"out": "1"}, headers=own)).status_code == 200
        for path in (*DOCS, "/login"):
            assert (await browser.get(path)).status_code == 401, path


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example/docs", '"><script>', "docs/.."])
async def test_signing_in_leads_nowhere_else(api: Api, url: str, to: str) -> None:
    async with Api(url, None) as browser:
        wrong = await browser.post("/login", data={"key": "mst_x", "to": to}, headers={"Origin": url})
        right = await browser.post("/login", data={"key": own_key(api), "to": to}, headers={"Origin": url})
    assert (wrong.status_code, right.status_code) == (401, 200)
    assert 'name="to" value=""' in wrong.text
    assert COOKIE in right.headers["set-cookie"]
    for answer in (wrong, right):
        assert "evil" not in answer.text + str(answer.headers)
        assert "<script" not in answer.text


async def test_who_cannot_read_payloads_is_told(api: Api, url: str) -> None:
    key = await key_in(api, await new_workspace(api), "events:read")
    async with Api(url, None) as browser:
        done = await browser.post("/login", data={"key": key["key"]}, headers={"Origin": url})
    assert done.status_code == 200
    assert "need a key with the scope tasks:read" in done.text
