"""Remembering by hand, and finding it: through the API, as a person or an agent does."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest_asyncio

from muster.settings import Settings

from .conftest import Api, admin, is_problem
from .people import inside, key_in, made, new_workspace


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(settings: Settings, url: str) -> AsyncIterator[tuple[Api, Api, dict[str, Any]]]:
    """Whoever may do everything in a workspace, whoever holds a key of one project of it, and that project."""
    async with AsyncExitStack() as stack:
        chief = await stack.enter_async_context(Api(url, admin(settings)))
        workspace = await new_workspace(chief, requests_per_second=10_000)
        api = await stack.enter_async_context(Api(url, (await key_in(chief, workspace))["key"]))
        project = await made(api, "/v1/projects", {"slug": "apollo", "name": "Apollo"})
        await made(api, "/v1/projects", {"slug": "gemini", "name": "Gemini"})
        key = await key_in(chief, workspace, "memory:read", "memory:write", project_id=project["id"])
        assert inside(workspace)
        yield api, await stack.enter_async_context(Api(url, key["key"])), project


async def remember(api: Api, title: str, **more: Any) -> dict[str, Any]:
    return await made(api, "/v1/observations", {"project": "apollo", "title": title, **more})


async def find(api: Api, query: str, **more: Any) -> dict[str, Any]:
    answer = await api.post("/v1/memory/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_what_is_remembered_is_found_at_once(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, narrow, project = place
    one = await remember(
        api, "Licensing server moved", narrative="To eu-west, since latency.", type="decision", facts=["Port is 27000"],
        concepts=["infrastructure"], files_modified=["ops/licences.tf"],
    )  # fmt: skip
    assert one["project_id"] == project["id"]
    assert (one["version"], one["generator"], one["summary"], one["seen"]) == (1, "manual", False, 1)
    for query in ("licence", "27000", "licences.tf", "infrastructure", "licnsing", "LATENCY"):
        found = await find(api, query, project="apollo", mode="lexical")
        assert (found["mode"], found["items"][0]["id"]) == ("lexical", one["id"]), query
    alone = await find(api, "licence", type="decision", concept="infrastructure")
    assert [item["id"] for item in alone["items"]] == [one["id"]]
    explained = await find(api, "licence", explain=True)
    took = explained["explain"]["milliseconds"]
    assert {"place", "words", "read"} < set(took)
    assert 0 < max(took["place"], took["words"], took["read"]) < took["all"]
    hit = explained["items"][0]
    assert hit["files_modified"] == ["ops/licences.tf"]
    assert hit["explain"]["words_rank"] == 1
    assert 0 < hit["score"] < 2
    by_url = await api.get("/v1/memory/search", params={"query": "licence", "type": "decision", "project": "apollo"})
    assert [item["id"] for item in by_url.json()["items"]] == [one["id"]]
    assert (await find(narrow, "licence"))["items"][0]["id"] == one["id"]
    is_problem(
        await narrow.post("/v1/memory/search", json={"query": "x", "project": "gemini"}), 422, "unknown_reference"
    )
    assert (await find(api, "licence", project="gemini", mode="lexical"))["items"] == []
    for wrong in (
        {},
        {"query": ""},
        {"query": " \n"},
        {"query": "x", "limit": 0},
        {"query": "x", "nonsense": 1},
        {"query": "\x00"},
    ):
        assert (await api.post("/v1/memory/search", json=wrong)).status_code == 422
    is_problem(await api.get("/v1/memory/search", params={"query": "x", "cursor": "x"}), 422, "bad_cursor")


async def test_one_request_sent_twice_remembers_once(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, narrow, _ = place
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"title": "Remembered once: quokka"}
    first, second = [await narrow.post("/v1/observations", json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert len((await find(api, "quokka", mode="lexical"))["items"]) == 1
    log = (await api.get("/v1/activity", params={"entity": first.json()["id"]})).json()["items"]
    assert [row["action"] for row in log] == ["observation_created"]
    assert "quokka" not in str(log)


async def test_a_search_sent_twice_is_answered_the_same_until_something_is_forgotten(
    place: tuple[Api, Api, dict[str, Any]],
) -> None:
    api, narrow, _ = place
    one = await remember(api, "The cassowary fence")
    asked = {
        "/v1/memory/search": {"query": "cassowary", "mode": "lexical"},
        "/v1/memory/context": {"task": "mend the cassowary fence"},
    }
    headers = {path: {"Idempotency-Key": uuid.uuid4().hex} for path in asked}

    async def send(path: str, **more: Any) -> httpx.Response:
        return await narrow.post(path, json=asked[path] | more, headers=headers[path])

    first = {path: await send(path) for path in asked}
    await remember(api, "Another cassowary")
    for path, answer in first.items():
        assert one["id"] in [item["id"] for item in answer.json()["items"]], path
        again = await send(path)
        assert (again.status_code, again.json()) == (200, answer.json()), path
        assert again.headers["idempotent-replayed"] == "true"
        is_problem(
            await narrow.post(path, json=asked[path], headers={"Idempotency-Key": "a b"}), 422, "invalid_request"
        )
    is_problem(await send("/v1/memory/search", limit=3), 409, "idempotency_key_reused")
    is_problem(await send("/v1/memory/context", budget_tokens=300), 409, "idempotency_key_reused")
    assert (await api.delete(f"/v1/observations/{one['id']}")).status_code == 200
    for path in asked:
        anew = await send(path)
        assert "idempotent-replayed" not in anew.headers
        assert "Another cassowary" in [item["title"] for item in anew.json()["items"]], path
        assert "The cassowary fence" not in anew.text, path


async def test_what_is_private_is_left_out(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, _, _ = place
    kept = await remember(
        api, "The <private>okapi</private> token", narrative="It is ghp_0123456789abcdefghijABCDEFGHIJ012345 still"
    )
    assert "okapi" not in str(kept)
    assert "ghp_0123456789" not in str(kept)
    assert (await find(api, "okapi", mode="lexical"))["items"] == []
    answer = await api.post("/v1/observations", json={"project": "apollo", "title": "<private>all of it</private>"})
    is_problem(answer, 422, "nothing_left")


async def test_half_a_character_is_no_reason_to_refuse(place: tuple[Api, Api, dict[str, Any]]) -> None:
    """What cuts texts in the middle of an emoji writes such halves, which UTF-8 has no bytes for."""
    api, _, _ = place
    typed = {"Content-Type": "application/json"}
    whole = b"\\ud83d\\ude00"
    sent = b'{"project": "apollo", "title": "Wombats \\ud83d dig \\\\ud83d %b"}' % whole
    answer = await api.post("/v1/observations", content=sent, headers=typed)
    assert answer.status_code == 201, answer.text
    assert answer.json()["title"] == "Wombats \ufffd dig \\ud83d \U0001f600"
    changed = await api.patch(f"{answer.headers['location']}", content=b'{"narrative": "\\uDE00 deep"}', headers=typed)
    assert changed.json()["narrative"] == "\ufffd deep"
    sent = b'{"project": "apollo", "external_id": "bilby-1", "title": "Cut \\ud83d", "metadata": {"a": "\\udc00"}}'
    begun = await api.post("/v1/sessions", content=sent, headers=typed)
    assert begun.status_code == 201, begun.text
    assert (begun.json()["title"], begun.json()["metadata"]) == ("Cut \ufffd", {"a": "\ufffd"})
    hooked = "/compat/claude-mem/v1"
    sent = b'{"projectId": "apollo", "externalSessionId": "bilby-2", "contentSessionId": "b", "title": "\\ud83d"}'
    begun = await api.post(f"{hooked}/sessions/start", content=sent, headers=typed)
    assert begun.status_code in (200, 201), begun.text
    sent = b'{"projectId": "apollo", "kind": "manual", "content": "Bilbies eat \\ud83d"}'
    kept = await api.post(f"{hooked}/memories", content=sent, headers=typed)
    assert kept.status_code == 201, kept.text
    assert "Bilbies eat \ufffd" in kept.text
    found = await api.post(
        f"{hooked}/search", content=b'{"projectId": "apollo", "query": "bilbies \\ud83d"}', headers=typed
    )
    assert "Bilbies" in found.text


async def test_a_correction_counts_at_once(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, narrow, _ = place
    one = await remember(api, "The kookaburra queue", type="discovery")
    path = f"/v1/observations/{one['id']}"
    changed = (await narrow.patch(path, json={"title": "The numbat queue", "facts": ["It is striped"]})).json()
    assert (changed["title"], changed["facts"], changed["type"], changed["version"]) == (
        "The numbat queue", ["It is striped"], "discovery", 2,
    )  # fmt: skip
    assert (await find(api, "kookaburra", mode="lexical"))["items"] == []
    assert [item["id"] for item in (await find(api, "numbat striped", mode="lexical"))["items"]] == [one["id"]]
    for wrong in ({}, {"title": None}, {"title": ""}, {"seen": 3}):
        assert (await api.patch(path, json=wrong)).status_code == 422
    both = await asyncio.gather(
        api.patch(path, json={"narrative": "one"}), api.patch(path, json={"subtitle": "two"})
    )  # fmt: skip
    assert [answer.status_code for answer in both] == [200, 200]
    seen = (await api.get(path)).json()
    assert (seen["narrative"], seen["subtitle"], seen["version"]) == ("one", "two", 4)
    assert seen["sources"] == []


async def test_lists_and_the_timeline(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, _, _ = place
    days = [f"2020-01-{day:02}T00:00:00+00:00" for day in range(1, 8)]
    ids = [(await remember(api, f"Day {day[8:10]}", type="diary", occurred_at=day))["id"] for day in days]
    listed: list[str] = []
    cursor = None
    while True:
        page = (await api.get("/v1/observations", params={"type": "diary", "limit": 3, "cursor": cursor or ""} if cursor
                else {"type": "diary", "limit": 3})).json()  # fmt: skip
        listed += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert listed == ids[::-1]
    around = (await api.get("/v1/memory/timeline", params={"around": ids[3], "limit": 5, "type": "diary"})).json()
    assert [item["id"] for item in around["items"]] == ids[1:6]
    first = (await api.get("/v1/memory/timeline", params={"around": ids[0], "limit": 5, "type": "diary"})).json()
    assert [item["id"] for item in first["items"]] == ids[:5]
    latest = (await api.get("/v1/memory/timeline", params={"project": "apollo", "type": "diary", "limit": 2})).json()
    assert [item["id"] for item in latest["items"]] == ids[5:]
    is_problem(await api.get("/v1/memory/timeline", params={"around": str(uuid.uuid4())}), 404, "not_found")
    is_problem(await api.get(f"/v1/observations/{uuid.uuid4()}"), 404, "not_found")
    told = (await api.get("/v1/memory/stats", params={"project": "apollo"})).json()
    assert told["observations"] >= 7
    for path in ("/v1/observations", "/v1/memory/timeline", "/v1/memory/stats"):
        for more in (
            {},
            {} if path.endswith("stats") else {"at": days[0]} if "timeline" in path else {"type": "diary"},
        ):
            is_problem(await api.get(path, params={"project": "apolo", **more}), 422, "unknown_reference")


async def test_what_is_asked_wrongly_is_said_in_its_own_words(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api = place[0]
    long = is_problem(await api.get("/v1/memory/search", params={"query": "a" * 10_001}), 422, "invalid_request")
    assert "at most 10000 characters" in long["detail"]
    empty = await api.post("/v1/memory/search", json={"query": "a", "project": ""})
    assert "[" not in is_problem(empty, 422, "invalid_request")["detail"]
    both = {"around": str(uuid.uuid4()), "at": "2026-11-21T12:00:00Z"}
    assert "not both" in is_problem(await api.get("/v1/memory/timeline", params=both), 422, "invalid_request")["detail"]


async def test_a_time_has_a_zone_wherever_it_is_named(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, _, _ = place
    for when in ("2026-03", "2026-03-31T08:00:00", "0001-01-01T00:00:00+14:00"):
        query = {"query": "day", "after": when}
        is_problem(await api.get("/v1/memory/search", params=query), 422, "invalid_request")
        is_problem(await api.post("/v1/memory/search", json=query), 422, "invalid_request")
    for day in ("2026-03-31", "2024-02-29"):  # which begins at midnight UTC
        assert (await api.get("/v1/memory/search", params={"query": "day", "after": day})).status_code == 200
    assert (await api.get("/v1/memory/timeline", params={"before": "2026-02-30"})).status_code == 422


async def test_an_archived_project_is_still_counted(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, _, _ = place
    slug = f"p-{uuid.uuid4().hex[:8]}"
    assert (await api.post("/v1/projects", json={"slug": slug, "name": "P"})).status_code == 201
    assert (await api.patch(f"/v1/projects/{slug}", json={"status": "archived"})).status_code == 200
    answer = await api.get("/v1/memory/stats", params={"project": slug})
    assert (answer.status_code, answer.json()["observations"]) == (200, 0)


async def test_context_is_markdown_within_its_budget(place: tuple[Api, Api, dict[str, Any]]) -> None:
    api, narrow, _ = place
    one = await remember(
        api, "Pangolin imports are batched", type="decision", narrative="Because each commit costs 5 ms. " * 30
    )
    for client, project in ((api, {"project": "apollo"}), (narrow, {})):
        body = {"task": "make the pangolin import faster", "budget_tokens": 300, **project}
        told = (await client.post("/v1/memory/context", json=body)).json()
        assert one["id"] in told["markdown"]
        assert one["id"] in [item["id"] for item in told["items"]]
        assert len(told["markdown"]) / 4 < told["tokens"] <= 300
    nothing = (await api.post("/v1/memory/context", json={"project": "gemini", "task": "anything"})).json()
    assert nothing == {"markdown": "", "items": [], "tokens": 0}
    is_problem(await api.post("/v1/memory/context", json={"task": "x"}), 422, "invalid_request")


async def test_a_key_that_may_not_is_refused(
    settings: Settings, url: str, place: tuple[Api, Api, dict[str, Any]]
) -> None:
    async with Api(url, admin(settings)) as chief:
        workspace = await new_workspace(chief)
        reader = await key_in(chief, workspace, "memory:read")
        worker = await key_in(chief, workspace, "tasks:read")
    async with Api(url, reader["key"]) as api:
        assert (await find(api, "x"))["items"] == []
        is_problem(await api.post("/v1/observations", json={"project": "p", "title": "x"}), 403, "missing_scope")
    async with Api(url, worker["key"]) as api:
        is_problem(await api.post("/v1/memory/search", json={"query": "x"}), 403, "missing_scope")
        answer: httpx.Response = await api.get("/v1/observations")
        is_problem(answer, 403, "missing_scope")
