"""What only says how something stands is told on a line, by its name, its version and its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only

DEPLOYED = {"service": "checkout", "version": "2.4.1", "environment": "production", "status": "succeeded"}


@pytest.mark.parametrize(
    ("kind", "sent", "type_", "title"),
    [
        ("deploy", DEPLOYED, "change", "checkout 2.4.1 on production: succeeded"),
        ("deployment", {**DEPLOYED, "status": "rolled_back", "reason": "4 % of the orders fail"}, "change",
         "checkout 2.4.1 on production: rolled back: 4 % of the orders fail"),
        ("deploy", {**DEPLOYED, "status": "failed", "error": "no such image"}, "error",
         "checkout 2.4.1 on production: failed: no such image"),
        ("deploy", {**DEPLOYED, "status": "in_progress"}, "fact", "checkout 2.4.1 on production: in progress"),
        ("job", {"job": "e2e", "status": "success"}, "discovery", "e2e: success"),
        ("job", {"workflow": "nightly", "job": "unit", "conclusion": "success", "duration": 4}, "discovery",
         "nightly / unit: success"),
        ("ci", {"job": "unit", "branch": "main", "status": "failed"}, "error", "unit on main: failed"),
        ("test", {"test": "test_merge_cart", "outcome": "passed", "duration": 0.2}, "discovery",
         "test_merge_cart: passed"),
        ("test", {"name": "test_merge_cart", "status": "passed", "duration": 0.2}, "discovery",
         "test_merge_cart: passed"),
        ("order", {"order": 4711, "status": "delivered", "customer": "Ravi", "item": "oak shelf"}, "fact",
         "order 4711: delivered"),
        ("shipment", {"shipment_id": "S-1", "state": "delayed", "reason": "snow"}, "fact",
         "shipment S-1: delayed: snow"),
    ],
)  # fmt: skip
def test_how_it_stands_is_told_on_a_line(kind: str, sent: dict[str, Any], type_: str, title: str) -> None:
    for payload in (sent, json.dumps(sent)):
        one = only(event(payload, kind))
        assert (one.type, one.title) == (type_, title)
        assert all(str(value) in (one.narrative or "") for value in sent.values())


@pytest.mark.parametrize(
    ("kind", "sent", "title"),
    [
        ("deploy", {**DEPLOYED, "text": "Rollout finished without incidents"},
         "checkout 2.4.1: Rollout finished without incidents"),
        ("ticket", {"title": "Nobody can pay", "status": "open", "service": "till"}, "Nobody can pay"),
        ("message", {"role": "user", "text": "The office moves to Lyon.", "status": "done", "job": "x"},
         "The office moves to Lyon."),
    ],
)  # fmt: skip
def test_what_says_more_is_told_by_that(kind: str, sent: dict[str, Any], title: str) -> None:
    assert title in only(event(sent, kind)).title


def test_what_failed_is_over_when_it_succeeds() -> None:
    def opened(*sent: dict[str, Any]) -> int:
        events = [event(payload, "deploy") for payload in sent]
        (one,) = summarise(None, events, made(*events)).observations
        return sum(fact.startswith("Open: ") for fact in one.facts)

    failed = {**DEPLOYED, "status": "failed"}
    assert opened(failed) == opened(DEPLOYED, failed) == opened(failed, {**DEPLOYED, "environment": "staging"}) == 1
    assert opened(failed, {**DEPLOYED, "version": "2.4.2"}) == 0


@pytest.mark.parametrize(
    "carried",
    [{"status": "sent", "level": 3}, {"priority": "high"}, {"retries": 2}, {"channel": "C9"}, {"channel": "D024BE91L"},
     {"attempt": 1, "priority": "normal"}, {"channel": "49151234567"}],
    ids=json.dumps,
)  # fmt: skip
def test_how_a_message_was_carried_is_no_fact(carried: dict[str, Any]) -> None:
    for said in ({"role": "user", "text": "The office moves to Lyon."}, {"speaker": "Ann", "text": "We move to Lyon."}):
        assert only(event({**said, **carried})).facts == []


@pytest.mark.parametrize("channel", ["#oncall", "general", "OPS", "Team Lyon"])
def test_the_name_of_a_channel_is_one(channel: str) -> None:
    sent = {"role": "user", "text": "The office moves to Lyon.", "channel": channel}
    assert only(event(sent)).facts == [f"channel: {channel}"]


def test_what_programs_tell_keeps_its_numbers() -> None:
    one = only(event({"level": "error", "message": "no answer", "retries": 2, "priority": "high"}, "log"))
    assert {"retries: 2", "priority: high"} <= set(one.facts)


@pytest.mark.parametrize(
    "sent",
    [{"cell_type": "markdown", "source": ["Churn is driven by price rises.\n", "See below."], "metadata": {}},
     {"cell": {"cell_type": "markdown", "source": "Churn is driven by price rises.\nSee below."}}],
)  # fmt: skip
def test_a_cell_of_prose_is_what_it_says(sent: dict[str, Any]) -> None:
    one = only(event(sent, "notebook"))
    assert (one.title, one.narrative) == (
        "Churn is driven by price rises.",
        "Churn is driven by price rises.\nSee below.",
    )


FOUND = {"page_content": "The limit is 40 EUR per day.\nNo more.", "metadata": {"source": "policy.pdf", "page": 3}}


@pytest.mark.parametrize(
    "output",
    [[FOUND], FOUND, {"documents": [FOUND]}, [{"lc": 1, "id": ["langchain", "Document"], "kwargs": FOUND}]],
    ids=lambda one: json.dumps(one)[:40],
)
def test_what_a_search_found_is_told_with_its_source(output: Any) -> None:
    data = {"input": {"query": "Which limit?"}, "output": output}
    sent = {"event": "on_retriever_end", "name": "VectorStoreRetriever", "run_id": "r1", "data": data}
    one = only(event(sent, "callback"))
    assert (one.type, one.title) == ("discovery", "policy.pdf: The limit is 40 EUR per day.")
    assert one.facts == ["source: policy.pdf", "page: 3", "asked: Which limit?"]
    assert made(event({**sent, "event": "on_retriever_start"}, "callback")) == []


def test_what_nodes_of_a_graph_write_is_read_where_it_is_whole() -> None:
    said = {"type": "ai", "content": "Mara owns the billing service."}
    whole = {"event": "on_chain_stream", "data": {"chunk": {"agent": {"messages": [said]}}}}
    assert only(event(whole, "callback")).title == said["content"]
    assert len(made(event(whole, "callback"), event({"agent": {"messages": [said]}}, "callback"))) == 1
    for chunk in ({"type": "AIMessageChunk", "content": "Mara owns the"}, "Mara owns the", {"agent": None},
                  {"agent": {"messages": [{"type": "AIMessageChunk", "content": "Mara owns the"}]}}):  # fmt: skip
        assert made(event({"event": "on_chain_stream", "data": {"chunk": chunk}}, "callback")) == []


def test_many_fields_cost_little() -> None:
    began = Stopwatch()
    many: dict[str, Any] = {f"field{n}": "x" * 200 for n in range(1_000)}
    for more in (
        {"status": "s" * 200_000},
        {"status": "failed", "reason": "y " * 100_000},
        {"order": 1, "state": "new"},
    ):
        made(event({**many, "job": "unit", **more}, "job"))
    made(event({"event": "on_retriever_end", "data": {"output": [FOUND | many] * 200}}, "callback"))
    assert began.fair < 4
