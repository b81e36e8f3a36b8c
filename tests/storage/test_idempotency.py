"""Idempotency keys: one request, one answer."""

from __future__ import annotations

import asyncio

import pytest

from muster.domain.errors import KeyReused, RequestInFlight
from muster.storage import idempotency

from .conftest import NewTenant, Tenant


async def age(tenant: Tenant, seconds: float) -> None:
    await tenant.rows(
        "UPDATE idempotency_keys SET created_at = created_at - make_interval(secs => %s), "
        "taken_at = taken_at - make_interval(secs => %s)",
        (seconds, seconds),
    )


async def test_answered_once_and_repeated(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    assert await idempotency.begin(db, w, "k", "hash") is None
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "k", "hash")
    await idempotency.finish(db, w, "k", {"status": 201})
    assert await idempotency.begin(db, w, "k", "hash") == {"status": 201}
    with pytest.raises(KeyReused):
        await idempotency.begin(db, w, "k", "another body")


async def test_of_many_at_once_one_goes_on(tenant: Tenant) -> None:
    answers = await asyncio.gather(
        *(idempotency.begin(tenant.db, tenant.id, "k", "hash") for _ in range(8)), return_exceptions=True
    )
    assert sum(answer is None for answer in answers) == 1
    assert sum(isinstance(answer, RequestInFlight) for answer in answers) == 7


async def test_another_body_is_refused_also_while_in_flight(tenant: Tenant) -> None:
    await idempotency.begin(tenant.db, tenant.id, "k", "hash")
    await age(tenant, 60)
    with pytest.raises(KeyReused):
        await idempotency.begin(tenant.db, tenant.id, "k", "another body")


async def test_a_request_that_died_is_taken_over_by_one(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    await idempotency.begin(db, w, "k", "hash")
    await age(tenant, 10)
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "k", "hash")
    await age(tenant, 31)
    answers = await asyncio.gather(*(idempotency.begin(db, w, "k", "hash") for _ in range(4)), return_exceptions=True)
    assert sum(answer is None for answer in answers) == 1
    assert sum(isinstance(answer, RequestInFlight) for answer in answers) == 3


async def test_a_refused_request_frees_its_key_and_an_answered_one_does_not(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    await idempotency.begin(db, w, "k", "hash")
    await idempotency.give_up(db, w, "k")
    assert await idempotency.begin(db, w, "k", "another body") is None
    await idempotency.finish(db, w, "k", {"status": 201})
    await idempotency.give_up(db, w, "k")
    assert await idempotency.begin(db, w, "k", "another body") == {"status": 201}


async def test_keys_are_forgotten_after_a_day(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    for key in ("old", "swept"):
        await idempotency.begin(db, w, key, "hash")
        await idempotency.finish(db, w, key, {"status": 201})
    await age(tenant, 86_000)
    assert await idempotency.begin(db, w, "old", "hash") == {"status": 201}
    await age(tenant, 500)
    assert await idempotency.begin(db, w, "old", "another body") is None
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "old", "another body")
    await idempotency.forget_old(db, w)
    assert {row[0] for row in await tenant.rows("SELECT key FROM idempotency_keys")} == {"old"}


async def test_each_tenant_has_its_own(new_tenant: NewTenant) -> None:
    one, two = await new_tenant(), await new_tenant()
    assert await idempotency.begin(one.db, one.id, "k", "hash") is None
    assert await idempotency.begin(two.db, two.id, "k", "another body") is None
