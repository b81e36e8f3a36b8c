"""A message that proposes code is named by its words."""

from __future__ import annotations

import pytest

from muster.domain.rules import proposals
from tests.unit.rules.observing import event, only

BLOCK = "```typescript\nweb/src/badge.tsx\n<<<<<<< SEARCH\n  <Badge>\n=======\n  <Badge onApprove={approve}>\n"
WORDS = "Pass the approval on to the badge"


@pytest.mark.parametrize(
    "text",
    [
        f"```\n\n### {WORDS}\n\nIt calls `approve` then.\n\n{BLOCK}",
        f"{BLOCK}>>>>>>> REPLACE\n```\n\n{WORDS}:\n\n{BLOCK}",
        f"```python\ntotal = sum(rates)\nprint(total)\n```\n\n{WORDS}.",
        f"web/src/badge.tsx\n{BLOCK}>>>>>>> REPLACE\n```\n1. {WORDS}",
    ],
)
def test_it_is_named_by_the_words_around_it(text: str) -> None:
    one = only(event({"role": "assistant", "content": text}, "assistant"))
    assert one.title.rstrip(".") == WORDS
    assert "approve" in one.content or "total" in one.content


@pytest.mark.parametrize(
    "text",
    [BLOCK, "```\ntotal = sum(rates)\n```", f"{WORDS}.\n\n```\ntotal = sum(rates)\n```", "The rates are summed."],
)
def test_what_its_words_name_well_enough_is_left(text: str) -> None:
    assert proposals.title_of(text) == ""
