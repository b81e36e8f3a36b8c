"""A message that comes in bits is one, in whichever form a program sends them."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only, tool
from tests.unit.rules.sent import acts, printed

BITS = ("The cause of the outage was ", "a full", " ", "disk on db-", "2, since the log", "s are", " kept forever.")
WHOLE = "".join(BITS)


def gemini(text: str) -> dict[str, Any]:
    return {"type": "message", "timestamp": "2026-11-20T12:00:00Z", "role": "assistant", "content": text, "delta": True}


def anthropic(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def responses(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": text}


def chunk(text: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": {"content": text}, "finish_reason": None}]}  # fmt: skip


def ui(text: str) -> dict[str, Any]:
    return {"type": "text-delta", "id": "t1", "delta": text}


def editor(text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": {
        "sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}}}  # fmt: skip


FORMS = (gemini, anthropic, responses, chunk, ui, editor)


@pytest.mark.parametrize("form", FORMS)
def test_bits_that_follow_each_other_are_one(form: Any) -> None:
    sent = [event(form(text), "message") for text in BITS]
    one = only(*sent)
    assert one.narrative is None or one.narrative == WHOLE
    assert one.title == WHOLE
    assert one.sources == [sent[0].id]
    assert [one.title for one in made(*printed(*map(form, BITS)))] == [WHOLE]


@pytest.mark.parametrize("form", FORMS)
def test_what_goes_on_in_a_later_batch_is_told_as_a_whole(form: Any) -> None:
    sent = [event(form(text), "message") for text in BITS]
    (one,) = observe(sent[3:], sent[:3]).observations
    assert one.title == WHOLE
    assert one.sources == [sent[3].id]


def test_what_stands_between_ends_it() -> None:
    ran = tool("Bash", {"command": "make deploy"}, {"stdout": "deployed the shop to the new cluster", "stderr": ""})
    first, later = "The disk of db-2 was full.", "The logs are kept for a week now."
    found = made(event(gemini(first)), ran, event(gemini(later[:9])), event(gemini(later[9:])))
    assert [one.title for one in found if one.type != "change"] == [first, later]
    other = event(gemini(later)).model_copy(update={"session_id": event({}).id})
    assert {one.title for one in made(event(gemini(first)), other)} == {first, later}
    numbered = [{**responses(text), "item_id": text[:9]} for text in (first, later)]
    assert [act.text for act in acts(*numbered)] == [first, later]


@pytest.mark.parametrize(
    "sent",
    [
        [*map(anthropic, BITS), {"type": "content_block_stop", "index": 0}, {"type": "message_stop"},
         {"role": "assistant", "content": WHOLE}],
        [*map(responses, BITS), {"type": "response.output_text.done", "item_id": "msg_1", "text": WHOLE},
         {"type": "response.output_item.done", "sequence_number": 9, "item": {
             "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": WHOLE}]}},
         {"type": "response.completed", "response": {"status": "completed", "usage": {"total_tokens": 9}}}],
        [*map(gemini, BITS), {"type": "result", "status": "success", "stats": {"total_tokens": 3}}],
        [*map(ui, BITS), {"type": "text-end", "id": "t1"}, {"type": "finish-step"}],
    ],
    ids=lambda sent: sent[-1].get("type", "role"),
)  # fmt: skip
def test_what_is_said_whole_then_is_that_once_more(sent: list[dict[str, Any]]) -> None:
    assert [act.text for act in acts(*sent)] == [WHOLE]


def test_what_is_asked_again_after_that_is_asked_again() -> None:
    asked = {"type": "message", "timestamp": "t", "role": "user", "content": "Rename the column to weight."}
    texts = [asked["content"], WHOLE, "Thank you, that is it.", asked["content"]]
    plain = {"role": "user", "content": texts[2]}
    assert [act.text for act in acts(asked, *map(gemini, BITS), plain, asked)] == texts


@pytest.mark.parametrize(
    "other",
    [{"type": "start", "text": "The release of the shop begins on Monday."},
     {"type": "response.late", "text": "It is."},
     {"type": "update", "update": {"text": "The release of the shop begins on Monday."}}],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_to_others(other: dict[str, Any]) -> None:
    assert acts(other)


def test_a_flood_of_bits_costs_little() -> None:
    watch = Stopwatch()
    sent: list[Event] = [event(gemini("word "), "message") for _ in range(20_000)]
    assert len(made(*sent)) < 20
    assert watch.fair < 6
