"""What LangChain and LangGraph write is read as what was said and done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.rules.reading import Kind
from muster.domain.rules.summary import summarise
from muster.domain.shapes.documents import parts_of
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only
from tests.unit.rules.sent import acts, printed

ASKED, TOLD = "Who owns the billing service?", "Mara owns the billing service."


def lc(name: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name],
            "kwargs": {"content": content, **more}}  # fmt: skip


HUMANS = [lc("HumanMessage", ASKED), {"type": "human", "data": {"content": ASKED}}, {"type": "human", "content": ASKED},
          {"type": "HumanMessage", "content": ASKED}, lc("HumanMessage", [{"type": "text", "text": ASKED}]),
          lc("ChatMessage", ASKED, role="user")]  # fmt: skip
AIS = [lc("AIMessage", TOLD), {"type": "ai", "data": {"content": TOLD}}, {"type": "ai", "content": TOLD},
       lc("AIMessageChunk", TOLD, response_metadata={"finish_reason": "stop"}),
       {"type": "ai", "content": [{"type": "text", "text": TOLD}], "tool_calls": [], "id": "run-1"}]  # fmt: skip


@pytest.mark.parametrize("sent", HUMANS, ids=lambda sent: json.dumps(sent)[:60])
def test_what_a_person_asks_is_a_question(sent: dict[str, Any]) -> None:
    for payload in (sent, json.dumps(sent), {"messages": [sent]}, {"inputs": [[sent]]}, [sent]):
        one = only(event(payload))
        assert (one.type, one.title, one.narrative) == ("question", ASKED, ASKED)
        assert [act.kind for act in acts(payload)] == [Kind.PROMPT]


@pytest.mark.parametrize("sent", AIS, ids=lambda sent: json.dumps(sent)[:60])
def test_what_the_model_says_is_a_message(sent: dict[str, Any]) -> None:
    for payload in (sent, {"outputs": {"messages": [sent]}}, {"agent": {"messages": [sent]}},
                    {"event": "on_chat_model_end", "data": {"output": sent}},
                    {"generations": [[{"text": TOLD, "message": sent}]]}):  # fmt: skip
        assert [(act.kind, act.text, act.speaker) for act in acts(payload)] == [(Kind.MESSAGE, TOLD, "")]


def test_who_spoke_is_known_of_each() -> None:
    listed = [lc("SystemMessage", "You are careful."), HUMANS[0], {"role": "assistant", "content": TOLD}, HUMANS[2]]
    for sent in (listed, {"messages": listed}, {"output": {"messages": [listed]}}, {"values": {"messages": listed}}):
        assert [(act.kind, act.text) for act in acts(sent)] == [
            (Kind.PROMPT, ASKED), (Kind.MESSAGE, TOLD), (Kind.PROMPT, ASKED),
        ]  # fmt: skip
    assert acts(lc("SystemMessage", "You are careful.")) == []


CALLS = [
    {"tool_calls": [{"name": "bash", "args": {"command": "go vet ./..."}, "id": "c1", "type": "tool_call"}]},
    {"additional_kwargs": {"tool_calls": [{"id": "c1", "type": "function", "function": {
        "name": "bash", "arguments": '{"command": "go vet ./..."}'}}]}},
]  # fmt: skip


@pytest.mark.parametrize("more", CALLS, ids=["calls", "kwargs"])
@pytest.mark.parametrize("status", ["error", "success"])
def test_a_call_and_its_answer_are_one_use(more: dict[str, Any], status: str) -> None:
    answer = {"tool_call_id": "c1", "status": status}
    sent = [
        [lc("AIMessage", "", **more), lc("ToolMessage", "vet: boom", **answer)],
        [{"messages": [{"type": "ai", "content": "", **more}, {"type": "tool", "content": "vet: boom", **answer}]}],
        [{"type": "ai", "data": {"content": "", **more}}, {"type": "tool", "data": {"content": "vet: boom", **answer}}],
    ]
    for documents in sent:
        (act,) = acts(*documents)
        assert (act.kind, act.command, act.text, act.failed) == (
            Kind.COMMAND, "go vet ./...", "vet: boom", status == "error",
        )  # fmt: skip


def test_a_history_that_is_sent_again_is_told_once() -> None:
    first = lc("HumanMessage", ASKED, id="h1")
    then = [first, lc("AIMessage", TOLD, id="a1")]
    later = [*then, lc("HumanMessage", "And the gateway?", id="h2")]
    texts = [ASKED, TOLD, "And the gateway?"]
    assert [act.text for act in acts({"messages": [first]}, {"messages": then}, {"messages": later})] == texts
    many = [lc("HumanMessage", f"Question {n}?", id=f"m{n}") for n in range(90)]
    assert [act.text for act in acts({"messages": many})][-1] == "Question 89?"


def test_bits_of_a_message_are_not_told() -> None:
    bits = [lc("AIMessageChunk", bit, id="run-1") for bit in ("Mara owns", " the billing", " service.")]
    assert acts(*bits, {"event": "on_chat_model_stream", "data": {"chunk": bits[0]}}) == []
    assert acts({"event": "on_llm_new_token", "token": "Mara owns the thing"}) == []


# -- Callbacks -------------------------------------------------------------------------------------------------------

WHY = "ConnectTimeout('timed out after 5 s')"
FAILED = [
    ("on_tool_error", [{"error": WHY, "name": "http_get"}]),
    ("callback", [{"event": "on_tool_error", "name": "http_get", "run_id": "r1", "data": {"error": WHY}}]),
    ("callback", [{"event": "on_tool_error", "name": "http_get", "data": {"error": WHY, "input": {"url": "u"}}}]),
    ("langchain", [{"type": "on_tool_start", "tool": "http_get", "input_str": '{"url": "u"}'},
                   {"type": "on_tool_error", "error": WHY}]),
    ("langchain", [{"event": "handleToolStart", "serialized": {"name": "http_get"}, "input": "u", "runId": "r1"},
                   {"event": "handleToolError", "error": WHY, "runId": "r1"}]),
    ("on_tool_error", [{"error": {"type": "ConnectTimeout", "message": WHY}, "tool": "http_get"}]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "sent"), FAILED, ids=lambda one: json.dumps(one)[:60])
def test_a_tool_that_failed_is_an_error_and_open(kind: str, sent: list[dict[str, Any]]) -> None:
    events = [event(payload, kind) for payload in sent]
    one = only(*events)
    assert (one.type, one.title) == ("error", f"http_get fails: {WHY}")
    (told,) = summarise(None, events, made(*events)).observations
    assert f"Open: http_get fails: {WHY}" in told.facts


def test_a_tool_that_is_tried_again_and_answers_is_open_no_longer() -> None:
    start = {"event": "on_tool_start", "name": "http_get", "data": {"input": {"url": "u"}}}
    events = [
        event({**start, "run_id": "r1"}),
        event({"event": "on_tool_error", "run_id": "r1", "data": {"error": WHY}}),
        event({**start, "run_id": "r2"}),
        event({"event": "on_tool_end", "name": "http_get", "run_id": "r2", "data": {"output": "The limit is 40 EUR"}}),
    ]
    found = made(*events)
    assert [one.type for one in found] == ["error", "discovery"]
    assert "The limit is 40 EUR" in (found[1].narrative or "")
    (told,) = summarise(None, events, found).observations
    assert not any(fact.startswith("Open") for fact in told.facts)


@pytest.mark.parametrize(
    "output",
    ["The limit is 40 EUR", lc("ToolMessage", "The limit is 40 EUR", tool_call_id="c1"),
     {"type": "tool", "content": "The limit is 40 EUR", "status": "success"}],
    ids=lambda one: json.dumps(one)[:30],
)  # fmt: skip
def test_what_a_tool_answered_is_told(output: Any) -> None:
    (act,) = acts({"event": "on_tool_start", "name": "limits", "run_id": "r", "data": {"input": {"q": "day"}}},
                  {"event": "on_tool_end", "name": "limits", "run_id": "r", "data": {"output": output}})  # fmt: skip
    assert (act.kind, act.tool, act.text, act.failed) == (Kind.TOOL, "limits", "The limit is 40 EUR", False)


def test_a_chain_says_what_it_was_asked_and_what_it_answers_once() -> None:
    sent = [{"event": "on_chain_start", "data": {"input": {"input": ASKED}}},
            {"event": "on_chat_model_start", "data": {"input": {"messages": [[lc("SystemMessage", "Be kind."),
                                                                              HUMANS[0]]]}}},
            {"event": "on_llm_end", "response": {"generations": [[{"text": TOLD}]]}},
            {"event": "on_chain_end", "data": {"output": {"output": TOLD}}},
            {"event": "on_agent_finish", "return_values": {"output": TOLD}}]  # fmt: skip
    assert [(act.kind, act.text) for act in acts(*sent)] == [(Kind.PROMPT, ASKED), (Kind.MESSAGE, TOLD)]
    one = only(event({"event": "on_llm_error", "error": "RateLimitError: slow down"}))
    assert (one.type, one.title) == ("error", "The agent fails: RateLimitError: slow down")


def test_what_is_printed_is_read_alike() -> None:
    found = made(*printed(HUMANS[0], AIS[0]))
    assert {"question", "fact"} & {one.type for one in found}
    assert not any("lc: 1" in one.title.lower() for one in found)


@pytest.mark.parametrize(
    "sent",
    [{"lc": 1, "type": "constructor", "id": ["langchain", "prompts", "PromptTemplate"], "kwargs": {"template": "x"}},
     {"type": "system", "content": "The disk is full"}, {"messages": [{"type": "system", "content": "The disk"}]},
     {"tool_name": "load", "tool_input": {}, "tool_response": {"messages": [HUMANS[0]]}},
     {"messages": [{"author": "Ann", "content": "The disk is full"}]}, {"data": {"content": "The disk is full"}},
     {"type": "human", "name": "Ann"}, {"output": {"type": "ai"}}, {"event": "on_call", "content": "Ann is"}],
    ids=lambda sent: json.dumps(sent)[:60],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_to_others(sent: Any) -> None:
    assert parts_of("message", sent) is None


def test_a_deep_or_long_history_costs_little() -> None:
    began, deep = Stopwatch(), [HUMANS[0]]
    for _ in range(100):
        deep = [deep]  # type: ignore[list-item]
    made(event({"messages": deep}))
    made(event({"messages": [lc("HumanMessage", f"Question {n}? " * 3, id=f"m{n}") for n in range(2_000)]}))
    made(event({"outputs": {f"n{n}": {f"m{m}": [{}] * 20 for m in range(40)} for n in range(40)}}))
    assert began.fair < 3
