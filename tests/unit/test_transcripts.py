"""What an agent printed, in pieces: the same whether it is read at its end or on the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.domain.agents import OutputLine
from muster.domain.transcripts import Transcript

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
SAID = st.sampled_from(
    [
        "plain", "", "x" * 1300, "see <private>this", "and this</private> too",
        json.dumps({"tool_name": "Bash", "tool_input": {"command": "make"}, "tool_response": "ok"}),
        json.dumps({"type": "assistant", "message": {"content": [
            {"type": "text", "text": "I run it"}, {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}}),
        json.dumps({"type": "user", "message": {"content": [
            {"type": "tool_result", "tool_use_id": "t", "content": "passed"}]}}),
        json.dumps({"type": "message", "role": "assistant", "content": "bit ", "delta": True}),
    ]
)  # fmt: skip
LINES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), SAID, st.sampled_from([0, 5, 65, 100])), max_size=30)


def spoken(lines: list[tuple[str, str, int]]) -> list[OutputLine]:
    at, found = AT, []
    for n, (stream, text, pause) in enumerate(lines, 1):
        at += timedelta(seconds=pause)
        found.append(OutputLine(n=n, stream=stream, at=at, text=text))  # type: ignore[arg-type]
    return found


@given(LINES)
def test_what_is_told_on_the_way_is_told_at_the_end(lines: list[tuple[str, str, int]]) -> None:
    whole, along = Transcript(), Transcript()
    early: dict[tuple[int, int, int], Any] = {}
    for line in spoken(lines):
        whole.feed([line])
        early |= {(p.first, p.last, p.number): (p.type, dict(p.payload)) for p in along.ready(line.at)}
        along.feed([line])
    early |= {(p.first, p.last, p.number): (p.type, dict(p.payload)) for p in along.ready(AT + timedelta(days=1))}
    pieces = whole.pieces()
    late = {(p.first, p.last, p.number): (p.type, p.payload) for p in pieces}
    assert len(late) == len(pieces), "each has a name of its own"
    assert all(late[name] == told for name, told in early.items())


def test_what_was_said_a_while_ago_is_told() -> None:
    transcript = Transcript()
    transcript.feed(spoken([("stdout", "We chose Valkey", 0)]))
    assert transcript.ready(AT + timedelta(seconds=60)) == []
    (piece,) = transcript.ready(AT + timedelta(seconds=80))
    assert piece.payload["text"] == "We chose Valkey"
    assert transcript.ready(AT + timedelta(days=1)) == []
    assert not transcript.is_full


def test_who_prints_steadily_is_told_of_on_the_way() -> None:
    lines = spoken([("stdout", f"Found: segment {n} leaks", 5) for n in range(480)])
    whole, along, early = Transcript(), Transcript(), []
    for line in lines:
        whole.feed([line])
        early += along.ready(line.at)
        along.feed([line])
    assert early[0].at == lines[0].at
    assert early[0].last == 13, "a minute's"
    late = whole.pieces()
    assert late[: len(early)] == early
    assert sum(piece.last - piece.first + 1 for piece in late) == 480
    assert max(piece.last - piece.first for piece in late) > 60, "what comes late is told in larger pieces"


SALARY: dict[str, Any] = {"ceo_salary": 481516, "name": "Jörg Geheim"}


def message(text: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": text}]}}


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        (["<private>", SALARY, "</private>"], None),
        (["<private>", SALARY], None),
        (["<private>", [SALARY], "</private>", "bye"], None),
        (["-----BEGIN PRIVATE KEY-----", SALARY], None),
        (["<private>x</private>", SALARY], SALARY),
        ([SALARY, "<private>", "x", "</private>"], SALARY),
        (["<private>", "x", "</private>", [SALARY]], [SALARY]),
        ([{"text": "Key <private>a1"}, {"text": "a2</private> and on"}], {"text": " and on"}),
        ([{"text": "Key <private>a1"}, {"n": 481516, "text": "a2</private> and on", "m": 7}],
         {"text": " and on", "m": 7}),
        ([message("Key <private>a1"), message("a2</private> and on")],
         {"message": {"content": [{"text": " and on"}]}}),
        ([message("Key <private>a1"), message("a2</private> b") | {"copy": ["a2</private> b"]}],
         {"message": {"content": [{"text": " b"}]}, "copy": [" b"]}),
        # One that ends nowhere is private to its end, in lines that are looked through by themselves.
        ([message("Key <private>a1"), message("and on")], message("and on")),
        ([{"text": "Key <private>a1", "n": 481516}, "a2</private>"], {"text": "Key "}),
        ([{"text": "a <private>b</private> c", "n": 7}], {"text": "a  c", "n": 7}),
        ([{"text": "private"}], {"text": "private"}),
    ],
)  # fmt: skip
def test_of_a_result_no_more_is_kept_than_of_the_line_that_it_was(printed: list[Any], kept: Any) -> None:
    texts = [one if isinstance(one, str) else json.dumps(one) for one in printed]
    transcript = Transcript()
    transcript.feed(spoken([("stdout", text, 1) for text in texts]))
    result = next(one for one in reversed(printed) if not isinstance(one, str))
    assert transcript.kept_result(result) == kept


def test_a_result_that_stands_in_no_line_is_kept_where_nothing_private_went_on() -> None:
    transcript = Transcript()
    transcript.feed(spoken([("stdout", "a <private>b</private>", 0), ("stdout", "c", 0)]))
    assert transcript.kept_result([SALARY]) == [SALARY]
    transcript.feed(spoken([("stdout", "<private>", 0), ("stdout", "</private>", 0)]))
    assert transcript.kept_result([SALARY]) is None
