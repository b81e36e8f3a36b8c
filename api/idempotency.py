"""`Idempotency-Key`: the same request sent twice is done once, and answered the same."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from api.answers import Json
from api.context import Context
from muster.domain.errors import KeyReused, MusterError
from muster.domain.ids import new_id
from muster.domain.tenants import Tenant
from muster.storage import idempotency
from muster.storage.idempotency import Answered, Taken

log = logging.getLogger(__name__)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Of your choice. A request that is repeated with it within 24 hours is answered as the first "
        "was, with `Idempotent-Replayed: true`. While the first is worked on, and until 10 s after an "
        "API died over it, the answer is 409 with `Retry-After`.",
    ),
]


@dataclass(frozen=True, slots=True)
class Sent:
    """One sending of a request."""

    id: UUID
    """The same for each sending with the same key, so whatever is named after it comes to be once."""
    hash: str | None = None
    """Of what it asks, where it has a key."""
    again: bool = False
    """An earlier sending died or failed half-way, and may have done what it was asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: dict[str, Any]
    location: str | None = None
    kept: dict[str, Any] | None = None
    """What is kept and answered to repetitions in place of the body: for one with a secret in it."""
    tells: Sequence[str] = ()
    """Observations that it quotes: it is not kept beyond them."""

    def response(self) -> Json:
        return Json(self.body, self.status, {"Location": self.location} if self.location else None)


@dataclass(slots=True)
class Streamed:
    """A body that is read piece by piece and never held whole. What it was is known once it has been read."""

    request: Request
    keyed: bool
    _hash: Any = field(default_factory=hashlib.sha256)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self.request.stream():
            if self.keyed:
                self._hash.update(data)
            yield data

    @property
    def hash(self) -> str:
        digest: str = self._hash.hexdigest()
        return digest


async def once(
    here: Context,
    tenant: Tenant,
    request: Request,
    key: str | None,
    body: BaseModel | Streamed | None,
    work: Callable[[Sent], Coroutine[Any, Any, Answer]],
    *,
    reads: bool = False,
) -> Json:
    """`reads`: it changes nothing and tells of memory; what is forgotten must not be told again."""
    if key is None:
        return (await work(Sent(new_id()))).response()
    digest = _digest(tenant, request, body)
    found = await idempotency.begin(here.db, tenant, key, digest, reads=reads)
    if isinstance(found, Answered):
        if isinstance(body, Streamed):
            async for _ in body:
                pass
            if found.answer.get("sent") != body.hash:
                raise KeyReused("this Idempotency-Key was used for another request")
        return _again(found.answer)
    keeping = _Keeping(here, tenant, key, found)
    try:
        answer = await keeping.hold(work(Sent(found.request_id, digest, again=found.again)))
    except BaseException as error:
        await keeping.give_up(error)
        raise
    return await keeping.finish(answer, body.hash if isinstance(body, Streamed) else None)


def _digest(tenant: Tenant, request: Request, body: BaseModel | Streamed | None) -> str:
    route, query = f"{request.method} {request.url.path}", request.url.query
    asked = body.model_dump(mode="json") if isinstance(body, BaseModel) else None
    # With how far it reaches: an answer is not given again to a key that could not have had it.
    canonical = json.dumps(
        [route, query, asked, str(tenant.project_id), str(tenant.task_id)], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _again(kept: dict[str, Any]) -> Json:
    headers = {"Idempotent-Replayed": "true"}
    if kept["location"]:
        headers["Location"] = kept["location"]
    return Json(kept["body"], kept.get("status", 200), headers)


class _Keeping:
    """A key, for as long as one sending of its request is worked on."""

    def __init__(self, here: Context, tenant: Tenant, key: str, taken: Taken) -> None:
        self._db, self._tenant, self._key, self._taken = here.db, tenant, key, taken

    async def hold(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Do it, and say now and then that it is being done."""
        working = asyncio.create_task(work, name="keyed request")
        try:
            while not (await asyncio.wait({working}, timeout=idempotency.HOLD_SECONDS))[0]:
                try:
                    self._taken = await idempotency.hold(self._db, self._tenant, self._key, self._taken)
                except MusterError:
                    log.warning("an Idempotency-Key could not be held; another sending may take it over")
        finally:
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
        return working.result()

    async def finish(self, answer: Answer, sent: str | None) -> Json:
        body = answer.body if answer.kept is None else answer.kept
        mine = {"status": answer.status, "body": body, "location": answer.location}
        if sent is not None:
            mine["sent"] = sent
        try:
            earlier = await idempotency.finish(self._db, self._tenant, self._key, self._taken, mine, answer.tells)
        except MusterError:
            # The next sending takes over, and finds what this one has done.
            log.warning("an answer could not be kept for its Idempotency-Key")
            return answer.response()
        return _again(earlier.answer) if earlier else answer.response()

    async def give_up(self, error: BaseException) -> None:
        status = error.status if isinstance(error, MusterError) else 500
        status = error.status_code if isinstance(error, HTTPException) else status
        # Refused at once, it has done nothing; what was taken over may have, whatever this sending is told.
        nothing_done = status < 500 and not self._taken.again
        free = idempotency.forget if nothing_done else idempotency.let_go
        try:
            await free(self._db, self._tenant, self._key, self._taken)
        except MusterError:
            log.warning("an Idempotency-Key could not be given up; it is free again in a moment")
