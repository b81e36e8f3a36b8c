"""Whether a service truly answers: each probe asks something only a working server can answer, or raises.

The embedded ones are asked without client libraries, whose imports would cost the start-up half a second.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from muster.settings import mask

REPLY_BYTES = 1 << 20
_CLIENTS = {"temporal": "temporalio.client", "postgres": "psycopg", "valkey": "redis.asyncio"}


def load(services: Iterable[str]) -> None:
    """The libraries that `temporal`, `postgres` and `valkey` ask with, before the time for an answer runs. To import
    them takes a busy machine seconds, in which nothing else here moves: a server that answers would be called silent.
    """
    for service in services:
        importlib.import_module(_CLIENTS[service])


def why(problem: BaseException) -> str:
    """Why it does not answer, in one line for people: each client has its own way of putting it."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
    told = [line for line in lines if not line.endswith("?")] or lines  # Postgres's ends with a question to the reader
    line = told[-1]
    if "transport::Error" in line:  # Temporal's shows what Rust keeps of it; what it means to say is quoted in there
        line = ": ".join(re.findall(r'"([^"]+)"', line)) or line
    return mask(line)[:200]  # a client that cannot parse an address quotes it


async def http_get(host: str, port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: */*\r\n\r\n".encode())
        await writer.drain()
        reply = await reader.read(-1)
    finally:
        writer.close()
    head, _, body = reply[:REPLY_BYTES].partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ConnectionError(f"{host}:{port} does not speak HTTP")
    return int(words[1]), body


async def http_ready(host: str, port: int, path: str = "/readyz") -> None:
    status, body = await http_get(host, port, path)
    if status != 200:
        raise ConnectionError(f"{path} answers {status}: {body[:300].decode(errors='replace')}")


async def temporal_ui(port: int, namespace: str) -> str:
    """Its version. Through the Web UI to the frontend to its store: all three work when this does."""
    status, body = await http_get("127.0.0.1", port, f"/api/v1/namespaces/{quote(namespace, safe='')}")
    if status != 200 or b"namespaceInfo" not in body:
        raise ConnectionError(f"Temporal answers {status}")
    status, body = await http_get("127.0.0.1", port, "/api/v1/cluster-info")
    return str(json.loads(body).get("serverVersion", "")) if status == 200 else ""


async def has_poller(ui_port: int, namespace: str, queue: str) -> None:
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/task-queues/{quote(queue, safe='')}?taskQueueType=1"
    status, body = await http_get("127.0.0.1", ui_port, path)
    if status != 200 or not json.loads(body).get("pollers"):
        raise ConnectionError("no worker polls yet")


async def ping_valkey(host: str, port: int) -> str:
    """Its version."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"PING\r\nINFO server\r\nQUIT\r\n")
        await writer.drain()
        answer = await reader.readline()
        if answer.strip() != b"+PONG":  # "-LOADING …" while it reads its file
            raise ConnectionError(answer.decode(errors="replace").strip() or "closed the connection")
        facts = await reader.read(-1)
    finally:
        writer.close()
    found = re.search(rb"valkey_version:(\S+)", facts)
    return found[1].decode() if found else ""


async def postgres(url: str) -> str:
    """Its version."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
        row = await (await connection.execute("SELECT current_setting('server_version')")).fetchone()
    return str(row[0]) if row else ""


async def valkey(url: str) -> str:
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
    try:
        facts: dict[str, Any] = await client.info("server")
    finally:
        await client.aclose()
    return str(facts.get("valkey_version") or facts.get("redis_version") or "")


async def temporal(address: str, namespace: str, *, embedded: bool = False) -> str:
    """Answers for the namespace. TLS and API keys come from the SDK's own environment configuration."""
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
    from temporalio.client import Client
    from temporalio.envconfig import ClientConfig

    connection: Any = {} if embedded else ClientConfig.load_client_connect_config()
    client = await Client.connect(**{**connection, "target_host": address, "namespace": namespace})
    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    return (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version


async def api_health(host: str, port: int) -> dict[str, Any]:
    _, body = await http_get(host, port, "/readyz")
    answer = json.loads(body)
    return answer if isinstance(answer, dict) else {}
