"""What other agents write and send is read as what they did and said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.domain.rules.reading import Kind, read, read_all
from muster.domain.shapes.documents import parts_of
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only
from tests.unit.rules.sent import EDITED, FAILED_VET, PATCH, VETTED, acts, blocks, item, lived, part, printed


@pytest.mark.parametrize("sent", FAILED_VET, ids=lambda sent: json.dumps(sent)[:90])
def test_a_command_that_failed_is_one_that_failed_whoever_ran_it(sent: list[Any]) -> None:
    (act,) = acts(*sent)
    assert (act.kind, act.command, act.failed) == (Kind.COMMAND, "go vet ./...", True)
    assert act.exit_code == (1 if "exit" in json.dumps(sent).lower() else None)
    assert act.text == VETTED


@pytest.mark.parametrize("sent", EDITED, ids=lambda sent: json.dumps(sent)[:90])
def test_an_edit_is_one_whoever_made_it(sent: list[Any]) -> None:
    found = acts(*sent)
    assert [act.files_modified for act in found if act.kind is Kind.EDIT] == [["shop/pay.py"]]
    assert [act.changes[-1] for act in found if act.kind is Kind.EDIT] == [("def refund():", "def refund_order():")]
    assert [act.text for act in found if act.kind is not Kind.EDIT] in ([], ["I rename it."])


@pytest.mark.parametrize(
    "sent",
    [
        [item("custom_tool_call", name="apply_patch", input=PATCH, call_id="c1"),
         item("custom_tool_call_output", call_id="c1", output="apply_patch verification failed: no such lines")],
        [lived("patch_apply_end", success=False, stderr="no such lines", changes={"a.py": {"delete": {}}})],
        [blocks("assistant", {"type": "tool_use", "id": "c1", "name": "Edit", "input": {"file_path": "a.py"}}),
         blocks("user", {"type": "tool_result", "tool_use_id": "c1", "is_error": True,
                         "content": "String to replace not found in file."})],
        [part(type="tool", tool="edit", state={"status": "error", "input": {"filePath": "a.py"},
                                               "error": "Error: oldString not found in content"})],
        [{"type": "item.completed", "item": {"type": "file_change", "status": "failed",
                                             "changes": [{"path": "a.py", "kind": "update"}]}}],
        [{"hook_event_name": "PreToolUse", "tool_name": "Edit", "tool_input": {"file_path": "a.py"}}],
        [{"hook_event_name": "beforeShellExecution", "command": "rm -rf /", "cwd": "/"}],
        [{"hook_event_name": "BeforeTool", "tool_name": "write_file", "tool_input": {"file_path": "a.py"}}],
    ],
    ids=lambda sent: json.dumps(sent)[:90],
)  # fmt: skip
def test_what_did_not_happen_is_no_edit(sent: list[Any]) -> None:
    found = acts(*sent)
    assert all(act.failed for act in found)
    assert not any(one.files_modified for payload in sent for one in made(event(payload)) if len(sent) == 1)


@pytest.mark.parametrize(
    ("sent", "kind", "text"),
    [
        (item("message", role="assistant", content=[{"type": "output_text", "text": "The key expired."}]),
         Kind.MESSAGE, "The key expired."),
        (item("message", role="user", content=[{"type": "input_text", "text": "Fix it"}]), Kind.PROMPT, "Fix it"),
        (lived("user_message", message="Fix it", images=[]), Kind.PROMPT, "Fix it"),
        (lived("agent_message", message="The key expired."), Kind.MESSAGE, "The key expired."),
        (part(type="text", text="The key expired.", time={"start": 1, "end": 2}), Kind.MESSAGE, "The key expired."),
        ({"type": "text", "sessionID": "s", "part": {"type": "text", "text": "The key expired."}}, Kind.MESSAGE,
         "The key expired."),
        ({"hook_event_name": "beforeSubmitPrompt", "prompt": "Fix it", "attachments": []}, Kind.PROMPT, "Fix it"),
        ({"hook_event_name": "afterAgentResponse", "text": "The key expired."}, Kind.MESSAGE, "The key expired."),
        ({"hook_event_name": "AfterAgent", "prompt": "?", "prompt_response": "The key expired."}, Kind.MESSAGE,
         "The key expired."),
        ({"hook_event_name": "Stop", "last_assistant_message": "The key expired."}, Kind.MESSAGE, "The key expired."),
        ({"role": "model", "parts": [{"text": "The key expired."}]}, Kind.MESSAGE, "The key expired."),
        ({"type": "user", "message": {"role": "user", "content": "Fix it"}}, Kind.PROMPT, "Fix it"),
        ({"type": "agent-turn-complete", "thread-id": "t", "turn-id": "1", "cwd": "/", "input-messages": ["Fix it"],
          "last-assistant-message": "The key expired."}, Kind.MESSAGE, "The key expired."),
    ],
    ids=lambda one: json.dumps(one)[:70],
)  # fmt: skip
def test_what_was_said_is_that_and_no_more(sent: Any, kind: Kind, text: str) -> None:
    act = read(event(sent, "hook"))
    assert (act.kind, act.text, act.speaker) == (kind, text, "")
    assert made(event(sent, "hook"))[-1].narrative == text


def test_a_turn_that_is_told_as_a_whole_has_a_question_and_an_answer() -> None:
    sent = {"type": "agent-turn-complete", "input-messages": ["Fix it"], "last-assistant-message": "It is fixed."}
    assert [(act.kind, act.text) for act in acts(sent)] == [(Kind.PROMPT, "Fix it"), (Kind.MESSAGE, "It is fixed.")]


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "session_meta", "payload": {"id": "a", "cwd": "/srv", "instructions": "Decision: none"}},
        {"type": "turn_context", "payload": {"model": "gpt", "summary": "auto"}},
        lived("token_count", info={"total_token_usage": {"input_tokens": 1}}),
        lived("agent_reasoning", text="I think about it"),
        item("reasoning", summary=[{"type": "summary_text", "text": "I think"}], encrypted_content="x"),
        item("message", role="user", content=[{"type": "input_text", "text": "<environment_context>\n<cwd>/</cwd>"}]),
        item("message", role="developer", content=[{"type": "input_text", "text": "You are careful."}]),
        {"type": "turn.completed", "usage": {"input_tokens": 1}},
        part(type="tool", tool="bash", state={"status": "running", "input": {"command": "rm -rf build"}}),
        part(type="text", text="The ke", time={"start": 1}),
        part(type="step-finish", cost=0.1, tokens={"input": 1}),
        {"type": "session.idle", "properties": {"sessionID": "ses_1"}},
        {"type": "message.updated", "properties": {"info": {"role": "assistant", "cost": 1}}},
        {"type": "step_start", "part": {"type": "step-start", "snapshot": "ab"}},
        {"type": "system", "subtype": "init", "tools": ["Bash"], "model": "m"},
        {"type": "result", "subtype": "success", "status": "success", "stats": {"total_tokens": 3}},
        {"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "rm -rf build"}},
        {"hook_event_name": "SessionStart", "source": "startup", "transcript_path": "/a"},
        {"hook_event_name": "stop", "status": "completed", "loop_count": 0},
        item("function_call", name="shell", arguments='{"command": ["git", "commit", "-m", "Drop it"]}', call_id="c9"),
        {"type": "tool_use", "id": "c9", "name": "Bash", "input": {"command": "pip install left"}},
    ],
    ids=lambda sent: json.dumps(sent)[:70],
)
@pytest.mark.parametrize("kind", ["message", "hook"])
def test_bookkeeping_and_what_came_of_nothing_is_not_told(sent: dict[str, Any], kind: str) -> None:
    assert made(event(sent, kind)) == []


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        (blocks("user", {"type": "tool_result", "tool_use_id": "x", "is_error": True,
                         "content": "make: *** [test] Error 2"}), "A tool fails: make: *** [test] Error 2"),
        ({"role": "tool", "tool_call_id": "x", "name": "vet", "content": "Exit code: 1\nboom"}, "vet fails: boom"),
        ({"functionResponse": {"name": "web", "response": {"error": "it is away"}}}, "web fails: it is away"),
        (lived("error", message="You've hit your usage limit."), "The agent fails: You've hit your usage limit."),
        ({"type": "turn.failed", "error": {"message": "stream disconnected"}}, "The agent fails: stream disconnected"),
        ({"type": "session.error", "properties": {"sessionID": "s", "error": {"name": "APIError", "data": {
            "message": "overloaded"}}}}, "The agent fails: overloaded"),
        ({"type": "result", "subtype": "error_max_turns", "is_error": True}, "The agent fails: error_max_turns"),
    ],
    ids=lambda one: json.dumps(one)[:60],
)  # fmt: skip
def test_an_answer_alone_is_told_where_it_is_a_failure(sent: Any, title: str) -> None:
    one = only(event(sent))
    assert (one.type, one.title) == ("error", title)


def test_a_number_that_is_given_again_is_another_call() -> None:
    def turn(command: str) -> list[dict[str, Any]]:
        asked = {"id": "call_0", "function": {"name": "bash", "arguments": json.dumps({"command": command})}}
        return [{"role": "assistant", "tool_calls": [asked]},
                {"role": "tool", "tool_call_id": "call_0", "content": f"did {command}"}]  # fmt: skip

    for found in (acts(*turn("./a"), *turn("./b")), [read(one) for one in printed(*turn("./a"), *turn("./b"))[:-1]]):
        assert [(act.command, act.text) for act in found] == [("./a", "did ./a"), ("./b", "did ./b")]
    state = {"status": "completed", "output": "x", "metadata": {"exit": 0}}
    again = [part(type="tool", tool="bash", callID="c1", state={**state, "input": {"command": command}})
             for command in ("./a", "./a", "./b")]  # fmt: skip
    for found in (acts(*again), [read(one) for one in printed(*again)[:-1]]):
        assert [act.command for act in found] == ["./a", "./b"]


def test_a_patch_that_is_printed_in_two_forms_is_one() -> None:
    (sent,) = [sent for sent in EDITED if len(sent) == 3]
    (one,) = made(*printed(*sent))
    assert one.title == "Rename `refund` to `refund_order` in pay.py"


def test_what_is_written_twice_is_said_once() -> None:
    said = "The key expired."
    twice = [lived("agent_message", message=said), lived("token_count", info={}),
             item("message", role="assistant", content=[{"type": "output_text", "text": said}])]  # fmt: skip
    assert [act.text for act in acts(*twice)] == [said]


@pytest.mark.parametrize("kind", ["pre_tool_use", "PreToolUse", "gemini.BeforeTool"])
def test_what_is_to_be_may_still_be_refused(kind: str) -> None:
    assert made(event({"tool_name": "Write", "tool_input": {"file_path": "a.py", "content": "x = 1"}}, kind)) == []


def test_halves_of_a_use_are_known_by_the_events_type() -> None:
    asked = event({"id": "c1", "name": "Bash", "input": {"command": "make"}}, "tool_use")
    told = event({"tool_use_id": "c1", "content": "Exit code 2\nboom", "is_error": True}, "tool_result")
    assert [(act.kind, act.exit_code, act.text) for act in read_all([asked, told])] == [
        (Kind.NOTHING, None, ""),
        (Kind.COMMAND, 2, "boom"),
    ]
    whole = {"id": "c1", "name": "Bash", "input": {"command": "make"}, "output": "done: 3 things"}
    assert read(event(whole, "tool_use")).kind is Kind.COMMAND


def test_calls_and_answers_are_joined_by_what_they_share() -> None:
    uses = [{"type": "tool_use", "id": f"c{n}", "name": "Bash", "input": {"command": f"make a{n}"}} for n in range(3)]
    told = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": f"made a{n}"} for n in (2, 0)]
    found = acts(blocks("assistant", *uses), blocks("user", *told))
    assert [(act.kind, act.command, act.text) for act in found] == [
        (Kind.CALL, "make a1", ""), (Kind.COMMAND, "make a2", "made a2"), (Kind.COMMAND, "make a0", "made a0"),
    ]  # fmt: skip
    other = event(blocks("user", *told)).model_copy(update={"session_id": event({}).id})
    assert {act.kind for act in read_all([event(blocks("assistant", *uses)), other])} == {Kind.CALL, Kind.OUTPUT}


def test_what_was_refused_is_known_by_its_answer() -> None:
    asked = blocks("assistant", {"type": "tool_use", "id": "c1", "name": "Edit", "input": {"file_path": "a.py"}})
    no = "The user doesn't want to proceed with this tool use. The tool use was rejected."
    refused = {"type": "tool_result", "tool_use_id": "c1", "is_error": True}
    assert acts(asked, blocks("user", {**refused, "content": no})) == []
    (act,) = acts(asked, blocks("user", {**refused, "content": f"{no} The user said:\nKeep the old name."}))
    assert (act.kind, act.text) == (Kind.PROMPT, "Keep the old name.")


@pytest.mark.parametrize(
    "sent", [{"role": "user", "content": "Fix it"}, {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
             {"tool_name": "Bash", "tool_input": {"command": "make"}}, {"type": "note", "text": "x"}, {"answer": 42},
             {"type": "error", "message": "x", "code": 3}, {"name": "x", "content": [{"type": "text"}]}, [1, 2], "x",
             {"event": {"type": "session.idle"}}, {"type": "result", "rows": 3}]
)  # fmt: skip
def test_what_has_no_known_shape_is_left_to_others(sent: Any) -> None:
    assert parts_of("message", sent) is None


# -- What agents print -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", FAILED_VET, ids=lambda sent: json.dumps(sent)[:90])
def test_a_command_that_failed_is_told_of_an_agent_that_printed_it(sent: list[Any]) -> None:
    one = only(*printed(*sent))
    assert one.type == "error"
    assert one.title == "go vet fails: ./pay.go:7:2: result of fmt.Errorf call not used"


def test_what_codex_prints_is_told_once() -> None:
    changes = [{"path": "a.py", "kind": "add"}, {"path": "src/b.py", "kind": "delete"}]
    found = made(*printed(
        {"type": "thread.started", "thread_id": "t"}, {"type": "turn.started"},
        {"type": "item.completed", "item": {"type": "file_change", "changes": changes, "status": "completed"}},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "The key is now made in a.py."}},
        {"type": "turn.completed", "usage": {"input_tokens": 1}},
    ))  # fmt: skip
    assert {(one.type, one.title) for one in found} == {
        ("feature", "Add a.py"), ("change", "Delete b.py"), ("fact", "The key is now made in a.py."),
    }  # fmt: skip


@pytest.mark.parametrize(
    "documents",
    [
        [{"type": "assistant", "message": blocks("assistant", {"type": "text", "text": "The key expired."})},
         {"type": "result", "subtype": "success", "result": "The key expired.", "total_cost_usd": 0.1}],
        [{"type": "result", "subtype": "success", "result": "The key expired.", "total_cost_usd": 0.1}],
        [{"type": "init", "session_id": "s", "model": "m"},
         *({"type": "message", "role": "assistant", "content": text, "delta": True, "timestamp": "t"}
           for text in ("The key", " expired", ".")),
         {"type": "result", "status": "success", "stats": {"total_tokens": 3}}],
        [{"type": "step_start", "part": {"type": "step-start"}},
         {"type": "text", "part": {"type": "text", "text": "The key expired."}},
         {"type": "step_finish", "part": {"type": "step-finish", "cost": 0.1}}],
    ],
    ids=lambda one: json.dumps(one)[:60],
)  # fmt: skip
def test_the_last_line_of_a_protocol_is_no_result(documents: list[Any]) -> None:
    one = only(*printed(*documents))
    assert (one.narrative, one.subtitle) == ("The key expired.", None)


def test_an_answer_is_a_result() -> None:
    assert [one.title for one in made(*printed("It is done.", {"rows": 120}))][-1] == "Result of Refunds: rows: 120"


# -- Anything at all -------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(
    """
    type payload msg role content tool_calls function name arguments call_id id output tool_use_id input parts text
    functionCall functionResponse response args part properties state status hook_event_name file_path edits command
    message messages item changes kind subtype result tool_call tool tool_id error metadata info action
    lc kwargs data event inputs outputs generations run_id cells cell cell_type output_type ename evalue traceback code
    questions question answers options label nbformat level severity summary labels alertname
    """.split()  # noqa: SIM905
)
_VALUES = st.none() | st.booleans() | st.integers(0, 300) | st.sampled_from(
    """
    response_item event_msg function_call function_call_output message tool_use tool_result text tool completed error
    assistant user model item.completed file_change command_execution message.part.updated afterFileEdit PreToolUse
    apply_patch Bash patch_apply_end mcp_tool_call_end result session.error tool_call c1 agent-turn-complete add x
    human ai constructor HumanMessage on_tool_start on_tool_end on_tool_error on_chain_end on_llm_end AskUserQuestion
    execute_cell stream execute_result code critical firing resolved
    """.split()  # noqa: SIM905
)  # fmt: skip
_DOCUMENTS = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=7),
    max_leaves=12,
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(_NAMES, _DOCUMENTS, min_size=1, max_size=5), max_size=4), _VALUES)
def test_whatever_the_shape_it_is_read(documents: list[dict[str, Any]], kind: Any) -> None:
    events = [event(document, str(kind)) for document in documents]
    assert {act.event.id for act in read_all(events)} == {one.id for one in events}
    made(*events)
    if documents:
        made(*printed(*documents))


def test_a_flood_of_calls_costs_little() -> None:
    began = Stopwatch()
    uses = [{"type": "tool_use", "id": f"c{n}", "name": "Bash", "input": {"command": "x" * 200}} for n in range(5_000)]
    read_all([event(blocks("assistant", *uses)) for _ in range(20)])
    read_all([event(item("function_call", name="shell", arguments="{" * 20_000, call_id=str(n))) for n in range(200)])
    read(event(lived("patch_apply_end", changes={f"f{n}": {"add": {"content": "x\n" * 5_000}} for n in range(200)})))
    assert began.fair < 5
