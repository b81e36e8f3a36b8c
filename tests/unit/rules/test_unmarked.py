"""What a terminal shows of an edit without signs is told as far as it is known, and what stands around as no change."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from tests.unit.rules.observing import event, made, only


def shown(*texts: str) -> list[Event]:
    return [event({"stream": "stdout", "text": text}, "agent.output", "muster") for text in texts]


def edited(counts: str, *lines: str) -> Any:
    page = "\n".join(f"     {line}" for line in lines)
    return only(*shown(f"⏺ Update(hooks.yaml)…\n\n  ⎿  Updated hooks.yaml with {counts}\n{page}\n\n"))


BEFORE = (" 8  - repo: https://a.example/hooks", " 9    rev: v4.5.0", "10    hooks:")
GONE = ("11    - id: trailing-spaces", "12      exclude: ^log/", "13    - id: ends-of-files")
AFTER = ("- id: check-yaml", "- id: check-toml")


def test_what_was_taken_out_is_what_the_numbers_go_back_behind() -> None:
    one = edited("3 removals", *BEFORE, *GONE, *(f"{11 + n}    {line}" for n, line in enumerate(AFTER)))
    assert [line for line in (one.narrative or "").split("\n") if line[:1] in "+-"] == [
        "- - id: trailing-spaces", "- exclude: ^log/", "- - id: ends-of-files",
    ]  # fmt: skip
    assert "check-yaml" not in (one.narrative or "")


def test_what_was_taken_out_in_several_places_is_known() -> None:
    lines = (*BEFORE, GONE[0], "11    - id: one", "...", "40    - id: two", "42    - id: three", "41    - id: four")
    one = edited("2 removals", *lines)
    assert "- - id: trailing-spaces" in (one.narrative or "")
    assert "- - id: three" in (one.narrative or "")
    assert "id: two" not in (one.narrative or "")


def test_a_blank_line_is_one() -> None:
    one = edited("2 removals", *BEFORE, "11", "12    - id: ends-of-files", "11    - id: check-yaml")
    assert "- - id: ends-of-files" in (one.narrative or "")
    assert "11" not in (one.narrative or "")


def test_where_nobody_knows_what_was_put_in_it_is_counted() -> None:
    one = edited("2 additions and 1 removal", *BEFORE, GONE[0], "11    - id: a", "12    - id: b", "13    - id: c")
    assert "2 lines added, 1 line removed:" in (one.narrative or "")
    assert "- - id: trailing-spaces" in (one.narrative or "")
    assert "+ " not in (one.narrative or "")
    one = edited("1 addition", *BEFORE)
    assert "1 line added:" in (one.narrative or "")


@pytest.mark.parametrize("counts", ["2 additions and 9 removals", "1 removal", "5 removals"])
def test_where_the_numbers_do_not_say_it_nothing_is_told_to_be_there(counts: str) -> None:
    one = edited(counts, *BEFORE, *GONE, *(f"{11 + n}    {line}" for n, line in enumerate(AFTER)))
    assert "removed:" in (one.narrative or "")
    assert "id:" not in (one.narrative or "")


def test_a_command_that_is_cut_is_told_as_far_as_it_goes() -> None:
    text = (
        '⏺ Bash(cd /srv/shop && git commit -m "Round the refund only on…\n      … (ctrl+r to expand))…\n'
        "  ⎿  [main de1182e] Round the refund only once\n      2 files changed, 2 insertions(+)\n\n"
    )
    one = only(*shown(text))
    assert (one.type, one.title) == ("change", "Round the refund only once")
    assert "expand" not in one.content
    cut = only(*shown("⏺ Bash(rg total /srv/shop/one /srv/shop/two… … (ctrl+r to expand))\n  ⎿  a.py: total = 3\n\n"))
    assert "expand" not in cut.content


def test_what_the_program_reads_of_itself_is_no_reason() -> None:
    text = (
        '⏺ Bash(git commit -m "Round the refund")…\n  ⎿  Error: trim trailing whitespace....Failed\n\n'
        "  ⎿  Read hooks.yaml (41 lines)\n  ⎿  Read docs/hooks.md (41 lines)\n  ⎿  CLAUDE.md\n\n"
    )
    one = only(*shown(text))
    assert one.type == "error"
    assert "41 lines" not in one.content
    assert "CLAUDE" not in one.content


@pytest.mark.parametrize(
    "text",
    [
        "Total cost:            $0.74\nTotal duration (API):  6m 30.0s\nTotal duration (wall): 10h 7m 2.3s\n"
        "Total code changes:    24 lines added, 6 lines removed\nToken usage by model:\n"
        "  claude-3-5-haiku:  645.1k input, 16.9k output, 0 cache read, 0 cache write",
        "✅ Claude session completed",
        "===================== Previous Conversation Compacted =====================",
        "Tips for getting started:\n1. Ask questions, edit files, or run commands.\n"
        "2. Be specific for the best results.\n"
        "3. /help for more information.",
        "⏺ Read(a.py)\n\n> /compact\n  ⎿  Error: Error during compaction: Error: API Error: Request was aborted.\n\n"
        "> Error: Error during compaction: Error: API Error: Request was aborted.\n",
    ],
    ids=lambda text: text[:24],
)
def test_what_a_program_prints_of_itself_is_nothing(text: str) -> None:
    assert made(*shown(text)) == []


def test_what_stands_beside_it_is_kept() -> None:
    one = only(*shown("Total cost:            $0.74\nThe cause of the outage was a full disk on db-2.\n"))
    assert one.title == "The cause of the outage was a full disk on db-2."
    assert made(*shown("Total cost of the new cluster is 40 a month, which is less than the old one."))
