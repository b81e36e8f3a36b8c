"""What the embedded generator makes of what is said, and of anything at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.domain.context import group_of, tell
from muster.domain.rules.observing import observe
from muster.domain.rules.summary import summarise
from muster.domain.rules.text import cleaned, dated, language_of, one_line
from tests.unit.rules.observing import AT, TRACEBACK, event, made, only, tool

# -- What it was told ------------------------------------------------------------------------------------------------


def told() -> str:
    ids = "0193a1b2-0000-8000-8000-00000000000"
    known = [
        {"id": f"{ids}1", "type": "decision", "title": "Use tabs", "narrative": "We decided to use tabs.",
         "facts": ["since 2019"], "occurred_at": "2026-11-02T10:00:00+00:00"},
        {"id": f"{ids}2", "type": "error", "title": "ImportLockError at night", "narrative": None, "facts": [],
         "occurred_at": "2026-11-03T10:00:00+00:00"},
    ]  # fmt: skip
    return tell([(group_of(one), one) for one in known], 1000).markdown


@pytest.mark.parametrize("indent", ["", "  ", "%6d\t"])
def test_what_an_agent_was_told_is_not_made_into_what_it_found(indent: str) -> None:
    """Else each agent that reads its context would leave a copy for the next."""
    numbered = "\n".join(indent.replace("%6d", f"{n:6}") + line for n, line in enumerate(told().splitlines(), 1))
    assert made(event(numbered, "output"), event({"text": numbered})) == []
    one = only(event(f"{numbered}\nDecision: spaces after all\n- **bold** as the (2026-11-04) list is"))
    assert one.title == "Spaces after all"
    assert one.narrative == "Decision: spaces after all\n- **bold** as the (2026-11-04) list is"
    read = {"tool_name": "Read", "tool_input": {"file_path": "/tmp/context.md"}, "tool_response": numbered}
    assert "tabs" not in cleaned(json.dumps(read)) + "".join(str(each) for each in made(event(read)))


# -- What is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "title"),
    [
        ("We decided to use Postgres instead of MySQL because of RLS.", "decision", "Use Postgres instead of MySQL"),
        ("We chose Redis over Memcached.", "decision", "We chose Redis over Memcached"),
        ("Wir haben uns für Rust entschieden.", "decision", "Wir haben uns für Rust"),
        ("Decision: the import runs at night, since it locks.", "decision", "The import runs at night"),
        ("**Entscheidung:** wir bleiben bei Postgres", "decision", "Wir bleiben bei Postgres"),
        ("決定：移行は日曜日に行う", "decision", "移行は日曜日に行う"),
        ("Bug: memory grows in the cache", "error", "Memory grows in the cache"),
        ("FIX - close the cursor before the connection", "bugfix", "Close the cursor"),
        ("Note: the staging server is called marble", "discovery", "The staging server is called marble"),
        ("To do: rotate the certificates in March", "request", "Rotate the certificates in March"),
        ("A note: nothing here is a decision - it is talk", "fact", "A note: nothing here is a decision"),
        ("I prefer tabs over spaces.", "preference", "I prefer tabs"),
        ("Please always run the linter before you commit.", "preference", "Please always run the linter"),
        ("Fixed it: the root cause was a stale cache in the gateway.", "bugfix", "root cause was a stale cache"),
        ("The login crashes when the session has no user.", "error", "The login crashes"),
        ("My sister Anna works at Siemens in Munich.", "fact", "My sister Anna works at Siemens"),
        ("Who owns the billing service?", "question", "Who owns the billing service?"),
        ("東京のオフィスは来月渋谷に移転します。", "fact", "東京のオフィス"),
    ],
)
def test_a_statement_is_kept_as_what_it_is(text: str, kind: str, title: str) -> None:
    for payload in (text, {"text": text}, {"content": text}, {"message": text}, {"role": "assistant", "content": text},
                    {"message": {"role": "user", "content": [{"type": "text", "text": text}]}}):  # fmt: skip
        one = only(event(payload))
        assert (one.type, one.narrative) == (kind, text)
        assert title in one.title


def test_a_short_line_is_kept_where_it_says_what_it_is() -> None:
    one = only(event({"stream": "stdout", "text": "Decision: use blue"}, "agent.output", "muster"))
    assert (one.type, one.title) == ("decision", "Use blue")
    assert made(event({"stream": "stdout", "text": "use blue"}, "agent.output", "muster")) == []


def test_a_speaker_and_a_day_are_kept() -> None:
    one = only(event({"speaker": "Caroline", "text": "I went to the support group yesterday, it was so powerful."}))
    assert one.title.startswith("Caroline: ")
    assert "19 November 2026" in one.facts[0]
    assert dated("last Friday, next month and two weeks ago", AT) == [
        "“last friday”: 13 November 2026",
        "“next month”: December 2026",
        "“two weeks ago”: the week of 2 November 2026",
    ]


def test_a_short_answer_keeps_its_question() -> None:
    question, answer = (
        event({"speaker": "Ann", "text": "When is the launch?"}),
        event({"speaker": "Bo", "text": "On 5 March."}),
    )
    one = made(question, answer)[1]
    assert "When is the launch?" in (one.subtitle or "")
    assert one.sources == [answer.id, question.id]
    agreed = made(
        event({"role": "assistant", "text": "Shall we drop Python 3.9?"}), event({"role": "user", "text": "Yes."})
    )
    assert len(agreed) == 2


def test_a_long_text_loses_nothing() -> None:
    text = "\n\n".join(
        f"Paragraph {n} says that module{n} depends on library{n} for its parsing work." for n in range(120)
    )
    found = made(event({"text": text}))
    assert 2 < len(found) <= 14
    assert all(any(f"library{n}" in (one.narrative or "") for one in found) for n in range(120))
    assert all(len(one.narrative or "") <= 2100 for one in found)


@pytest.mark.parametrize(
    "text", ["ok", "Thanks!", "ok, thank you so much!", "Yes.", "Got it 👍", "はい", "Danke", "", "  ", "..."]
)
def test_a_courtesy_is_nothing(text: str) -> None:
    assert made(event({"text": text})) == []


def test_private_text_that_was_taken_out_is_nothing() -> None:
    assert made(event({"text": "[removed:private]"}), event({"prompt": "<private>my key</private>"}, "prompt")) == []


@pytest.mark.parametrize(
    "text",
    [
        "cp *.py /tmp/",
        "*.py and k8s/*.yaml",
        "rm -rf dist/*",
        "find . -name *test* -o -name *spec*",
        "ls src/**/test_*.py **/x/**",
        "__init__.py, _load_all and *_id",
        "rename _foo to bar_ and __foo to bar__",
        "NameError: name '_boot' is not defined",
        "f(**a), g(**b)",
        "--dry-run is an option, and -v",
        "* * * * * /usr/bin/backup",
        "`**x**` is a glob",
    ],
)
def test_names_and_commands_stay_as_they_are(text: str) -> None:
    assert one_line(text) == text
    assert one_line(f"{text} " * 2_000, 100_000) == " ".join([text] * 2_000)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("## **Cause:** the *cache* is stale", "Cause: the *cache* is stale"),
        ("- Use **`tabs`**, (**never** spaces)", "Use `tabs`, (never spaces)"),
        ("> 1. quoted", "quoted"),
        ("* a\n  list", "a list"),
        ("**重要：**移行は日曜日", "重要：移行は日曜日"),
    ],
)
def test_a_title_is_plain(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I bought the bike! It was £3,150 in the end, and it is blue.", "fact"),
        ("My sister moved to Lyon in March.", "fact"),
        ("I need the import to be faster.", "request"),
        ("We should look into the import. Make it faster.", "request"),
        ("We saw it. Deploy it to staging.", "request"),
        ("Optimise the nightly import", "request"),
    ],
)
def test_who_tells_of_something_asks_for_nothing(text: str, kind: str) -> None:
    assert only(event({"prompt": text}, "user_prompt")).type == kind


@pytest.mark.parametrize(
    "when", ["last weekend of September", "last Friday in May", "next year of the plan", "yesterday week"]
)
def test_a_day_that_is_counted_from_another_is_not_counted_from_now(when: str) -> None:
    assert dated(f"We went there the {when}.", AT) == []


# -- Anything at all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cache is stale and we should not use it", "en"),
        ("Der Speicher ist voll und wir haben es nicht gemerkt", "de"),
        ("Le serveur est dans la salle et il ne répond plus", "fr"),
        ("El servidor no responde y hay que reiniciarlo", "es"),
        ("キャッシュが古いので使わない", "ja"),
        ("缓存已经过期，不要使用", "zh"),
        ("캐시가 오래되었습니다", "ko"),
        ("Кэш устарел", "ru"),
        ("x = 3", None),
        ("pytest tests/es", None),
        ("retry the import", "en"),
        ("Os dados não estão no banco e o servidor não responde", "pt"),
        ("Nie ma pliku na serwerze, to jest problem z dyskiem", "pl"),
        ("error: no such option -e do --no-cache as os", None),
        ("do.js e/o/as os-no.da: as e no do os", None),
        ("✓ w i z po do ✓ 3 na 4", None),
        ("drwxr-xr-x 2 o e 4096 as/no/em\nimport os as o, e\n", None),
        ("", None),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    assert language_of(text) == language


_KEYS = st.sampled_from(
    [
        "tool_name",
        "tool_input",
        "tool_response",
        "text",
        "content",
        "message",
        "role",
        "prompt",
        "command",
        "file_path",
        "old_string",
        "new_string",
        "edits",
        "stdout",
        "stderr",
        "exit_code",
        "todos",
        "status",
        "type",
        "speaker",
        "filenames",
        "file",
        "result",
        "output",
        "query",
        "pattern",
        "messages",
        "name",
        "input",
    ]
)
_TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        "Bash",
        "Edit",
        "Read",
        "Grep",
        "TodoWrite",
        "apply_patch",
        "user",
        TRACEBACK,
        "pytest -q",
        'git commit -m "',
        "{",
        "```json",
        "a" * 5000,
        "\ud800",
        "\x00",
        "We decided to",
        "???",
        "last week",
        "9999999999999 days ago",
        "next year",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(max_size=8), inner, max_size=6),
    max_leaves=25,
)
_TYPES = st.sampled_from(
    ["message", "prompt", "tool_use", "output", "agent.output", "agent.ended", "agent.started", "x", "stop", "edit"]
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(_TYPES, st.sampled_from(["muster", "a"]), _JSON), max_size=6))
def test_whatever_is_sent_it_answers_in_bounds(sent: list[tuple[str, str, Any]]) -> None:
    events = [event(payload, kind, adapter) for kind, adapter, payload in sent]
    answer = observe(events)
    assert len(answer.observations) <= 20 * max(1, len(events))
    for one in (*answer.observations, *summarise(None, events, answer.observations).observations):
        assert 0 < len(one.title) <= 200
        assert len(one.narrative or "") <= 8000
        assert len(one.subtitle or "") <= 400
        assert len(one.facts) <= 16
        assert all(len(fact) <= 600 for fact in one.facts)
        assert all(0 < len(path) <= 1000 for path in one.files_read + one.files_modified)
        assert all(0 < len(concept) <= 100 for concept in one.concepts)
        assert 0 <= one.importance <= 1
        assert set(one.sources) <= {one.id for one in events}
        assert one.sources
        one.model_dump_json().encode()
        assert "\\u0000" not in one.model_dump_json()


def test_a_huge_text_costs_little() -> None:
    began = datetime.now(UTC)
    for text in (
        "a" * 2_000_000,
        "decided " * 200_000,
        "((((" * 100_000,
        "ok " * 300_000,
        "/a.b" * 300_000,
        "Error: " * 100_000,
        "Tests: " * 100_000,
        " \n" * 300_000,
        f"{'x' * 300}\n" * 2_000,
    ):
        made(event({"text": text}), tool("Bash", {"command": text}, {"stdout": text}, exit_code=1))
    assert (datetime.now(UTC) - began).total_seconds() < 10
