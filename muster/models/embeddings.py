"""Vectors of texts, from an OpenAI-compatible endpoint: the embedder of our own, or whoever the settings name.

A query must not pay for a provider that is down. After two failures in a row nobody asks it any more but one small
question in the background, now and then; everybody else is told at once that there are no vectors. Our own embedder is
asked by itself until it answers, another when somebody wants something of it, since it may cost money.
"""

from __future__ import annotations

import array
import asyncio
import base64
import binascii
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from muster.domain.memory import ErrorClass, GenerationFailed
from muster.models import wire
from muster.models.embedder import DIMENSIONS, MODEL, average, parts

OFF = "off"

BATCH_TEXTS, BATCH_CHARACTERS = 64, 100_000
"""In one request: some 150 ms of the embedder's, and within what providers take."""
PART_BYTES = 16_000
"""Of one text. Hosted models refuse more than some 8,000 tokens, and a longer text is the mean of its parts."""
MOST_DIMENSIONS = 16_000
"""What a halfvec holds."""

_REMEMBERED = 1_000
_REMEMBERED_CHARACTERS = 500
_FAILURES = 2
_FIRST_PAUSE, _LONGEST_PAUSE, _OWN_LONGEST_PAUSE = 1.0, 30.0, 4.0
_PROBE_SECONDS = 5.0
_QUESTION = "Are you there?"
_DOWN = frozenset({ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE, ErrorClass.RATE_LIMIT, ErrorClass.QUOTA})


class Provider:
    """One endpoint, and whether it is worth asking."""

    def __init__(self, base: str, key: str | None, *, own: bool) -> None:
        self.base, self.own = base, own
        direct = own and base.startswith("http://")
        self._wire: wire.Wire = wire.Direct(base, key) if direct else wire.General(base, key)
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._closed_until = 0.0
        self._last: GenerationFailed | None = None
        self.trouble: GenerationFailed | None = None
        """What became of the last question, where that was no answer."""
        self._probe: asyncio.Task[None] | None = None

    async def ask(self, document: dict[str, Any], seconds: float) -> Any:
        if self._last is not None and self._failures >= _FAILURES:
            raise self._refusal(self._last, document)
        return await self._ask(document, seconds)

    async def _ask(self, document: dict[str, Any], seconds: float) -> Any:
        try:
            answer = await wire.ask(self._wire, "POST", "/embeddings", document, seconds=seconds)
        except GenerationFailed as failure:
            self.trouble = failure
            if failure.kind in _DOWN:
                self._failed(failure)
                if self.own and self._failures >= _FAILURES and (self._probe is None or self._probe.done()):
                    self._probe = asyncio.create_task(self._wait_for_it({**document, "input": [_QUESTION]}))
            raise
        self._failures, self._pause, self._last, self.trouble = 0, _FIRST_PAUSE, None, None
        return answer

    def _failed(self, failure: GenerationFailed) -> None:
        self._failures += 1
        self._last = failure
        if self._failures >= _FAILURES:
            self._closed_until = time.monotonic() + max(self._pause, failure.retry_after or 0.0)
            self._pause = min(self._pause * 2, _OWN_LONGEST_PAUSE if self.own else _LONGEST_PAUSE)

    def _refusal(self, last: GenerationFailed, document: dict[str, Any]) -> GenerationFailed:
        left = self._closed_until - time.monotonic()
        if left <= 0 and (self._probe is None or self._probe.done()):
            self._probe = asyncio.create_task(self._look({**document, "input": [_QUESTION]}))
        return GenerationFailed(last.kind, last.message, retry_after=max(left, 0.2))

    async def _wait_for_it(self, document: dict[str, Any]) -> None:
        while self._failures >= _FAILURES:
            await asyncio.sleep(max(0.0, self._closed_until - time.monotonic()))
            await self._look(document)

    async def _look(self, document: dict[str, Any]) -> None:
        try:
            await self._ask(document, _PROBE_SECONDS)
        except GenerationFailed as failure:
            if failure.kind not in _DOWN:  # it answers, if only to say no
                self._failures, self._last = 0, None

    async def look(self, seconds: float) -> str:
        """What it says when it is asked whether it is there; raises GenerationFailed."""
        answer = await wire.ask(self._wire, "GET", "/models", None, seconds=seconds)
        models = answer.get("data") if isinstance(answer, dict) else None
        return ", ".join(str(model.get("id")) for model in (models or [])[:3] if isinstance(model, dict))

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait({self._probe})
        await self._wire.close()


class Embeddings:
    """Of one model. Those of another of the same provider: `named`."""

    def __init__(self, provider: Provider | None, model: str, dimensions: int | None = None) -> None:
        self.model = model
        self._provider = provider
        self._asked_dimensions = dimensions
        self._dimensions = dimensions
        self._known: OrderedDict[str, array.array[float]] = OrderedDict()
        self._others: dict[str, Embeddings] = {}
        self._beside: Embeddings | None = None

    @classmethod
    def of(
        cls,
        url: str | None,
        model: str = MODEL,
        key: str | None = None,
        *,
        dimensions: int | None = None,
        beside: str | None = None,
    ) -> Embeddings:
        """`url` is the API's base, as OpenAI's clients have it (`https://api.openai.com/v1`); None or `off`: no
        vectors. `beside` is where the embedded model is, if it is not this one."""
        if not url or url == OFF:
            return cls(None, model)
        base = url.rstrip("/")
        if urlsplit(base).path in ("", "/"):
            base += "/v1"
        found = cls(Provider(base, key, own=model == MODEL), model, dimensions)
        if beside and model != MODEL:
            found._beside = cls(Provider(beside.rstrip("/"), None, own=True), MODEL)
        return found

    @property
    def enabled(self) -> bool:
        return self._provider is not None

    @property
    def where(self) -> str:
        return self._provider.base if self._provider else OFF

    def named(self, model: str | None) -> Embeddings:
        """Of this model, at the same provider; None: the instance's own."""
        if model is None or model == self.model:
            return self
        if model == MODEL and self._beside is not None:
            return self._beside
        found = self._others.get(model)
        if found is None:
            if len(self._others) >= 50:
                self._others.clear()
            found = self._others[model] = Embeddings(self._provider, model)
        return found

    async def embed(self, texts: Sequence[str], *, seconds: float | None = None) -> list[list[float]]:
        """One vector for each text, of length one; GenerationFailed says why not. `seconds` is for all of them."""
        provider = self._provider
        if provider is None:
            raise GenerationFailed(ErrorClass.REFUSED, "there are no embeddings: MUSTER_EMBEDDINGS_URL says so")
        if len(texts) == 1 and (known := self._remembered(texts[0])) is not None:
            return [known]
        until = time.monotonic() + (60.0 if seconds is None else seconds)
        pieces = [part for text in texts for part in self._parts(text)] if not provider.own else list(texts)
        vectors: list[list[float]] = []
        for batch in _batches(pieces):
            left = until - time.monotonic()
            if left <= 0:
                raise GenerationFailed(ErrorClass.TIMEOUT, "the embedder took too long")
            document: dict[str, Any] = {"model": self.model, "input": batch, "encoding_format": "base64"}
            if self._asked_dimensions is not None:
                document["dimensions"] = self._asked_dimensions
            answer = await provider.ask(document, left)
            try:
                vectors += self._read(answer, len(batch), provider.own)
            except GenerationFailed as failure:
                provider.trouble = failure
                raise
        if not provider.own:
            vectors = list(self._joined(texts, vectors))
        if len(texts) == 1:
            self._remember(texts[0], vectors[0])
        return vectors

    def _remembered(self, text: str) -> list[float] | None:
        if (known := self._known.get(text)) is None:
            return None
        self._known.move_to_end(text)
        return known.tolist()

    def _remember(self, text: str, vector: list[float]) -> None:
        if len(text) <= _REMEMBERED_CHARACTERS:
            self._known[text] = array.array("f", vector)  # a list would take eight times the room
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    @staticmethod
    def _parts(text: str) -> list[str]:
        return parts(text, PART_BYTES)

    def _joined(self, texts: Sequence[str], vectors: list[list[float]]) -> Any:
        start = 0
        for text in texts:
            pieces = self._parts(text)
            own = vectors[start : start + len(pieces)]
            start += len(pieces)
            yield own[0] if len(own) == 1 else average(own, [len(piece) for piece in pieces])

    def _read(self, answer: Any, count: int, own: bool) -> list[list[float]]:
        try:
            rows = answer["data"]
            if len(rows) != count:
                raise _malformed(f"{len(rows)} vectors for {count} texts")
            found: list[list[float] | None] = [None] * count
            for place, row in enumerate(rows):
                vector = _floats(row["embedding"])
                found[row.get("index", place)] = vector if own else _unit(vector)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, binascii.Error) as error:
            raise _malformed(f"not in the form of an answer ({type(error).__name__})") from None
        vectors = [vector for vector in found if vector is not None]
        if len(vectors) != count:
            raise _malformed("the same index twice")
        for vector in vectors:
            self._check(vector)
        return vectors

    def _check(self, vector: list[float]) -> None:
        wanted = self._dimensions
        if wanted is None:
            if not 0 < len(vector) <= MOST_DIMENSIONS:
                raise _malformed(f"{len(vector)} dimensions")
            self._dimensions = len(vector)
        elif len(vector) != wanted:
            raise _malformed(f"{len(vector)} dimensions, and {wanted} are expected")

    async def look(self, seconds: float = 2.0) -> str:
        """Whether the provider is there, for health checks: the names of its first models. Where the last question was
        not answered, one is asked: it may be there and not answer."""
        provider = self._provider
        if provider is None:
            raise GenerationFailed(ErrorClass.REFUSED, "there are no embeddings")
        found = await provider.look(seconds)
        if provider.trouble is not None:
            self._known.pop(_QUESTION, None)
            await self.embed([_QUESTION], seconds=seconds)
        return found

    async def refusal(self, model: str, seconds: float) -> str | None:
        """Why there are no vectors of this model, where the provider says so; None also where it says nothing now."""
        try:
            await self.named(model).embed([_QUESTION], seconds=seconds)
        except GenerationFailed as failure:
            return failure.message if failure.kind == ErrorClass.REFUSED else None
        return None

    async def close(self) -> None:
        if self._provider is not None:
            await self._provider.close()
        if self._beside is not None:
            await self._beside.close()


def _batches(texts: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = []
    size = 0
    for text in texts:
        if not found or len(found[-1]) >= BATCH_TEXTS or size + len(text) > BATCH_CHARACTERS:
            found.append([])
            size = 0
        found[-1].append(text)
        size += len(text)
    return found


def _floats(said: Any) -> list[float]:
    if isinstance(said, str):
        found = array.array("f")
        found.frombytes(base64.b64decode(said, validate=True))
        vector = found.tolist()
    else:  # not everybody knows base64
        vector = [float(x) for x in said]
    if not math.isfinite(sum(vector)):
        raise ValueError
    return vector


def _unit(vector: list[float]) -> list[float]:
    """Half precision ends at 65,504, and some models' vectors are of any length."""
    size = math.sqrt(sum(x * x for x in vector))
    if size == 0:
        raise ValueError
    return vector if abs(size - 1) < 1e-3 else [x / size for x in vector]


def _malformed(what: str) -> GenerationFailed:
    return GenerationFailed(ErrorClass.MALFORMED, f"the embedder's answer is not usable: {what}")


__all__ = ["DIMENSIONS", "MODEL", "Embeddings"]
