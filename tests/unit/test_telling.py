from __future__ import annotations

from typing import Any

import pytest

from muster.domain.context import tell

ID = "01a204e3-c9ab-7c7e-972a-97d453439730"


def line(title: str, narrative: str | None, **more: Any) -> str:
    item = {"id": ID, "type": "fact", "title": title, "narrative": narrative, "occurred_at": "2026-11-22", **more}
    return tell([("Facts", item)], 1000).markdown.splitlines()[3]


@pytest.mark.parametrize(
    ("title", "narrative", "told"),
    [
        ("Upgrade to node 22.", "Upgrade to node 22. The mirror has no 20 any more.", "The mirror has no 20 any more."),
        ("Upgrade to node 22", "upgrade to node 22: the mirror has no 20", "the mirror has no 20"),
        ("Upgrade to node 22", "Upgrade to node 22.1 was tried first", "Upgrade to node 22.1 was tried first"),
        ("Upgrade to node 2", "Upgrade to node 22 was tried first", "Upgrade to node 22 was tried first"),
        ("The pool is small…", "The pool is small for ten workers", "for ten workers"),
        ("The pool is small", "It has four connections", "It has four connections"),
    ],
)
def test_nothing_is_told_twice(title: str, narrative: str, told: str) -> None:
    assert line(title, narrative) == f"- **{title}** {told} (2026-11-22) `{ID}`"


@pytest.mark.parametrize("narrative", [None, "", "Upgrade to node 22.", "Upgrade to node 22"])
def test_who_says_nothing_else_says_what_it_was_for(narrative: str | None) -> None:
    assert line("Upgrade to node 22.", narrative) == f"- **Upgrade to node 22.** (2026-11-22) `{ID}`"
    told = line("Upgrade to node 22.", narrative, subtitle="For: deploy")
    assert told == f"- **Upgrade to node 22.** For: deploy (2026-11-22) `{ID}`"
