"""The codec endpoint: who gets to read what, from where, and the clients it is for."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import subprocess
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from api.codec import origins
from api.signin import COOKIE
from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE
from muster.payloads import INSTANCE, Keys, data_converter
from muster.services import binaries
from muster.settings import PayloadKeys, Settings
from tests.api.conftest import Api, admin, is_problem, serving

KEYS = f"k1:{base64.b64encode(os.urandom(32)).decode()}"
OTHERS = f"k9:{base64.b64encode(os.urandom(32)).decode()}"
UI, SAME_UI, STRANGER = "http://127.0.0.1:8233", "http://localhost:8233", "http://127.0.0.1:9999"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"marmalade"')


@pytest.fixture(scope="module")
async def keyed(settings: Settings) -> AsyncIterator[tuple[str, Settings]]:
    """An API with payload keys."""
    settings = settings.model_copy(update={"payload_keys": SecretStr(KEYS), "temporal_ui_url": UI})
    async with serving(settings) as url:
        yield url, settings


@pytest.fixture
async def root(keyed: tuple[str, Settings]) -> AsyncIterator[Api]:
    async with Api(keyed[0], admin(keyed[1])) as api:
        yield api


async def made(api: Api, path: str, **body: Any) -> dict[str, Any]:
    answer = await api.post(path, json=body)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def a_tenant(root: Api) -> tuple[UUID, str]:
    """A workspace, and a key of it that may read."""
    mark = uuid4().hex[:10]
    workspace = await made(root, "/v1/workspaces", slug=f"w{mark}", name="W", owner_id=str(DEFAULT_USER))
    root.headers["Muster-Workspace"] = workspace["id"]
    key = await made(root, "/v1/keys", name="reads", scopes=["tasks:read"], workspace_id=workspace["id"])
    del root.headers["Muster-Workspace"]
    return UUID(workspace["id"]), key["key"]


def seal(owner: UUID | str, keys: str = KEYS) -> Payload:
    return Keys(PayloadKeys.parse(keys)).seal(PLAIN, str(owner))


def as_json(*payloads: Payload) -> dict[str, Any]:
    def one(payload: Payload) -> dict[str, Any]:
        metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
        return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}

    return {"payloads": [one(payload) for payload in payloads]}


def of_json(document: dict[str, Any]) -> list[Payload]:
    return [
        Payload(
            metadata={name: base64.b64decode(value) for name, value in payload["metadata"].items()},
            data=base64.b64decode(payload["data"]),
        )
        for payload in document["payloads"]
    ]


async def ask(api: httpx.AsyncClient, what: str, *payloads: Payload, **headers: str) -> list[Payload]:
    answer = await api.post(f"/codec/{what}", json=as_json(*payloads), headers=headers)
    assert answer.status_code == 200, answer.text
    return of_json(answer.json())


async def test_each_key_opens_its_own_workspace(root: Api) -> None:
    (one, key), (other, _) = await a_tenant(root), await a_tenant(root)
    mine, theirs, nobodys = seal(one), seal(other), seal(INSTANCE)
    lost, broken = seal(one, OTHERS), seal(one)
    broken.data = broken.data[:-1]
    sent = [mine, theirs, PLAIN, nobodys, lost, broken]
    async with Api(str(root.base_url), key) as api:
        assert await ask(api, "decode", *sent) == [PLAIN, theirs, PLAIN, nobodys, lost, broken]
        assert await ask(api, "decode") == []
        # A label that lies is found out, by whoever may read what it says.
        lie = Payload(metadata={**theirs.metadata, "muster-workspace": str(one).encode()}, data=theirs.data)
        assert await ask(api, "decode", lie) == [lie]
    assert await ask(root, "decode", *sent) == [PLAIN, PLAIN, PLAIN, PLAIN, lost, broken]


async def test_encoding_is_for_the_keys_own_workspace(root: Api) -> None:
    one, key = await a_tenant(root)
    async with Api(str(root.base_url), key) as api:
        first, already = await ask(api, "encode", PLAIN, seal(one))
        assert first.metadata["muster-workspace"] == str(one).encode()
        assert await ask(api, "decode", first, already) == [PLAIN, PLAIN]
    (anywhere,) = await ask(root, "encode", PLAIN)
    assert anywhere.metadata["muster-workspace"] == INSTANCE.encode()
    (there,) = await ask(root, "encode", PLAIN, **{"Muster-Workspace": str(one)})
    assert there.metadata["muster-workspace"] == str(one).encode()


@pytest.mark.parametrize("what", ["decode", "encode"])
async def test_others_are_refused(root: Api, what: str) -> None:
    one, _ = await a_tenant(root)
    root.headers["Muster-Workspace"] = str(one)
    project = await made(root, "/v1/projects", slug="p", name="P")
    of_project = await made(
        root, "/v1/keys", name="p", scopes=["tasks:read"], project_id=project["id"], workspace_id=str(one)
    )
    of_events = await made(root, "/v1/keys", name="e", scopes=["events:read"], workspace_id=str(one))
    del root.headers["Muster-Workspace"]
    body = as_json(seal(one))
    for key, status, code in (
        (None, 401, "unauthorized"),
        ("mst_nonsense", 401, "unauthorized"),
        (of_project["key"], 403, "forbidden"),
        (of_events["key"], 403, "missing_scope"),
    ):
        async with Api(str(root.base_url), key) as api:
            answer = await api.post(f"/codec/{what}", json=body, headers={"Origin": UI})
            is_problem(answer, status, code)
            assert answer.headers["access-control-allow-origin"] == UI, "the page cannot read why"


@pytest.mark.parametrize(
    "body",
    [
        "[]", "{", '{"payloads": [{"data": "%%%"}]}', '{"payloads": 1}', '{"payloads": [], "more": 1}',
        '{"payloads": [{"metadata": {"\\ud800": ""}}]}', '{"payloads": [{"metadata": {"a": "\\ud800"}}]}',
    ],
)  # fmt: skip
async def test_what_is_no_payload_is_refused(root: Api, body: str) -> None:
    answer = await root.post("/codec/decode", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_largest_payload_fits(root: Api) -> None:
    large = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(2 * 1024 * 1024))
    sealed = Keys(PayloadKeys.parse(KEYS)).seal(large, str(DEFAULT_WORKSPACE))
    assert await ask(root, "decode", sealed) == [large]

    reader, writer = await asyncio.open_connection(root.base_url.host, root.base_url.port)
    head = f"POST /codec/decode HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {root.headers['Authorization']}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {5 * 1024 * 1024}\r\n\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_without_keys_all_pass_through(settings: Settings, api: Api) -> None:
    sealed = seal(DEFAULT_WORKSPACE)
    assert await ask(api, "decode", sealed, PLAIN) == [sealed, PLAIN]
    assert await ask(api, "encode", PLAIN) == [PLAIN]


# -- The Web UI, in a browser ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("http://127.0.0.1:8233", {"http://127.0.0.1:8233", "http://localhost:8233"}),
        ("http://localhost:8233/", {"http://127.0.0.1:8233", "http://localhost:8233"}),
        ("https://Temporal.example/ui", {"https://temporal.example"}),
        ("https://temporal.example:443", {"https://temporal.example"}),
        ("http://temporal.example:443", {"http://temporal.example:443"}),
        ("http://[::1]:8233", {"http://[::1]:8233"}),
        ("temporal.example", set()),
        ("http://temporal.example:port", set()),
        ("javascript://x", set()),
        (None, set()),
    ],
)
def test_the_one_origin(settings: Settings, address: str | None, found: set[str]) -> None:
    assert origins(settings.model_copy(update={"temporal_ui_url": address})) == found


@pytest.mark.parametrize("origin", [UI, SAME_UI])
async def test_a_page_of_the_web_ui_may_ask(root: Api, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Sec-Fetch-Site": "cross-site",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
    }
    async with Api(str(root.base_url), None) as browser:
        answer = await browser.options("/codec/decode", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].lower().split(",")}
    assert allowed == {"authorization", "content-type", "x-namespace"}
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site", "X-Namespace": "default"}
    answer = await root.post("/codec/decode", json=as_json(seal(DEFAULT_WORKSPACE)), headers=headers)
    assert of_json(answer.json()) == [PLAIN]
    assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "origin", [STRANGER, "https://127.0.0.1:8233", "http://evil.example", "null", f"{UI}.evil.example", f"{UI}/"]
)
async def test_no_other_page_may(root: Api, origin: str) -> None:
    async with Api(str(root.base_url), None) as browser:
        answer = await browser.options(
            "/codec/decode", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    answer = await root.post("/codec/decode", json=as_json(), headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/tasks", "/login"])
async def test_the_web_ui_may_ask_nothing_else(root: Api, path: str) -> None:
    headers = {"Origin": UI, "Sec-Fetch-Site": "cross-site"}
    assert (await root.post(path, json={"title": "t"}, headers=headers)).status_code == 403
    answer = await root.options(path, headers=headers)
    assert "access-control-allow-origin" not in answer.headers


async def sign_in(browser: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await browser.post("/login", data=form, headers={"Origin": str(browser.base_url).rstrip("/")})


async def test_a_browser_signs_in_with_a_cookie_that_is_not_the_key(root: Api) -> None:
    one, key = await a_tenant(root)
    async with Api(str(root.base_url), None) as browser:
        page = await browser.get("/login")
        assert page.status_code == 401
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script" not in page.text + policy
        assert re.findall(r"https?://", page.text) == []
        done = await sign_in(browser, key=key)
        assert done.status_code == 200, done.text
        assert f"{str(root.base_url).rstrip('/')}/codec as the endpoint" in done.text
        cookie = done.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
            assert part in cookie, cookie
        assert "Secure" not in cookie
        assert key not in done.text + cookie
        assert base64.urlsafe_b64encode(key.encode())[:30].decode() not in cookie

        assert await ask(browser, "decode", seal(one), Origin=UI) == [PLAIN]
        # It is of use to the Web UI's pages and for nothing else.
        for origin in (None, STRANGER, str(browser.base_url).rstrip("/")):
            headers = {"Origin": origin} if origin else {}
            is_problem(await browser.post("/codec/decode", json=as_json(), headers=headers), 401, "unauthorized")
        value = browser.cookies[COOKIE]
        is_problem(await browser.get("/v1/tasks", headers={"Cookie": f"{COOKIE}={value}"}), 401, "unauthorized")
        for wrong in (value[:-4] + "AAAA", "x", "é", ""):
            browser.cookies.clear()
            forged = {b"Origin": UI.encode(), b"Cookie": f"{COOKIE}={wrong}".encode("latin-1")}
            answer = await browser.post("/codec/decode", json=as_json(), headers=forged)
            is_problem(answer, 401, "unauthorized")
        out = await sign_in(browser, out="1")
        assert f'{COOKIE}=""' in out.headers["set-cookie"]


async def test_the_cookie_ends_with_its_key_and_its_time(root: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    one, key = await a_tenant(root)
    async with Api(str(root.base_url), None) as browser:
        await sign_in(browser, key=key)
        assert await ask(browser, "decode", seal(one), Origin=UI) == [PLAIN]
        with monkeypatch.context() as later:
            later.setattr("api.signin.COOKIE_SECONDS", -1)
            async with Api(str(root.base_url), None) as other:
                answer = await sign_in(other, key=key)
                value = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
                headers = {"Origin": UI, "Cookie": f"{COOKIE}={value}"}
                is_problem(await other.post("/codec/decode", json=as_json(), headers=headers), 401, "unauthorized")
        root.headers["Muster-Workspace"] = str(one)
        (row,) = [row for row in (await root.get("/v1/keys")).json()["items"] if row["name"] == "reads"]
        assert (await root.delete(f"/v1/keys/{row['id']}")).is_success
        del root.headers["Muster-Workspace"]
        answer = await browser.post("/codec/decode", json=as_json(seal(one)), headers={"Origin": UI})
        is_problem(answer, 401, "unauthorized")


async def test_signing_in_with_what_opens_nothing(root: Api) -> None:
    async with Api(str(root.base_url), None) as browser:
        for key in ("", "mst_nonsense", "<script>alert(1)</script>"):
            answer = await sign_in(browser, key=key)
            assert answer.status_code == 401
            assert "Not signed in" in answer.text
            assert "set-cookie" not in answer.headers
            assert "<script" not in answer.text
        assert (await browser.post("/login", json={"key": admin_of(root)})).status_code == 415


def admin_of(root: Api) -> str:
    return root.headers["Authorization"].removeprefix("Bearer ")


# -- The Temporal CLI ------------------------------------------------------------------------------------------------


async def test_the_temporal_cli_reads_and_writes_through_it(keyed: tuple[str, Settings], root: Api) -> None:
    url, settings = keyed
    one, key = await a_tenant(root)
    _, foreign = await a_tenant(root)
    client = await Client.connect(
        str(settings.temporal_address), data_converter=data_converter(settings.payload_key_ring)
    )
    name = f"task-{uuid4()}.{one}"
    handle = await client.start_workflow("Nobody's", "marmalade", id=name, task_queue=f"nobody-{uuid4()}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}

    def temporal(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [str(binaries.temporal()), *arguments, "--address", str(settings.temporal_address)],
            capture_output=True, text=True, check=False, timeout=60, env={**kept, **more},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def shown(key: str | None) -> str:
        codec = ["--codec-endpoint", f"{url}/codec", "--codec-auth", f"Bearer {key}"] if key else []
        return await asyncio.to_thread(temporal, "workflow", "show", "-w", name, "--output", "json", *codec)

    text = base64.b64encode(PLAIN.data).decode()  # as the CLI shows it
    assert text in await shown(key)
    assert text in await shown(admin_of(root))
    assert text not in await shown(foreign)
    assert text not in await shown(None)
    by_environment = {"TEMPORAL_CODEC_ENDPOINT": f"{url}/codec", "TEMPORAL_CODEC_AUTH": f"Bearer {key}"}
    show = ("workflow", "show", "-w", name, "--output", "json")
    assert text in await asyncio.to_thread(temporal, *show, **by_environment)

    signal = ("workflow", "signal", "-w", name, "--name", "hello", "--input", '"jam"')
    await asyncio.to_thread(temporal, *signal, **by_environment)
    (event,) = [event async for event in handle.fetch_history_events() if event.event_type == 26]
    (sent,) = event.workflow_execution_signaled_event_attributes.input.payloads
    assert sent.metadata["muster-workspace"] == str(one).encode()
    await handle.terminate()
