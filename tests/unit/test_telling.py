from __future__ import annotations

from typing import Any

import pytest

from muster.domain.context import group_of, tell, without_told

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


SUMMARY = """\
Asked:
- Mend the importer of rates
- Then measure it once more with the rates of all the countries that the shop sells to

Done:
- Add a reader for the rates of each country, with tests of its own for what is missing in them
- Change the pages of the shop so that they show from when a rate is valid, and until when it was

Learned:
- The rates were wrong because each of them was rounded before the sum was taken

Open:
- The rates of May are not loaded yet
- pytest fails: 2 failed, 2 passed
"""


def entry(title: str, narrative: str | None, group: str = "Facts", **more: Any) -> tuple[str, dict[str, Any]]:
    return group, {"id": ID, "type": "fact", "title": title, "narrative": narrative,
                   "occurred_at": "2026-11-22", **more}  # fmt: skip


def session(group: str, narrative: str = SUMMARY) -> tuple[str, dict[str, Any]]:
    return entry("Summary: Mend the importer", narrative, group, summary=True, facts=["Open: The rates of May"])


def test_a_summary_begins_with_what_is_open_and_all_of_it_has_its_share() -> None:
    (told,) = tell([session("Recent summaries")], 2000).markdown.splitlines()[3:]
    order = [told.index(f" {name}: ") for name in ("Open", "Learned", "Done", "Asked")]
    assert order == sorted(order)
    assert "pytest fails: 2 failed, 2 passed" in told
    long = SUMMARY.replace("- Mend the importer of rates\n", "- Mend the importer of rates\n" * 40)
    for budget in (300, 400, 600, 2000):
        (told,) = tell([session("Recent summaries", long)], budget).markdown.splitlines()[3:]
        assert "The rates of May are not loaded yet" in told
        assert "…" not in told
    (told,) = tell([session("Recent summaries", long)], 800).markdown.splitlines()[3:]
    assert "rounded before the sum was taken" in told


def test_what_another_session_left_open_is_told_shortly() -> None:
    (told,) = tell([session("Left open")], 2000).markdown.splitlines()[3:]
    assert "Open: The rates of May are not loaded yet; pytest fails: 2 failed, 2 passed." in told
    assert "Learned" not in told
    assert "Done" not in told


def test_a_summary_in_other_words_is_told_as_it_stands() -> None:
    (told,) = tell([session("Recent summaries", "They mended the importer.")], 2000).markdown.splitlines()[3:4]
    assert "They mended the importer." in told


def test_nothing_is_cut_down_to_what_says_nothing() -> None:
    long = entry(
        "The GitHub Actions of the shop run the tests of all the countries at night, and by day those of one", None
    )
    for budget in range(60, 140, 5):
        markdown = tell([long], budget).markdown
        assert markdown == "" or "run the tests of all the" in markdown
    beside = [entry("The rates are loaded at six", None, id="other"), long]
    for budget in range(100, 200, 5):
        assert ("GitHub" not in (told := tell(beside, budget).markdown)) or "countries at night" in told
    cut = entry("Run `submit flag{…", "Run `submit flag{a_b_c}` in the folder of the shop. " * 12)
    for budget in range(60, 400, 10):
        markdown = tell([cut], budget).markdown
        assert markdown == "" or "in the folder" in markdown


def test_what_people_prefer_is_a_group_of_its_own() -> None:
    assert group_of({"type": "preference"}) == "Preferences"
    told = tell([entry("Show me the rates first", "Always.", "Preferences")], 500).markdown
    assert "## Preferences" in told
    assert without_told(told).strip() == ""
