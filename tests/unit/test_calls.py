"""The answer of a call that a project excludes is excluded, however the two are sent."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from muster.domain import intake
from muster.domain.ids import new_id
from muster.domain.intake import Place
from muster.domain.memory import NewEvent, Source

PATHS, TOOLS = (".env*", "secrets/**"), ("mcp__mail__*",)
Sent = tuple[str, Any] | tuple[str, Any, dict[str, Any]]


class Session:
    """As a session remembers: what is sent in one request after another."""

    def __init__(self) -> None:
        self.place = Place(new_id(), PATHS, TOOLS, "stamp")
        self.id: UUID = new_id()
        self.memory: set[int] = set()

    def send(self, *sent: Sent) -> list[bool]:
        """Of each, whether it may be kept."""
        events = [
            NewEvent(
                project="p", session=self.id, type=one[0], payload=one[1], metadata=one[2] if len(one) > 2 else None,
                source=Source(adapter="test"), occurred_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
            )
            for one in sent
        ]  # fmt: skip
        remembered: dict[intake.Scope, set[int]] = {}
        while True:
            each = [intake.sifted(self.place, n, event, named=True) for n, event in enumerate(events)]
            calls = intake.without_answers([self.place] * len(events), events, each, remembered)
            told = calls.get((self.place.id, self.id), intake.NO_CALLS)
            if not (known := set(told.asked) & self.memory):
                break
            remembered.setdefault((self.place.id, self.id), set()).update(known)
        self.memory = (self.memory - set(told.free)) | set(told.excluded)
        return [one.removed.excluded is None for one in each]


def openai(name: str, **asked: Any) -> Sent:
    function = {"name": name, "arguments": json.dumps(asked)}
    return "message", {"role": "assistant", "content": None,
                       "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}  # fmt: skip


OPENAI: Sent = "message", {"role": "tool", "tool_call_id": "call_1", "content": "We decided to sell the office."}


def codex(command: str) -> Sent:
    return "response_item", {
        "type": "response_item",
        "payload": {
            "type": "function_call", "name": "shell", "call_id": "call_7",
            "arguments": json.dumps({"command": ["bash", "-lc", command]}),
        },
    }  # fmt: skip


def gemini(command: str, number: str | None = None) -> Sent:
    asked = {"name": "run_shell_command", "args": {"command": command}} | ({"id": number} if number else {})
    return "message", {"role": "model", "parts": [{"functionCall": asked}]}


def gemini_answer(number: str | None = None) -> Sent:
    told = {"name": "run_shell_command", "response": {"output": "x"}} | ({"id": number} if number else {})
    return "message", {"role": "user", "parts": [{"functionResponse": told}]}


def hook(name: str, number: str | None = None, **more: Any) -> Sent:
    about = {"hook_event_name": name, "tool_name": "Bash", **more}
    return name, about | ({"tool_use_id": number} if number else {})


def anthropic(**asked: Any) -> Sent:
    block = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": asked}
    return "message", {"role": "assistant", "content": [{"type": "text", "text": "Looking."}, block]}


ANTHROPIC: Sent = "message", {
    "role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]
}  # fmt: skip
CODEX: Sent = (
    "response_item",
    {
        "type": "response_item",
        "payload": {"type": "function_call_output", "call_id": "call_7", "output": '{"output": "x"}'},
    },
)
PAIRS: dict[str, tuple[Sent, Sent, Sent]] = {
    "openai": (openai("shell", command="cat secrets/plan.txt"), OPENAI, openai("shell", command="ls")),
    "openai, by tool": (
        openai("mcp__mail__read", n=1),
        ("message", {"role": "tool", "tool_call_id": "call_1", "content": "From: hr"}),
        openai("mcp__wiki__read", n=1),
    ),
    "openai, within a string": (
        ("line", json.dumps(openai("shell", command="cat .env")[1])),
        ("line", json.dumps(OPENAI[1])),
        ("line", json.dumps(openai("shell", command="ls")[1])),
    ),
    "codex": (codex("cat .env"), CODEX, codex("ls")),
    "codex, events": (
        ("event_msg", {"msg": {"type": "exec_command_begin", "call_id": "c", "command": ["cat", ".env"]}}),
        ("event_msg", {"msg": {"type": "exec_command_end", "call_id": "c", "stdout": "x", "exit_code": 0}}),
        ("event_msg", {"msg": {"type": "exec_command_begin", "call_id": "c", "command": ["ls"]}}),
    ),
    "anthropic": (anthropic(command="cat .env"), ANTHROPIC, anthropic(command="ls")),
    "gemini": (gemini("cat .env", "g1"), gemini_answer("g1"), gemini("ls", "g1")),
    "gemini, without ids": (gemini("cat .env"), gemini_answer(), gemini("ls")),
    "hooks": (
        hook("PreToolUse", "t1", tool_input={"command": "cat .env"}),
        hook("PostToolUse", "t1", tool_response={"stdout": "x"}),
        hook("PreToolUse", "t1", tool_input={"command": "ls"}),
    ),
    "hooks, without ids": (
        hook("PreToolUse", tool_input={"command": "cat .env"}),
        hook("PostToolUse", tool_response={"stdout": "x"}),
        hook("PreToolUse", tool_input={"command": "ls"}),
    ),
    "hooks, ids beside": (
        ("PreToolUse", {"tool_name": "Read", "tool_input": {"file_path": ".env"}}, {"toolUseId": "t1"}),
        ("PostToolUse", {"tool_response": "x"}, {"toolUseId": "t1"}),
        ("PreToolUse", {"tool_name": "Read", "tool_input": {"file_path": "a.py"}}, {"toolUseId": "t1"}),
    ),
    "json-rpc": (
        ("mcp", {"jsonrpc": "2.0", "id": 3, "method": "tools/call",
                 "params": {"name": "read_file", "arguments": {"path": ".env"}}}),
        ("mcp", {"jsonrpc": "2.0", "id": 3, "result": {"content": [{"type": "text", "text": "x"}]}}),
        ("mcp", {"jsonrpc": "2.0", "id": 3, "method": "tools/call",
                 "params": {"name": "read_file", "arguments": {"path": "a.py"}}}),
    ),
    "responses": (
        ("response", {"output": [{"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "shell",
                                  "arguments": '{"command": "cat .env"}'}]}),
        ("input", {"type": "function_call_output", "call_id": "c1", "output": "x"}),
        ("response", {"output": [{"type": "function_call", "id": "fc_2", "call_id": "c1", "name": "shell",
                                  "arguments": '{"command": "ls"}'}]}),
    ),
    "langchain, callbacks": (
        ("on_tool_start", {"serialized": {"name": "mcp__mail__read"}, "input_str": "{'n': 1}", "run_id": "r1"}),
        ("on_tool_end", {"output": "From: hr", "run_id": "r1"}),
        ("on_tool_start", {"serialized": {"name": "search"}, "input_str": "{'n': 1}", "run_id": "r1"}),
    ),
    "langchain, a file": (
        ("langchain.on_tool_start", {"name": "read_file", "input_str": '{"path": ".env"}', "run_id": "r1"}),
        ("langchain.on_tool_error", {"error": "ValueError('A=1')", "run_id": "r1"}),
        ("langchain.on_tool_start", {"name": "read_file", "input_str": '{"path": "a.py"}', "run_id": "r1"}),
    ),
    "langchain, stream of events": (
        ("event", {"event": "on_tool_start", "name": "mcp__mail__read", "run_id": "r1", "data": {"input": {"n": 1}}}),
        ("event", {"event": "on_tool_end", "run_id": "r1", "data": {"output": {"content": "From: hr"}}}),
        ("event", {"event": "on_tool_start", "name": "search", "run_id": "r1", "data": {"input": {"n": 1}}}),
    ),
    "vercel": (
        ("message", {"role": "assistant", "content": [
            {"type": "tool-call", "toolCallId": "v1", "toolName": "shell", "input": {"command": "cat .env"}}]}),
        ("message", {"role": "tool", "content": [
            {"type": "tool-result", "toolCallId": "v1", "toolName": "shell", "output": {"value": "x"}}]}),
        ("message", {"role": "assistant", "content": [
            {"type": "tool-call", "toolCallId": "v1", "toolName": "shell", "input": {"command": "ls"}}]}),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "answer", "other"), PAIRS.values(), ids=PAIRS)
def test_an_answer_goes_with_its_call(call: Sent, answer: Sent, other: Sent) -> None:
    talk: Sent = "message", {"role": "assistant", "content": "Let me see."}
    assert Session().send(call, answer) == [False, False]
    assert Session().send(answer, talk, call) == [False, True, False]
    assert Session().send(call, talk, talk, answer) == [False, True, True, False]
    assert Session().send(other, answer, talk) == [True, True, True], "and only with its own"
    later = Session()
    assert [later.send(call), later.send(talk), later.send(talk, answer)] == [[False], [True], [True, False]]
    assert [later.send(other), later.send(answer)] == [[True], [True]], "what is given again is another's"
    assert later.send(call, answer, other, answer) == [False, False, True, True]


def test_a_number_is_of_its_session() -> None:
    call, answer, _ = PAIRS["openai"]
    one, other = Session(), Session()
    one.send(call)
    other.memory = one.memory
    assert other.send(answer) == [True]
    assert other.memory
    assert not any(str(number) in "call_1" for number in one.memory)


def test_what_answers_without_a_number_goes_where_it_follows() -> None:
    call: Sent = "command", {"text": "cat .env"}
    for answer in (
        ("tool_result", "the words"), ("command.output", {"stdout": "x"}), ("message", {"output": "x"}),
        ("message", {"role": "tool", "content": "x"}), ("x", {"type": "tool_result", "content": "x"}),
    ):  # fmt: skip
        assert Session().send(call, answer, answer) == [False, False, False]
        other: Sent = "command", {"command": "ls"}
        assert Session().send(call, other, answer) == [False, True, True]
    named: Sent = "message", {"role": "tool", "name": "clock", "content": "12:00"}
    assert Session().send(gemini("cat .env"), named) == [False, True], "another tool's"
    said: Sent = "message", {"role": "assistant", "content": "Done."}
    assert Session().send(call, said) == [False, True]
    last: Sent = "result", {"type": "result", "result": "All done."}
    assert Session().send(anthropic(command="cat .env"), ANTHROPIC, last) == [False, False, True], "after the answer"


def test_two_that_are_called_at_once_by_the_same_name() -> None:
    """Nothing says which of them is answered: both are taken for what is excluded."""
    assert Session().send(gemini("ls"), gemini("cat .env"), gemini_answer(), gemini_answer()) == [True] + [False] * 3
    one = Session()
    sent = [gemini("cat .env"), gemini("ls"), gemini_answer(), gemini_answer(), gemini("ls"), gemini_answer()]
    assert [one.send(event)[0] for event in sent] == [False, True, False, False, True, True]


def test_what_repeats_its_input_stands_for_itself() -> None:
    whole = hook("PostToolUse", tool_input={"command": "ls"}, tool_response={"stdout": "a.py"})
    read = hook("PostToolUse", tool_input={"command": "cat .env"}, tool_response={"stdout": "x"})
    assert Session().send(read, whole, whole) == [False, True, True]
    before = hook("PreToolUse", "t1", tool_input={"command": "cat .env"})
    changed = hook("PostToolUse", "t1", tool_input={"command": "cat it"}, tool_response={"stdout": "x"})
    assert Session().send(before, changed) == [False, False]


def test_it_is_quick_whatever_is_sent() -> None:
    began = time.thread_time()
    deep: Any = "x"
    for _ in range(20):
        deep = {"content": [deep], "input": {}}
    values: Sequence[Any] = (
        [{"type": "tool_use", "id": f"t{n}", "input": {"a": n}} for n in range(5000)],
        deep, "{" * 100_000, json.dumps({"a": json.dumps({"b": "[" * 20_000})}), "tool_" * 40_000,
        {"tool" * 10_000: 1, "type": "tool" * 10_000}, [[[]] * 100] * 100,
    )  # fmt: skip
    for value in values:
        Session().send(("tool_" * 20, value), ("tool_result", value))
    assert time.thread_time() - began < 3
