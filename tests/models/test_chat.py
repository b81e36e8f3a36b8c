"""What becomes of each way a provider may answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from muster.domain.memory import ErrorClass, GenerationFailed
from muster.models.chat import Asked, Chat, Spent, most_tokens
from muster.models.remembering import Observed

from .provider import SECRET, Provider, a_provider, called, refused, written

GOOD = {"observations": [{"type": "fact", "title": "The sky is blue", "facts": ["The sky is blue"], "events": [1]}]}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with a_provider() as provider:
        yield provider


@pytest.fixture
async def chat(provider: Provider) -> AsyncIterator[Chat]:
    chat = Chat("small", url=provider.url, key=SECRET, seconds=10)
    yield chat
    await chat.close()


async def ask(chat: Chat, spent: Spent | None = None) -> Observed:
    return await chat.ask(Asked("Remember.", "The sky is blue.", Observed, 500), spent or Spent())


async def failure(chat: Chat) -> GenerationFailed:
    with pytest.raises(GenerationFailed) as caught:
        await ask(chat)
    chain: BaseException | None = caught.value
    assert SECRET not in str(chain)
    assert caught.value.__cause__ is None
    return caught.value


async def test_a_form_is_filled_in(chat: Chat, provider: Provider) -> None:
    provider.answer = called(GOOD)
    spent = Spent()
    answer = await ask(chat, spent)
    assert answer.observations[0].title == "The sky is blue"
    assert (spent.calls, spent.input_tokens, spent.output_tokens) == (1, 100, 20)
    request = provider.requests[0]
    assert request["model"] == "small"
    assert 500 in (request.get("max_tokens"), request.get("max_completion_tokens"))
    assert f"Bearer {SECRET}" in provider.headers[0]


@pytest.mark.parametrize(
    "text",
    ['{"observations": [{"title": "x"}]}', '```json\n{"nothing": "small talk"}\n```', 'Here: {"nothing": "so"} Bye.'],
)
async def test_a_form_that_is_written_out_does_as_well(chat: Chat, provider: Provider, text: str) -> None:
    provider.answer = written(text)
    answer = await ask(chat)
    assert answer.observations or answer.nothing


async def test_a_list_with_nothing_in_it_says_that_nothing_is_worth_keeping(chat: Chat, provider: Provider) -> None:
    provider.answer = called({"observations": []})
    answer = await ask(chat)
    assert (answer.observations, answer.nothing) == ([], None)
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "extra", "kind", "after"),
    [
        (429, refused(), {"Retry-After": "7"}, ErrorClass.RATE_LIMIT, 7.0),
        (429, refused(), {}, ErrorClass.RATE_LIMIT, None),
        (429, refused(code="insufficient_quota"), {}, ErrorClass.QUOTA, None),
        (402, refused(), {}, ErrorClass.QUOTA, None),
        (500, refused(), {}, ErrorClass.UNAVAILABLE, None),
        (503, refused(), {"Retry-After": "3"}, ErrorClass.UNAVAILABLE, 3.0),
        (401, refused(), {}, ErrorClass.REFUSED, None),
        (404, refused(code="model_not_found"), {}, ErrorClass.REFUSED, None),
        (400, refused(), {}, ErrorClass.REFUSED, None),
        (200, "<html>One moment, please</html>", {}, ErrorClass.UNAVAILABLE, None),
        (200, {"error": {"code": 429, "message": "slow down"}}, {"Retry-After": "7"}, ErrorClass.RATE_LIMIT, 7.0),
        (200, {"error": {"code": 402, "message": "no credits"}, "choices": []}, {}, ErrorClass.QUOTA, None),
        (200, {"error": "overloaded"}, {}, ErrorClass.UNAVAILABLE, None),
        (200, {"what": "is this"}, {}, ErrorClass.MALFORMED, None),
        (200, called("{ not json"), {}, ErrorClass.MALFORMED, None),
        (200, called({"observations": [{"type": "fact"}]}), {}, ErrorClass.MALFORMED, None),
        (200, called({}), {}, ErrorClass.MALFORMED, None),
        (200, written("I would rather not."), {}, ErrorClass.MALFORMED, None),
        (200, written('{"observations": [{"ti', finish="length"), {}, ErrorClass.MALFORMED, None),
        (200, {**called({}), "choices": []}, {}, ErrorClass.MALFORMED, None),
    ],
)
async def test_each_failure_has_its_class(
    chat: Chat, provider: Provider, status: int, body: dict[str, Any] | str, extra: dict[str, str], kind: ErrorClass,
    after: float | None,
) -> None:  # fmt: skip
    provider.status, provider.answer, provider.extra = status, body, extra
    failed = await failure(chat)
    assert (failed.kind, failed.retry_after) == (kind, after), failed.message
    assert len(provider.requests) == 1, "whoever asks decides whether to ask again"


async def test_what_is_wrong_with_a_form_is_said(chat: Chat, provider: Provider) -> None:
    provider.answer = called({"observations": [{"type": "fact", "narrative": SECRET}]})
    failed = await failure(chat)
    assert "title" in failed.message


@pytest.mark.parametrize("text", ['{"observations": [{"ti', "I will remember that the sky"])
async def test_an_answer_that_is_cut_off_is_said_to_be(chat: Chat, provider: Provider, text: str) -> None:
    provider.answer = written(text, finish="length")
    assert "cut off at the most tokens" in (await failure(chat)).message


async def test_a_slow_provider_and_a_dead_one(chat: Chat, provider: Provider) -> None:
    provider.seconds = 1.5
    spent = Spent()
    hasty = Chat("small", url=provider.url, key=SECRET, seconds=0.5)
    with pytest.raises(GenerationFailed) as caught:
        await ask(hasty, spent)
    await hasty.close()
    assert caught.value.kind == ErrorClass.TIMEOUT
    assert spent.input_tokens > 0, "it may have been read"
    provider.seconds, provider.half = 0.0, True
    assert (await failure(chat)).kind == ErrorClass.UNAVAILABLE
    nobody = Chat("small", url="http://127.0.0.1:9/v1", key=None, seconds=1)
    assert (await failure(nobody)).kind == ErrorClass.UNAVAILABLE
    await nobody.close()


ANTHROPIC = {
    "id": "m1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
    "stop_sequence": None,
    "content": [{"type": "tool_use", "id": "t1", "name": "remember", "input": GOOD}],
    "usage": {"input_tokens": 100, "output_tokens": 20},
}  # fmt: skip


async def test_anthropics_protocol_is_spoken_too(provider: Provider) -> None:
    chat = Chat("anthropic:claude", url=provider.url.removesuffix("/v1"), key=SECRET, seconds=10)
    provider.answer = ANTHROPIC
    spent = Spent()
    assert (await ask(chat, spent)).observations[0].title == "The sky is blue"
    assert (spent.calls, spent.input_tokens, spent.output_tokens) == (1, 100, 20)
    assert "POST /v1/messages" in provider.headers[0]
    assert SECRET in provider.headers[0]
    for status, kind in (
        (429, ErrorClass.RATE_LIMIT), (529, ErrorClass.UNAVAILABLE), (401, ErrorClass.REFUSED),
        (500, ErrorClass.UNAVAILABLE),
    ):  # fmt: skip
        provider.status, provider.extra = status, {"Retry-After": "7"}
        provider.answer = {"type": "error", "error": {"type": "some_error", "message": SECRET}}
        failed = await failure(chat)
        assert failed.kind == kind, failed.message
        assert failed.retry_after == (None if kind == ErrorClass.REFUSED else 7.0)
    provider.status, provider.extra, provider.half = 200, {}, True
    assert (await failure(chat)).kind == ErrorClass.UNAVAILABLE
    await chat.close()


async def test_what_a_provider_needs_is_named() -> None:
    failed = await failure(Chat("groq:some", url=None, key="x", seconds=1))
    assert (failed.kind, "pydantic-ai-slim[groq]" in failed.message) == (ErrorClass.REFUSED, True)


async def test_a_provider_that_is_not_installed_is_refused(chat: Chat) -> None:
    failed = await failure(Chat("nobody:knows", url=None, key=None, seconds=1))
    assert failed.kind == ErrorClass.REFUSED
    assert "nobody:knows" in failed.message


def test_no_more_tokens_come_of_a_text_than_are_counted() -> None:
    assert most_tokens("0x7f3a" * 10) >= 60, "some models read each digit by itself"
    assert most_tokens("東京の天気") >= 15, "a letter that a model does not know is read by the byte"
    assert most_tokens("\udc80") > 0
