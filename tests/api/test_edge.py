"""What stands between the API and whoever can reach it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from temporalio.client import Client

from muster.cli.serve import Connection, most_connections
from muster.settings import Settings
from tests.api.conftest import Api, admin, eventually, is_problem, serving
from tests.api.people import bearer, inside, key_in, new_workspace
from tests.pace import Stopwatch, patience

STRICT = "default-src 'none'; frame-ancestors 'none'"
BODY = {"title": "t", "runner": {"kind": "command", "argv": ["true"]}}


def is_secured(response: httpx.Response, policy: str = STRICT) -> None:
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == policy
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Byte by byte, as no client library would."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


def head(settings: Settings, *more: str, method: str = "POST", path: str = "/v1/tasks") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {admin(settings)}"]
    return "\r\n".join([*lines, "Content-Type: application/json", *more, "", ""]).encode()


async def answered(reader: asyncio.StreamReader, seconds: float = 5.0) -> tuple[int, dict[str, str], bytes]:
    """All that comes until the other side closes."""
    async with patience(seconds):
        raw = await reader.read()
    start, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = start.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


# -- Headers ---------------------------------------------------------------------------------------------------------


async def test_every_answer_is_secured(api: Api, url: str) -> None:
    for response in (
        await api.get("/healthz"),
        await api.get("/v1/tasks"),
        await api.get("/openapi.json"),
        await api.get("/nowhere"),
        await api.delete("/v1/tasks"),
        await api.post("/v1/tasks", json={}),
        await api.post("/v1/tasks", content=b"x" * 2_000_000),
        await api.get("/v1/tasks", headers={"Host": "evil.example"}),
        await api.post("/v1/projects", json={"slug": f"p{uuid.uuid4().hex[:12]}", "name": "x"}),
    ):
        is_secured(response)
    async with Api(url, None) as nobody:
        is_secured(await nobody.get("/v1/tasks"))
    async with api.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as stream:
        is_secured(stream)


async def test_other_sites_are_promised_nothing(api: Api) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin in ("http://localhost:3000", "https://evil.example"):
        for response in (
            await api.options("/v1/tasks", headers={"Origin": origin, **asked}),
            await api.get("/v1/tasks", headers={"Origin": origin}),
        ):
            is_secured(response)


async def test_the_documentation_runs_its_own_scripts_only(api: Api) -> None:
    page = await api.get("/docs")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    is_secured(page, policy)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert scripts
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts}
    assert set(rules["script-src"].split()) == {"'self'", *hashes}
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    # All it refers to is here.
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert address.startswith("docs/"), address
        assert (await api.get(f"/{address}")).status_code == 200
    is_problem(await api.get("/docs/redoc.standalone.js"), 404, "not_found")
    assert not re.search(r"\son\w+=", page.text)  # no handlers inline, which a hash would not let through


# -- Sizes -----------------------------------------------------------------------------------------------------------


async def test_a_workspace_may_take_less_than_the_instance(api: Api) -> None:
    workspace = await new_workspace(api)
    key = bearer(await key_in(api, workspace))
    long = {**BODY, "description": "x" * 5_000}
    changed = await api.patch(
        f"/v1/workspaces/{workspace['id']}", json={"max_body_bytes": 2048}, headers=inside(workspace)
    )
    assert changed.status_code == 200, changed.text

    async def refused() -> None:
        answer = await api.post(
            "/v1/projects", json={"slug": "x", "name": "x", "description": "x" * 5_000}, headers=key
        )
        assert "2048" in is_problem(answer, 413, "body_too_large")["detail"]
        assert answer.headers["connection"] == "close"

    await eventually(refused)

    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield json.dumps(long).encode()[:500]

    chunked = await api.post("/v1/tasks", content=in_pieces(), headers={**key, "Content-Type": "application/json"})
    is_problem(chunked, 413, "body_too_large")
    small = {"slug": f"p{uuid.uuid4().hex[:12]}", "name": "x"}
    assert (await api.post("/v1/projects", json=small, headers=key)).status_code == 201
    other = await api.post("/v1/projects", json={**small, "description": "x" * 5_000})
    assert other.status_code == 201


async def test_who_sends_all_of_it_before_reading_is_told_too(url: str, settings: Settings) -> None:
    """As most clients do. A connection that is closed upon what still comes is reset, and the answer lost."""
    size, piece = 20_000_000, b"x" * 100_000
    for framing, sent in (
        (f"Content-Length: {size}", piece),
        ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(piece), piece)),
    ):
        async with connected(url) as (reader, writer):
            writer.write(head(settings, framing))
            for _ in range(size // len(piece)):
                writer.write(sent)
                await writer.drain()
            status, headers, body = await answered(reader)
            assert (status, headers["connection"], json.loads(body)["code"]) == (413, "close", "body_too_large")


# -- Time ------------------------------------------------------------------------------------------------------------


async def test_a_body_must_arrive_in_time(settings: Settings) -> None:
    impatient = settings.model_copy(update={"request_seconds": 0.4})
    async with serving(impatient) as url:
        for framing, piece in (("Content-Length: 1000", b"{"), ("Transfer-Encoding: chunked", b"1\r\n{\r\n")):
            async with connected(url) as (reader, writer):
                began = Stopwatch()
                writer.write(head(settings, framing) + piece)
                status, headers, body = await answered(reader)
                assert began.real > 0.3
                assert began.fair < 2
                assert (status, headers["connection"]) == (408, "close")
                problem = json.loads(body)
                assert (problem["code"], problem["retryable"]) == ("body_too_slow", True)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "head_seconds", 0.4)


async def test_who_says_nothing_or_too_little_is_cut_off(hasty: None, url: str, settings: Settings) -> None:
    whole = head(settings, method="GET", path="/v1/queue")
    for said in (b"", b"GET /v1/ta", whole[:-2], b"\r\n"):
        async with connected(url) as (reader, writer):
            began = Stopwatch()
            writer.write(said)
            async with patience(3):
                assert await reader.read() == b""
            assert began.real > 0.3
            assert began.fair < 2
    # A drop now and then does not help.
    async with connected(url) as (reader, writer):
        began = Stopwatch()
        reading = asyncio.create_task(reader.read())
        for byte in whole:
            if reading.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionResetError):  # what a drop that was under way is answered with
            assert await reading == b""
        assert began.fair < 2


async def test_a_second_request_has_its_own_time(hasty: None, url: str, settings: Settings) -> None:
    whole = head(settings, method="GET", path="/v1/queue")
    async with connected(url) as (reader, writer):
        for _ in range(2):
            writer.write(whole[:20])
            await asyncio.sleep(0.25)
            writer.write(whole[20:])
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200")
            length = re.search(rb"content-length: (\d+)", answer)
            assert length
            await reader.readexactly(int(length[1]))
        await asyncio.sleep(0.6)  # idle is another matter
        writer.write(whole[:20])
        async with patience(3):
            assert await reader.read() == b""


async def test_a_stream_outlives_these_times(hasty: None, api: Api) -> None:
    async with api.follow("/v1/events") as stream:
        with pytest.raises(TimeoutError):
            await stream.next(1.5)
        task = await api.post("/v1/projects", json={"slug": f"p{uuid.uuid4().hex[:12]}", "name": "x"})
        assert task.status_code == 201


async def test_a_body_nobody_waits_for_does_not_keep_a_connection(hasty: None, url: str) -> None:
    """The answer comes before the body; whoever goes on sending it has no more time for that than for a head."""
    async with connected(url) as (reader, writer):
        writer.write(b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")
        began = Stopwatch()
        reading = asyncio.create_task(reader.read())
        while not reading.done() and not began.passed(5):
            writer.write(b" ")
            await asyncio.sleep(0.05)
        assert began.fair < 2
        await reading


async def test_heads_are_not_endless(url: str) -> None:
    for line in (b"X-Long: " + b"x" * 100_000, b"X-Many: x\r\n" * 10_000):
        async with connected(url) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + line)
            status, headers, body = await answered(reader)
            assert (status, json.loads(body)["code"]) == (431, "request_too_large")
            assert headers["content-security-policy"] == STRICT


async def test_what_is_no_request_is_a_problem(url: str) -> None:
    async with connected(url) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00 hello TLS\r\n\r\n")
        status, headers, body = await answered(reader)
        assert (status, headers["content-type"], json.loads(body)["code"]) == (
            400, "application/problem+json", "bad_request",
        )  # fmt: skip
        assert "server" not in headers


async def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    assert most_connections() >= 64
    async with serving(settings) as url:
        monkeypatch.setattr(Connection, "most", 2)
        async with connected(url), connected(url):
            await asyncio.sleep(0.1)
            async with connected(url) as (reader, _):
                status, headers, body = await answered(reader)
                assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "2", "unavailable")

        async def room_again() -> None:
            async with Api(url, None) as api:
                assert (await api.get("/healthz")).status_code == 200

        await eventually(room_again)


async def _ask_on_and_on(writer: asyncio.StreamWriter, asked: bytes) -> None:
    async with patience(20):
        while True:
            writer.write(asked)
            await writer.drain()
            await asyncio.sleep(0.002)


async def test_who_does_not_take_the_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(Connection, "unread_seconds", 1.0)
    async with serving(settings) as url, connected(url) as (reader, writer):
        # A window that is soon full, and requests whose answers nobody reads.
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        asked = head(settings, method="GET", path="/openapi.json")
        with pytest.raises(ConnectionError):
            await _ask_on_and_on(writer, asked)
        assert reader


# -- Who asks --------------------------------------------------------------------------------------------------------


async def address_of(api: Api, forwarded: str) -> str:
    """The address that is kept of a request that says it comes from elsewhere."""
    named = f"r-{uuid.uuid4().hex}"
    headers = {"X-Request-ID": named, "X-Forwarded-For": forwarded}
    made = await api.post("/v1/projects", json={"slug": f"p{uuid.uuid4().hex[:12]}", "name": "x"}, headers=headers)
    assert made.status_code == 201
    assert made.headers["x-request-id"] == named
    found = (await api.get("/v1/activity", params={"request": named})).json()["items"]
    assert {row["request_id"] for row in found} == {named}
    [address] = {row["address"] for row in found}
    return str(address)


async def test_an_address_cannot_be_claimed(api: Api, settings: Settings) -> None:
    assert await address_of(api, "203.0.113.7") == "127.0.0.1"
    behind = settings.model_copy(update={"trusted_proxies": "10.0.0.0/8, 127.0.0.1"})
    async with serving(behind) as url, Api(url, admin(settings)) as proxied:
        assert await address_of(proxied, "198.51.100.1, 203.0.113.7, 10.1.2.3") == "203.0.113.7"
    elsewhere = settings.model_copy(update={"trusted_proxies": "10.0.0.0/8"})
    async with serving(elsewhere) as url, Api(url, admin(settings)) as direct:
        assert await address_of(direct, "203.0.113.7") == "127.0.0.1"


async def test_trusted_proxies_are_addresses() -> None:
    for wrong in ("*", "proxy.example", "10.0.0.0/33", "10.0.0.1/8"):
        with pytest.raises(ValueError, match="MUSTER_TRUSTED_PROXIES"):
            Settings(_env_file=None, MUSTER_TRUSTED_PROXIES=wrong)  # type: ignore[call-arg]


async def test_a_request_is_found_in_its_workflow_and_its_name_is_clean(fleet: Api, settings: Settings) -> None:
    named = f"r-{uuid.uuid4().hex}"
    task = await fleet.post("/v1/tasks", json=BODY, headers={"X-Request-ID": named})
    client = await Client.connect(settings.temporal_address or "")
    description = await client.get_workflow_handle(task.json()["workflow_id"]).describe()
    assert f"request `{named}`" in (await description.static_details() or "")
    for dirty in (b"a b", b"x" * 129, b"<script>", b"a\tb", "é".encode()):
        answer = await fleet.get("/healthz", headers={"X-Request-ID": dirty})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


# -- What is told, and what is not -----------------------------------------------------------------------------------


async def test_a_defect_in_the_database_is_not_shown(
    api: Api, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.database_owner_url
    owner = settings.database_owner_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
        await connection.execute("ALTER FUNCTION project_json(projects) RENAME TO project_json_away")
        try:
            asked = {"X-Request-ID": "broken-1"}
            body = {"slug": f"p{uuid.uuid4().hex[:12]}", "name": "x"}
            answers = [
                await api.get("/v1/projects/x", headers=asked),
                await api.post("/v1/projects", json=body, headers=asked),
                await api.post("/v1/projects", json=body, headers=asked | {"Idempotency-Key": uuid.uuid4().hex}),
            ]
        finally:
            await connection.execute("ALTER FUNCTION project_json_away(projects) RENAME TO project_json")
    for answer in answers:
        assert is_problem(answer, 500, "internal")["trace_id"] == "broken-1"
        assert not re.search(r"project_json|SELECT|INSERT|psycopg|Traceback|Undefined|line \d", answer.text)
        is_secured(answer)
    assert "project_json" in caplog.text


async def test_writes_and_refusals_leave_a_line_and_reads_do_not(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api.access")
    slug = f"p{uuid.uuid4().hex[:12]}"
    await api.get("/v1/projects")
    await api.get("/v1/projects/none", params={"secret": "x"}, headers={"X-Request-ID": "r-2"})
    await api.post("/v1/projects", json={"slug": slug, "name": "x"})
    await api.get("/v1/tasks", headers={"Authorization": "Bearer wrong"})
    lines = [vars(record) for record in caplog.records if record.name == "api.access"]
    assert [(line["message"], line["status"]) for line in lines] == [
        ("GET /v1/projects/none", 422), ("POST /v1/projects", 201), ("GET /v1/tasks", 401),
    ]  # fmt: skip
    assert all(line["key_id"] and line["workspace"] for line in lines[:2])
    assert lines[2]["key_id"] is None
    assert all(line["ms"] > 0 and line["address"] == "127.0.0.1" for line in lines)


async def test_a_worker_writes_documents(fleet: Api, settings: Settings) -> None:
    lines = (settings.home / "worker.log").read_text().splitlines()
    assert [line for line in map(json.loads, lines) if line["logger"] == "worker" and "polls" in line["event"]]
