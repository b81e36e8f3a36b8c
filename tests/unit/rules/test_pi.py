"""Sessions of pi are read as what was said and done in them."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.rules.reading import Kind
from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import event, made, only
from tests.unit.rules.sent import acts, printed

USAGE = {"input": 3, "output": 190, "cost": {"input": 1e-05, "total": 0.3}}
SIGNATURE = "Ep4DCmMIDxgCKkCZJBg/Dg6f3WMFDFPdwnyjqHmSXQ1Nx5DIk"
RENAMED = "The column is parcel_weight now, as in the carrier's file"
VETTED = "./pay.go:7:2: result of fmt.Errorf call not used"
THINKS = {"type": "thinking", "thinking": "I think that the lock is the cause.", "thinkingSignature": SIGNATURE}


def line(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "id": "73b198f3", "parentId": "5087e2d6", "timestamp": "2026-11-20T12:00:00Z",
            "message": {"role": role, "content": content, "timestamp": 1782726808455, **more}}  # fmt: skip


def text(words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": words}]


def calls(name: str, **asked: Any) -> dict[str, Any]:
    block = {"type": "toolCall", "id": "t1", "name": name, "arguments": asked}
    return line("assistant", [THINKS, block], api="anthropic-messages", usage=USAGE, stopReason="toolUse", model="m")


def came(name: str, words: str, *, failed: bool = False, **details: Any) -> dict[str, Any]:
    return line("toolResult", text(words), toolCallId="t1", toolName=name, isError=failed, details=details)


def test_what_was_asked_and_said_is_that_and_no_more() -> None:
    sent = [line("user", text("Rename the column to parcel_weight."), attribution="user"),
            line("assistant", [THINKS, *text(f"{RENAMED}.")], usage=USAGE)]  # fmt: skip
    assert [(act.kind, act.text) for act in acts(*sent)] == [
        (Kind.PROMPT, "Rename the column to parcel_weight."),
        (Kind.MESSAGE, f"{RENAMED}."),
    ]
    assert only(event(sent[0])).type == "request"
    (asked, told) = made(*printed(*sent))[:2]
    assert (asked.type, told.facts) == ("request", [])


def test_a_command_that_fails_says_so() -> None:
    sent = [calls("bash", command="go vet ./...", timeout=30),
            came("bash", f"{VETTED}\n\n\nCommand exited with code 1", failed=True)]  # fmt: skip
    (act,) = acts(*sent)
    assert (act.kind, act.command, act.exit_code, act.failed) == (Kind.COMMAND, "go vet ./...", 1, True)
    assert act.text == "./pay.go:7:2: result of fmt.Errorf call not used"
    one = only(*map(event, sent))
    assert (one.type, one.title) == ("error", "go vet fails: ./pay.go:7:2: result of fmt.Errorf call not used")
    found = made(*printed(*sent))
    assert "error" in {one.type for one in found}
    (act,) = acts(calls("bash", command="make"), came("bash", "(no output)"))
    assert (act.text, act.failed, act.exit_code) == ("", False, 0)
    (act,) = acts(line("bashExecution", None, command="make", output="make: *** [all] Error 2", exitCode=2))
    assert (act.command, act.exit_code) == ("make", 2)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (calls("edit", path="shop/pay.py", edits=[{"oldText": "def refund():", "newText": "def refund_order():"}]),
         came("edit", "Successfully replaced 1 block in shop/pay.py.")),
        (calls("edit", path="shop/pay.py", oldText="def refund():", newText="def refund_order():"),
         came("edit", "Successfully replaced text in shop/pay.py.", diff="-1 def refund():\n+1 def refund_order():")),
        (calls("edit", input="§shop/pay.py\n≔1hg..1hg\ndef refund_order():"),
         came("edit", "Updated", diff=" 1|import x\n-2|def refund():\n+2|def refund_order():")),
    ],
)  # fmt: skip
def test_an_edit_is_one(asked: dict[str, Any], answered: dict[str, Any]) -> None:
    (act,) = acts(asked, answered)
    assert (act.kind, act.files_modified) == (Kind.EDIT, ["shop/pay.py"])
    assert act.changes == [("def refund():", "def refund_order():")]


def test_files_and_pages_are_read() -> None:
    (act,) = acts(calls("read", path="shop/pay.py:10-40"), came("read", "10ab|x", displayContent={"text": "x = 1"}))
    assert (act.kind, act.files_read, act.text) == (Kind.READ, ["shop/pay.py"], "x = 1")
    (act,) = acts(calls("read", path="https://a.example/limits"), came("read", "The limit is 40 calls a minute."))
    assert (act.kind, act.query) == (Kind.WEB, "https://a.example/limits")
    (act,) = acts(calls("search", pattern="refund", paths=["shop"]), came("search", "shop/pay.py:3: refund"))
    assert (act.kind, act.query) == (Kind.SEARCH, "refund")


def test_what_another_agent_answered_is_what_it_found() -> None:
    found = "The refund is booked twice when the queue is drained again."
    one = only(*map(event, (calls("read", path="agent://0-Pay", _i="Read it"), came("read", found))))
    assert found in one.content
    assert one.importance == 0.5
    tasks = [{"agent": "general", "description": "Look at pay", "task": "Find faults."},
             {"agent": "general", "description": "Look at api", "task": "Find callers."}]  # fmt: skip
    told = f"Parallel: 2/2 succeeded\n\n### [general] completed\n\n{found}\n\n### [general] completed\n\nTwo call it."
    sent = [calls("mcp__tools__Agents", tasks=tasks), came("mcp__tools__Agents", told)]
    assert [one.title for one in made(*map(event, sent))] == ["Look at pay", "Look at api"]


def test_what_another_agent_is_there_for_is_known_by_its_name() -> None:
    waited = (
        "## Subagent await (1)\n\n### 0-Pay — completed\nDescription: Look at pay\nResult preview:\n```\n{'a': 1}\n```"
    )
    sent = [calls("subagent", action="await", id="0-Pay"), came("subagent", waited),
            calls("read", path="agent://0-Pay"), came("read", '{"a": {"claim": "x", "is": "y"}}')]  # fmt: skip
    assert {one.title for one in made(*map(event, sent))} == {"Look at pay"}


def test_what_was_chosen_is_a_decision() -> None:
    asked = [{"question": "Which queue is used?", "options": [{"label": "Redis"}, {"label": "Postgres"}]}]
    told = came(
        "mcp__tools__AskQuestions", "Which queue is used? -> Postgres", answers={"Which queue is used?": "Postgres"}
    )
    one = only(event(calls("mcp__tools__AskQuestions", questions=asked)), event(told))
    assert (one.type, one.title) == ("decision", "Which queue is used? Postgres")


@pytest.mark.parametrize("asked", [calls("bash", command="cp a b"), calls("write", path="a", content="b")])
def test_what_the_program_does_not_allow_was_not_done(asked: dict[str, Any]) -> None:
    no = "Interview boundary: ask on. Mutation tools and patch execution are blocked while the interview is active."
    name = asked["message"]["content"][1]["name"]
    assert made(event(asked), event(came(name, no, failed=True))) == []
    failed = came("bash", "ERROR: writes are blocked while the migration is active", failed=True)
    assert only(event(calls("bash", command="psql -c x")), event(failed)).type == "error"


def test_an_edit_that_failed_changed_nothing() -> None:
    asked = calls("edit", path="shop/pay.py", edits=[{"oldText": "a", "newText": "b"}])
    assert made(event(asked), event(came("edit", "Could not find the text in shop/pay.py.", failed=True))) == []


@pytest.mark.parametrize(
    "kept",
    [
        {"type": "session", "version": 3, "id": "019f1294", "timestamp": "t", "cwd": "/srv/shop"},
        {"type": "model_change", "id": "b0", "parentId": None, "provider": "anthropic", "modelId": "m"},
        {"type": "thinking_level_change", "id": "b1", "parentId": "b0", "thinkingLevel": "high"},
        {"type": "compaction", "id": "b2", "parentId": "b1", "summary": "## Goal\nWe decided to rename the column."},
        {"type": "custom", "id": "b3", "parentId": "b2", "customType": "diff", "data": {"reason": "clear"}},
        {"type": "custom_message", "id": "b4", "parentId": "b3", "customType": "tree", "content": "<system-reminder>"},
        line("assistant", [THINKS], usage=USAGE),
        line("toolResult", text("[Compacted history content evicted to durable cold storage]"), toolCallId="t9",
             toolName="read", isError=False),
        {"type": "agent_start"}, {"type": "turn_end", "message": {"role": "assistant", "content": text("Done.")}},
        {"type": "agent_end", "messages": [{"role": "user", "content": text("Rename the column.")}]},
        {"type": "tool_execution_end", "toolCallId": "t1", "toolName": "bash", "result": {"content": text("x y z")}},
        {"type": "message_update", "message": {"role": "assistant", "content": text("The cause")}},
    ],
    ids=lambda kept: str(kept["type"]),
)  # fmt: skip
def test_what_it_keeps_for_itself_is_no_knowledge(kept: dict[str, Any]) -> None:
    assert made(event(kept)) == []


@pytest.mark.parametrize(
    "other",
    [{"type": "custom", "message": "The cause of the outage was a full disk on db-2."},
     {"type": "label", "id": "7", "text": "The cause of the outage was a full disk on db-2."},
     {"type": "session", "text": "The cause of the outage was a full disk on db-2."},
     {"type": "message", "message": {"role": "user", "content": "The cause of the outage was a full disk on db-2."}}],
    ids=lambda other: str(other["type"]),
)  # fmt: skip
def test_what_others_write_is_left_to_them(other: dict[str, Any]) -> None:
    assert "full disk" in only(event(other)).content


def test_a_skill_is_used_for_what_stands_behind_it() -> None:
    skill = '<skill name="tidy-up" location="/s/SKILL.md">\nAlways look at each file. We decided on tabs.\n</skill>'
    one = only(event(line("user", text(f"{skill}\n\nTidy the exports up, please."))))
    assert (one.type, one.title) == ("request", "Tidy the exports up, please.")
    sent = event(line("user", text(skill)))
    (one,) = found = made(sent)
    assert (one.type, one.title) == ("request", "Use the skill tidy-up.")
    assert "Always look" not in (summarise(None, [sent], found).observations[0].narrative or "")


def test_who_could_not_go_on_has_failed() -> None:
    one = only(event(line("assistant", [], stopReason="error", errorMessage="overloaded_error: try again later")))
    assert (one.type, one.title) == ("error", "The agent fails: overloaded_error: try again later")
