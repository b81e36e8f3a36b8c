"""`Idempotency-Key`: the same request sent twice is done once, and answered the same."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Request
from pydantic import BaseModel

from api.answers import Json
from api.context import Context, Tenant
from muster.domain.errors import MusterError
from muster.domain.ids import keyed_id, new_id
from muster.storage import idempotency

log = logging.getLogger(__name__)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Of your choice. A request that is repeated with it within 24 hours is answered as the first "
        "was, with 200 and `Idempotent-Replayed: true`.",
    ),
]


@dataclass(frozen=True, slots=True)
class Sent:
    """One sending of a request."""

    id: UUID
    """The same for each sending with the same key, so whatever is named after it comes to be once."""
    hash: str
    keyed: bool


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: dict[str, Any]
    location: str | None = None

    def response(self, *, replayed: bool = False) -> Json:
        headers = {"Location": self.location} if self.location else {}
        if replayed:
            headers["Idempotent-Replayed"] = "true"
        return Json(self.body, self.status, headers)


async def once(
    here: Context,
    tenant: Tenant,
    request: Request,
    key: str | None,
    body: BaseModel | None,
    work: Callable[[Sent], Awaitable[Answer]],
) -> Json:
    route, query = f"{request.method} {request.url.path}", request.url.query
    asked = body.model_dump(mode="json") if body else None
    canonical = json.dumps([route, query, asked], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    if key is None:
        return (await work(Sent(new_id(), digest, keyed=False))).response()
    known = await idempotency.begin(here.db, tenant.workspace_id, key, digest)
    if known is not None:
        return Answer(200, known["body"], known["location"]).response(replayed=True)
    try:
        answer = await work(Sent(keyed_id(tenant.workspace_id, route, key), digest, keyed=True))
    except BaseException:
        # Refused, or not known to have worked. The key is free for another try, which is named the same as this
        # one: what did work after all is found, not done again.
        try:
            await idempotency.give_up(here.db, tenant.workspace_id, key)
        except MusterError:
            log.warning("an Idempotency-Key could not be given up; it is free again in a moment")
        raise
    try:
        await idempotency.finish(
            here.db, tenant.workspace_id, key, {"body": answer.body, "location": answer.location}
        )  # fmt: skip
    except MusterError:
        log.warning("an answer could not be kept for its Idempotency-Key")
    return answer.response()
