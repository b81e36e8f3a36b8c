"""Long texts are cut between words: half a secret is known by nobody."""

from __future__ import annotations

import pytest

from api.claude_mem_words import fitting
from muster.cli import spawn
from muster.domain import cuts, privacy

TOKEN = "ghp_" + "abcdefghij" * 3 + "012345"


@pytest.mark.parametrize(
    ("text", "at", "before", "after"),
    [
        ("one two three", 5, 3, 7),
        ("one two three", 7, 7, 7),
        ("one two three", 99, 13, 99),
        ("password: hunter2 and more", 12, 12, 17),
        ('{"a":1,"b":2}', 9, 6, 9),
        ("x" * 9000, 5000, 5000, 5000),
        ("", 0, 0, 0),
    ],
)
def test_a_cut_is_between_words(text: str, at: int, before: int, after: int) -> None:
    assert (cuts.before(text, at), cuts.after(text, at)) == (before, after)
    assert (cuts.before(text.encode(), at), cuts.after(text.encode(), at)) == (before, after)


def test_no_half_of_a_secret_is_left_where_a_text_is_cut() -> None:
    for shift in range(len(TOKEN) + 1):
        ends = ("word " * 6000)[: 24_975 - shift]
        text = f"{ends} {TOKEN} {'word ' * 90_000} {TOKEN} {ends[::-1]}"
        fitted = fitting({"text": text})
        assert isinstance(fitted, dict)
        kept = privacy.scrub_text(str(fitted["text"]))
        assert len(kept) < 51_000
        assert "ghp_" not in kept
        assert TOKEN[-8:] not in kept
    title = spawn._title(["sh", "-c", "x " * ((spawn.TITLE_LENGTH - 30) // 2) + TOKEN])
    assert title.endswith("…")
    assert "ghp" not in title
