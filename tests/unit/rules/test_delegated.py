"""What those answer that an agent gave work to is what they found, whichever program it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only, tool
from tests.unit.rules.sent import item

REVIEW = (
    "**Conclusion**\nTwo faults keep this from being merged.\n\n"
    "1. **[Critical] The refund is booked twice when the queue is drained again.**\n"
    "   - `pay/queue.py:57` has no lock.\n"
    "2. **[Medium] The rate is read before the file is written.**\n"
)
TITLE = "[Critical] The refund is booked twice when the queue is drained again."
MORE = "The callers of book() are api.py and nightly.py; nightly.py passes no currency."
TASK = "You are a reviewer. Look for faults in pay/ and list them by how grave they are. Change nothing."
AGENT = "019c8588-08bd-7570-8ffc-891d781d252c"
OTHER = "019c8593-b14d-7912-8a03-982aea679e71"


def calls(name: str, asked: dict[str, Any], told: Any) -> list[Event]:
    number = f"c{id(asked)}{len(json.dumps(told))}"
    sent = (
        item("function_call", name=name, arguments=json.dumps(asked), call_id=number),
        item("function_call_output", call_id=number, output=told if isinstance(told, str) else json.dumps(told)),
    )
    return [event(one, "response_item", "codex") for one in sent]


def spawn(agent: str = AGENT) -> list[Event]:
    return calls("spawn_agent", {"agent_type": "default", "message": TASK}, {"agent_id": agent})


def waits(status: dict[str, Any], *agents: str) -> list[Event]:
    return calls("wait", {"ids": list(agents), "timeout_ms": 300000}, {"status": status, "timed_out": not status})


def test_what_is_waited_for_is_what_was_found() -> None:
    events = [*spawn(), *waits({}, AGENT), *waits({AGENT: {"completed": REVIEW}}, AGENT)]
    one = only(*events)
    assert (one.type, one.title, one.importance) == ("discovery", TITLE, 0.5)
    assert TASK in one.content
    assert "read before the file is written" in one.content
    closed = calls("close_agent", {"id": AGENT}, {"status": {"completed": REVIEW}})
    assert only(*events, *closed).title == TITLE
    assert only(*closed).title == TITLE
    (later,) = observe(events[-2:], events[:-2]).observations
    assert later.title == TITLE


def test_each_of_several_is_told() -> None:
    told = {AGENT: {"completed": REVIEW}, OTHER: {"completed": MORE}, "019c": "running"}
    assert [one.title for one in made(*waits(told, AGENT, OTHER))] == [TITLE, MORE]
    again = [*spawn(), *calls("send_input", {"id": AGENT, "message": "Who calls book()?"}, {"submission_id": OTHER})]
    one = only(*again, *waits({AGENT: {"completed": MORE}}, AGENT))
    assert "Who calls book()?" in one.content


@pytest.mark.parametrize("status", [{}, {AGENT: "running"}, {AGENT: "pending_init"}, {AGENT: {"completed": None}},
                                    {AGENT: "not_found"}])  # fmt: skip
def test_who_goes_on_has_found_nothing_yet(status: dict[str, Any]) -> None:
    assert made(*waits(status, AGENT)) == []
    (one,) = made(*spawn(), *waits(status, AGENT))
    assert one.importance == 0.25
    assert made(*calls("close_agent", {"id": AGENT}, {"status": "shutdown"})) == []


def test_who_could_not_go_on_has_failed() -> None:
    one = only(*waits({AGENT: {"errored": "stream disconnected before completion"}}, AGENT))
    assert (one.type, one.title) == ("error", "A subagent fails: stream disconnected before completion")


def notice(summary: str, result: str = "", status: str = "completed") -> Event:
    told = f"<result>{result}</result>\n" if result else ""
    text = (
        f"<task-notification>\n<task-id>a1b2c3d</task-id>\n<status>{status}</status>\n<summary>{summary}</summary>\n{told}"
        "<usage><total_tokens>812</total_tokens></usage>\n</task-notification>\n"
        "Full transcript available at: /tmp/tasks/a1b2c3d.output"
    )
    return event({"role": "user", "content": text}, "message")


NOTIFIED = (
    "<subagent_notification>\n" + json.dumps({"agent_path": "/root/a", "status": {"completed": REVIEW}})
    + "\n</subagent_notification>"
)  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ([event({"role": "user", "content": NOTIFIED}, "message")], TITLE),
        ([event(item("message", role="user", content=[{"type": "input_text", "text": NOTIFIED}]))], TITLE),
        ([event({"type": "item.completed", "item": {
            "type": "collab_tool_call", "tool": "wait", "receiver_thread_ids": [AGENT], "status": "completed",
            "agents_states": {AGENT: {"status": "completed", "message": REVIEW}}}})], TITLE),
        ([notice('Agent "Review pay" completed', REVIEW)], "Review pay"),
        ([tool("TaskOutput", {"task_id": "a1b2c3d"}, "<retrieval_status>success</retrieval_status>\n\n<task_id>a1b2c3d"
               "</task_id>\n\n<task_type>local_agent</task_type>\n\n<status>completed</status>\n\n<output>\n"
               f"{REVIEW}</output>")], TITLE),
        ([tool("TaskOutput", {"task_id": "a1b2c3d"}, {"retrieval_status": "success", "task": {
            "task_id": "a1b2c3d", "task_type": "local_agent", "status": "completed", "description": "Review pay",
            "result": REVIEW}})], "Review pay"),
        ([tool("Task", {"description": "Review pay", "prompt": TASK}, {"status": "completed", "content": [
            {"type": "text", "text": REVIEW}], "totalTokens": 9})], "Review pay"),
        ([tool("runSubagent", {"prompt": TASK * 6}, REVIEW)], TITLE),
        ([tool("delegate_to_agent", {"agent_name": "reviewer", "objective": TASK * 6}, REVIEW)], TITLE),
        ([tool("subagent", {"action": "await", "id": "0-Pay"}, "## Subagent await (1)\n\n### 0-Pay — completed\n"
               "Agent: architect (bundled)\nModel: m\nDescription: Review pay\nOutput: agent://0-Pay\nResult preview:\n"
               f"```\n{REVIEW}\n```\nPreview truncated.")], "Review pay"),
    ],
    ids=lambda sent: str(sent)[:40] if isinstance(sent, str) else sent[0].type,
)  # fmt: skip
def test_what_is_answered_is_told_whichever_program_it_is(sent: list[Event], title: str) -> None:
    one = only(*sent)
    assert (one.type, one.title, one.importance) == ("discovery", title, 0.5)
    assert "`pay/queue.py:57` has no lock." in one.content
    assert "tokens" not in one.content


def test_what_several_report_at_once_is_told_of_each() -> None:
    text = f"Parallel: 2/2 succeeded\n\n### [general] completed\n\n{REVIEW}\n\n### [scout] completed\n\n{MORE}"
    asked = {"tasks": [{"agent": "general", "task": TASK}, {"agent": "scout", "task": "Find the callers."}]}
    assert [one.title for one in made(tool("mcp__tools__Agents", asked, text))] == [TITLE, MORE]


@pytest.mark.parametrize(
    "sent",
    [
        tool("subagent", {"action": "await", "id": "0-Pay"}, "## Subagent await (1)\n\n### 0-Pay — running\nModel: m"),
        tool("subagent", {"action": "inspect", "id": "0-Pay"}, "## Subagent inspection (1)\n\n### 0-Pay — running"),
        tool("subagent", {"action": "list"}, "## Subagent list (1)\n\n### 0-Pay — completed\nOutput: agent://0-Pay"),
        tool("delegate", {"command": "spawn", "ids": ["scout"]}, "Successfully spawned 1 sub-agents: scout"),
        notice('Agent "Review pay" completed'),
        notice('Monitor event: "Fetch"'),
    ],
)
def test_how_others_get_on_is_nothing(sent: Event) -> None:
    assert made(sent) == []


def test_a_start_is_told_with_its_end() -> None:
    asked = {"description": "Review pay", "prompt": TASK, "run_in_background": True}
    started = tool("Task", asked, "Async agent launched successfully.\nagentId: a1b2c3d (for later use)")
    assert (only(started).title, only(started).importance) == ("Review pay", 0.25)
    found = made(started, notice('Agent "Review pay" completed', REVIEW))
    assert [one.title for one in found] == ["Review pay"]
    assert "has no lock" in found[0].content


def test_what_was_found_names_it() -> None:
    said = "I've read all of pay/.\n\nHere is what I found:\n\nThe refund is booked twice when the queue is drained."
    assert only(tool("runSubagent", {"prompt": TASK * 6}, said)).title == said.rpartition("\n")[2]
    assert only(tool("runSubagent", {"prompt": TASK * 6}, "I have renamed it.")).title == "I have renamed it."


def test_what_a_program_writes_below_is_left_out() -> None:
    below = "agentId: a1b2c3d (for resuming to continue this agent's work if needed)\n<usage>total_tokens: 9\n</usage>"
    one = only(tool("Task", {"description": "Find callers", "prompt": TASK}, f"{MORE}\n{below}"))
    assert MORE in one.content
    assert "a1b2c3d" not in one.content


@pytest.mark.parametrize("text", ["<output>" * 30_000, "<result>" * 30_000, "### a — completed\n" * 14_000,
                                  "\n<usage>" * 30_000, "agentId: a1b2 (" * 16_000])  # fmt: skip
def test_hostile_answers_take_no_longer_than_they_are(text: str) -> None:
    head = "<task_type>local_agent</task_type><status>completed</status>"
    notified = f'<task-notification><summary>Agent "a" completed</summary>{text}'
    watch = Stopwatch()
    made(tool("TaskOutput", {"task_id": "a"}, head + text), tool("Task", {"prompt": TASK}, text),
         event({"role": "user", "content": notified}))  # fmt: skip
    assert watch.fair < 3
