"""Idempotency keys: one request, one answer."""

from __future__ import annotations

import asyncio

import pytest

from muster.domain.errors import KeyReused, RequestInFlight
from muster.storage import idempotency
from muster.storage.idempotency import Answered, Taken

from .conftest import NewTenant, Tenant

ANSWER = {"status": 201}


async def taken(tenant: Tenant, key: str = "k", request: str = "hash") -> Taken:
    found = await idempotency.begin(tenant.db, tenant.id, key, request)
    assert isinstance(found, Taken), found
    return found


async def finished(tenant: Tenant, key: str = "k", request: str = "hash") -> Taken:
    held = await taken(tenant, key, request)
    assert await idempotency.finish(tenant.db, tenant.id, key, held, ANSWER) is None
    return held


async def age(tenant: Tenant, seconds: float) -> None:
    await tenant.rows(
        "UPDATE idempotency_keys SET created_at = created_at - make_interval(secs => %s), "
        "taken_at = taken_at - make_interval(secs => %s)",
        (seconds, seconds),
    )


async def test_answered_once_and_repeated(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    first = await taken(tenant)
    assert not first.again
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "k", "hash")
    await idempotency.finish(db, w, "k", first, ANSWER)
    assert await idempotency.begin(db, w, "k", "hash") == Answered(ANSWER)
    with pytest.raises(KeyReused):
        await idempotency.begin(db, w, "k", "another body")


async def test_of_many_at_once_one_goes_on(tenant: Tenant) -> None:
    answers = await asyncio.gather(
        *(idempotency.begin(tenant.db, tenant.id, "k", "hash") for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, Taken) for answer in answers) == 1
    assert sum(isinstance(answer, RequestInFlight) for answer in answers) == 7


async def test_another_body_is_refused_also_while_in_flight(tenant: Tenant) -> None:
    await taken(tenant)
    await age(tenant, 60)
    with pytest.raises(KeyReused):
        await idempotency.begin(tenant.db, tenant.id, "k", "another body")


async def test_a_request_that_died_is_taken_over_by_one_under_the_same_id(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    first = await taken(tenant)
    await age(tenant, 7)
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "k", "hash")
    await age(tenant, 4)
    answers = await asyncio.gather(*(idempotency.begin(db, w, "k", "hash") for _ in range(4)), return_exceptions=True)
    [second] = [answer for answer in answers if isinstance(answer, Taken)]
    assert (second.request_id, second.again) == (first.request_id, True)
    assert sum(isinstance(answer, RequestInFlight) for answer in answers) == 3


async def test_a_request_that_is_still_worked_on_is_not_taken_over(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    held = await taken(tenant)
    for _ in range(3):
        await age(tenant, 7)
        held = (await tenant.rows("SELECT request_id, taken_at, false FROM idempotency_keys"))[0]
        held = await idempotency.hold(db, w, "k", Taken(*held))
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "k", "hash")


async def test_who_was_taken_over_cannot_free_or_hold_the_key_of_another(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    slow = await taken(tenant)
    await age(tenant, 11)
    await taken(tenant)
    assert await idempotency.hold(db, w, "k", slow) == slow
    await idempotency.forget(db, w, "k", slow)
    await idempotency.let_go(db, w, "k", slow)
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "k", "hash")


async def test_of_two_sendings_that_end_the_first_answer_is_kept(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    slow = await taken(tenant)
    await age(tenant, 11)
    quick = await taken(tenant)
    assert await idempotency.finish(db, w, "k", quick, ANSWER) is None
    assert await idempotency.finish(db, w, "k", slow, {"status": 202}) == Answered(ANSWER)
    assert await idempotency.begin(db, w, "k", "hash") == Answered(ANSWER)


async def test_a_refused_request_frees_its_key_and_an_answered_one_does_not(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    first = await taken(tenant)
    await idempotency.forget(db, w, "k", first)
    second = await taken(tenant, "k", "another body")
    assert second.request_id != first.request_id
    assert not second.again
    await idempotency.finish(db, w, "k", second, ANSWER)
    await idempotency.forget(db, w, "k", second)
    assert await idempotency.begin(db, w, "k", "another body") == Answered(ANSWER)


async def test_a_failed_request_goes_on_at_once_and_only_as_what_it_was(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    first = await taken(tenant)
    await idempotency.let_go(db, w, "k", first)
    with pytest.raises(KeyReused):
        await idempotency.begin(db, w, "k", "another body")
    second = await taken(tenant)
    assert (second.request_id, second.again) == (first.request_id, True)


async def test_after_a_day_the_key_is_of_another_request(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    first = await finished(tenant, "old")
    await finished(tenant, "swept")
    await age(tenant, 86_000)
    assert await idempotency.begin(db, w, "old", "hash") == Answered(ANSWER)
    await age(tenant, 500)
    second = await taken(tenant, "old")
    assert second.request_id != first.request_id
    assert not second.again
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "old", "hash")
    await idempotency.finish(db, w, "old", first, {"status": 500})  # of yesterday
    with pytest.raises(RequestInFlight):
        await idempotency.begin(db, w, "old", "hash")
    await idempotency.forget_old(db, w)
    assert {row[0] for row in await tenant.rows("SELECT key FROM idempotency_keys")} == {"old"}


async def test_each_tenant_has_its_own(new_tenant: NewTenant) -> None:
    one, two = await new_tenant(), await new_tenant()
    await taken(one)
    await taken(two, "k", "another body")
