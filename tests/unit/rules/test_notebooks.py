"""Cells of notebooks that fail are errors, open until they pass; what they print is what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import event, made, only, tool
from tests.unit.rules.sent import acts, blocks

FIT = "model.fit(X_train, y_train)"
WHY = "ValueError: Input X contains NaN"
TRACE = ["\x1b[0;31m-----\x1b[0m", "\x1b[0;31mValueError\x1b[0m      Traceback (most recent call last)",
         f"Cell In[3], line 1\n----> 1 {FIT}\n", f"\x1b[0;31mValueError\x1b[0m: {WHY[12:]}"]  # fmt: skip
RAISED = {"output_type": "error", "ename": "ValueError", "evalue": "Input X contains NaN", "traceback": TRACE}
PRINTED = {"output_type": "stream", "name": "stdout", "text": ["fitting the model\n", "on 40 rows\n"]}
SHOWN = {"output_type": "execute_result", "execution_count": 3, "metadata": {},
         "data": {"text/plain": ["accuracy    0.93\n", "recall      0.91"], "text/html": "<b>0.93</b>"}}  # fmt: skip
TEXT = "\n".join(TRACE)

FAILED = [
    {"outputs": [PRINTED, RAISED]}, [PRINTED, RAISED], RAISED, {"output": [RAISED]}, {"result": {"outputs": [RAISED]}},
    {"cell": {"cell_type": "code", "outputs": [RAISED]}}, json.dumps({"outputs": [RAISED]}),
    {"status": "error", "ename": "ValueError", "evalue": "Input X contains NaN", "traceback": TRACE},
    {"outputs": [{**RAISED, "traceback": []}]}, {"content": [{"type": "text", "text": TEXT}]}, TEXT,
    {"outputs": [{"msg_type": "error", "content": {key: RAISED[key] for key in ("ename", "evalue", "traceback")}}]},
]  # fmt: skip


def run(code: str, answered: Any, **more: Any) -> Event:
    return tool("execute_cell", {"code": code, **more}, answered)


def opened(*events: Event) -> list[str]:
    (one,) = summarise(None, events, made(*events)).observations
    return [fact for fact in one.facts if fact.startswith("Open: ")]


@pytest.mark.parametrize("answered", FAILED, ids=lambda one: json.dumps(one)[:60])
@pytest.mark.parametrize("name", ["execute_cell", "mcp__jupyter__run_cell", "mcp__ide__executeCode", "python"])
def test_a_cell_that_failed_is_an_error_and_open(name: str, answered: Any) -> None:
    one = only(tool(name, {"code": FIT}, answered))
    assert (one.type, one.title) == ("error", f"{name} fails: {WHY}")
    assert opened(tool(name, {"code": FIT}, answered)) == [f"Open: {name} fails: {WHY}"]


@pytest.mark.parametrize("source", [FIT, [FIT]])
def test_a_cell_as_notebooks_keep_it_is_one_that_ran(source: Any) -> None:
    cell = {"cell_type": "code", "id": "ab1", "execution_count": 3, "metadata": {}, "source": source}
    bad, good = {**cell, "outputs": [RAISED]}, {**cell, "outputs": [PRINTED, SHOWN]}
    note = {"cell_type": "markdown", "source": "# Model"}
    for payload in (bad, {"cell": bad}, {"cells": [note, bad], "nbformat": 4, "metadata": {}},
                    {"code": FIT, "outputs": [RAISED]}):  # fmt: skip
        one = only(event(payload, "notebook"))
        assert (one.type, one.title) == ("error", f"The notebook fails: {WHY}")
    one = only(event(good, "notebook"))
    assert one.type == "discovery"
    assert "on 40 rows" in (one.narrative or "")
    assert "accuracy" in (one.narrative or "")
    assert "<b>" not in (one.narrative or "")
    assert not opened(event(bad), event(good))
    assert made(event({**note, "cell_type": "raw", "outputs": []}, "x")) != []


def test_an_answer_that_comes_apart_from_its_call_is_read_alike() -> None:
    asked = {"type": "tool_use", "id": "c1", "name": "execute_cell", "input": {"code": FIT}}
    told = {"type": "tool_result", "tool_use_id": "c1", "content": json.dumps({"outputs": [RAISED]})}
    (act,) = acts(blocks("assistant", asked), blocks("user", told))
    assert (act.tool, act.failed) == ("execute_cell", True)
    assert act.text.endswith(WHY)


@pytest.mark.parametrize(
    ("failed", "later", "over"),
    [
        ({"code": FIT}, {"code": FIT}, True),
        ({"code": FIT}, {"code": f"X_train = X_train.dropna()\n{FIT}"}, True),
        ({"code": FIT}, {"code": "model.fit(X_train.fillna(0), y_train)"}, True),
        ({"code": FIT, "cell_index": 3}, {"code": "fit()", "cell_index": 3}, True),
        ({"cell_id": "a"}, {"cell_id": "a", "timeout": 5}, True),
        ({"code": FIT}, {"code": "X_train.isna().sum()"}, False),
        ({"code": FIT, "cell_index": 3}, {"code": "X_train.head()", "cell_index": 4}, False),
        ({"code": FIT, "notebook_path": "a.ipynb"}, {"code": FIT, "notebook_path": "b.ipynb"}, False),
        ({"cell_id": "a"}, {"cell_id": "b"}, False),
    ],
)
def test_a_cell_is_open_until_it_passes(failed: dict[str, Any], later: dict[str, Any], over: bool) -> None:
    events = (tool("execute_cell", failed, {"outputs": [RAISED]}), tool("execute_cell", later, {"outputs": [SHOWN]}))
    assert (opened(*events) == []) is over
    assert opened(*reversed(events)) != []


def test_another_tool_is_no_cell_where_it_has_a_number() -> None:
    bad = tool("update_issue", {"id": 3, "title": "A"}, {"error": "it is locked"})
    assert opened(bad, tool("update_issue", {"id": 3, "title": "B"}, "it is done now")) != []


@pytest.mark.parametrize(
    "sent",
    [
        run("print(1)", {"outputs": [PRINTED]}),
        run("df.describe()", {"outputs": [SHOWN, {"output_type": "display_data", "data": {"text/plain": "<Figure>"}}]}),
        run("try_it()", {"outputs": [{**PRINTED, "text": f"{TEXT}\nand we went on\n"}]}),
        run("try_it()", f"{TEXT}\nand we went on, since it is not needed"),
        tool("read_cell", {"cell_index": 3}, {"cell_type": "code", "source": FIT, "outputs": [RAISED]}),
        tool("NotebookRead", {"notebook_path": "a.ipynb"}, [{"cell_type": "code", "outputs": [RAISED]}]),
        tool("search_docs", {"query": "nan"}, f"Somebody asks about this:\n{TEXT}"),
    ],
    ids=lambda sent: json.dumps(sent.payload)[:70],
)
def test_what_did_not_fail_is_no_error(sent: Event) -> None:
    assert all(one.type != "error" for one in made(sent))
