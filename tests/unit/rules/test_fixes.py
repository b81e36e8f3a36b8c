"""The title of a fix is what was wrong or what was changed."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import fixes
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Perfect! I've fixed both issues:\n\n1. **Label queue** - Removed the second worker ✅\n2. **Zone table** - "
         "Added the islands ✅\n\nAll tests pass.",
         "Fixed: Label queue - Removed the second worker; Zone table - Added the islands"),
        ("I've fixed the remaining two failures:\n\n- `rates.py:68` - Modified `wait()` to sleep\n"
         "- `zones.py` - Added a row",
         "Fixed: `rates.py:68` - Modified `wait()` to sleep; `zones.py` - Added a row"),
        ("I've fixed both issues:\n\n## Changes\n\n### 1. Queue of labels (ca67193)\n\n- Removed a line\n\n"
         "### 2. Table of zones (25cbbd0)\n\n- Added a row",
         "Fixed: Queue of labels; Table of zones"),
        ("Here's a summary of what was fixed:\n\n## Summary\n\n- The queue takes each label once\n"
         "- The table has islands",
         "Fixed: The queue takes each label once; The table has islands"),
        ("The missing comma has been added. Next, I will run this script to verify that the error is resolved.",
         "The missing comma has been added."),
        ("The syntax error has been corrected by adding the missing comma in line 4. To ensure that the fix is correct "
         "and that there are no other issues, we should run the file.",
         "The syntax error has been corrected by adding the missing comma in line 4."),
        ("The list of keys has been updated to leave out the zone.\n\nBefore submitting the changes, it's important to "
         "re-run `weigh.py` to ensure that the bug has been fixed.",
         "The list of keys has been updated to leave out the zone."),
        ("The output says that the parcel weighs 12 grams, as on the scale. This suggests that the bug has been fixed.",
         "The output says that the parcel weighs 12 grams, as on the scale."),
        ("I've fixed the label queue: it takes each label once.",
         "I've fixed the label queue: it takes each label once."),
        ("The root cause was the second worker. It is fixed now.", "The root cause was the second worker."),
    ],
)  # fmt: skip
def test_a_fix_is_titled_by_what_was_done(text: str, title: str) -> None:
    one = only(event({"role": "assistant", "text": text}))
    assert (one.type, one.title, one.narrative) == ("bugfix", title, text)


@pytest.mark.parametrize(
    "text",
    [
        "I'll run the worker to verify that the crash is fixed, because nobody has seen it since.",
        "The rates were added. Next, I will list the zones.",
        "The script has been updated with the example. Now, let's run it to see if we can reproduce the bug.",
        "The script has been removed. With the bug fixed and the cleanup done, we can now submit the changes.",
        "Now that we have fixed the issue, we should submit our changes.",
        "We should run the tests to make sure that the leak is fixed.",
    ],
)
def test_what_is_to_be_seen_is_no_fix(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type != "bugfix"


@pytest.mark.parametrize(
    "text",
    [
        "Here's what happened:\n\n1. Running ruff --fix fixed those lines\n2. After staging the fixed files, the label "
        "commit went in\n\nThe rates have no types yet.",
        "You're right - I only fixed the label printer but left the scales with the same rounding.",
        "The printer was corrected, but I missed the fixed-rate zones.",
        "Option 2: Add a hook that stages only fixed files",
        "The root cause is the second worker, and the solution should be a lock around the queue.",
        "A better fix would be a lock around the queue.",
        "- ⚠️ Label run broken (fixed when the printer is on)",
        "I've updated the page on printing to name the port since we've fixed the lookup of zones.",
        "Let me skip the hook since the labels were already fixed by the hooks: it is quicker.",
        "Fix once, fixed everywhere.",
        "const resolved = await Promise.resolve(labels);",
        "The header is `position: fixed; inset: 0;` on the label page.",
        "rules/label-fixed.md and rules/zone-resolved.md hold the rules of the depot.",
        "Skipping the notes risks repeating solved mistakes.",
        "The loader prints the resolved paths of all label files.",
    ],
)
def test_what_is_half_elsewhere_or_perhaps_is_no_fix(text: str) -> None:
    assert "bugfix" not in [one.type for one in made(event({"role": "assistant", "text": text}))]


@pytest.mark.parametrize(
    "text",
    ["Pre-commit fixed trailing whitespace. Let me add the changes and commit:", "Ruff fixed the imports.",
     "The hooks automatically fixed the label files. Let me stage them:", "Prettier has auto-fixed the formatting."],
)  # fmt: skip
def test_what_a_formatter_does_each_time_is_nothing(text: str) -> None:
    assert made(event({"role": "assistant", "text": text})) == []


@pytest.mark.parametrize(
    "text",
    [
        "I fixed the label printer; only the port was wrong.",
        "Fixed the import of zones that ruff complained of.",
        "The rounding is fixed in all files of the depot.",
        "We fixed the crash because nobody could print.",
        "The crash was fixed by the lock around the queue.",
        "Option 2 it was: I've fixed the queue with a lock.",
        "The conflict of the zones has been resolved.",
    ],
)
def test_what_is_mended_is_a_fix(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type == "bugfix"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("It ignores what it got. The worker `weigh` takes 3 parcels at once.",
         "The worker `weigh` takes 3 parcels at once."),
        ("Using it, we can now try the label. The key of the label is 125379498.",
         "The key of the label is 125379498."),
        ("In that case, 4 zones have no rate. The island rates in `rates.py` are in cents.",
         "The island rates in `rates.py` are in cents."),
        ("On the other hand, it is slow. The queue of labels holds 40 parcels.",
         "The queue of labels holds 40 parcels."),
        ("The worker has 3 queues. We need to change the order of them for the scale in hall 7.",
         "The worker has 3 queues."),
    ],
)  # fmt: skip
def test_a_title_names_what_it_is_about(text: str, title: str) -> None:
    one = only(event({"role": "assistant", "text": text}))
    assert (one.type, one.title) == ("fact", title)


def test_that_it_is_fixed_again_and_again_has_a_title() -> None:
    assert only(event({"role": "assistant", "text": "It should be fixed. " * 15})).title == "It should be fixed."


def test_hostile_fixes_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("I've fixed ", "here is ", "- a\n", "### 1. a\n", "has been ", "we ", "✅ ", "1. "):
        text = bit * (64_000 // len(bit))
        lines = [text, f"I've fixed it: {text[:200]}", "I've fixed both:"]
        fixes.named(f"I've fixed both:\n{text}", [lines[2]], lines, lines[2])
        fixes.hoped(lines)
    for bit in ("running ruff -a ", "only fixed ", "broken ", "since the fix ", "fixed but ", "fix it once ", "--x "):
        text = bit * (256_000 // len(bit))
        fixes.mends_nothing(text)
        fixes.tidies(text)
    assert began.fair < 3


ITEMS = "I've fixed both tests:\n\n1. test_north - took the zone of the parcel\n2. test_south - waits for the scale\n\n"


@pytest.mark.parametrize(
    "end",
    [
        "They should now pass.",
        "Hopefully that is all.",
        "Let me verify that:",
        "Let's run the tests again:",
        "Let me re-run the suite.",
        "I'll run the tests now.",
        "Now all of the tests should be green.",
    ],
)
def test_what_was_only_tried_is_a_change(end: str) -> None:
    one = only(event({"role": "assistant", "text": ITEMS + end}))
    assert (one.type, one.importance) == ("change", 0.5)
    assert one.title.startswith("Changed: test_north - took")


@pytest.mark.parametrize(
    "end", ["", "All 12 tests pass.", "I'll open the pull request.", "The scale should be cleaned."]
)
def test_what_was_seen_is_a_fix(end: str) -> None:
    one = only(event({"role": "assistant", "text": ITEMS + end}))
    assert one.type == "bugfix"
    assert one.title.startswith("Fixed: test_north - took")
