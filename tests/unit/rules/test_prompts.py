"""What is asked for is the title of a request, also where rules stand around it or something is told before it."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import asking, prompts
from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only

RULES = """INSTRUCTIONS:
Now, you're going to solve this on your own. Your terminal session has started and you're in the root directory.
Remember, YOU CAN ONLY ENTER ONE COMMAND AT A TIME. You should always wait for feedback after every command.

IMPORTANT TIPS:
1. Always start by trying to reproduce the bug.
2. Please DO NOT run commands through the `-c` flag, you should create files instead.
3. Always make sure to look at the currently open file and the current working directory.
4. If you'd like to issue two commands at once, never do that.

(Open file: n/a)
(Current directory: /srv/app)
bash-$"""
ISSUE = f"""We're currently solving the following issue within our repository. Here's the issue text:
ISSUE:
KeyError: 'zone' when weighing parcels in the night
I weigh a parcel as follows:

```
weigh(parcel)
KeyError: 'zone'
```

{RULES}"""
SYSTEM = f"""SETTING: You are an autonomous programmer, and you work in the command line with a special interface.

{RULES}
Please instead first submit just the first command."""


@pytest.mark.parametrize("payload", [{"prompt": ISSUE}, {"role": "user", "content": ISSUE}])
def test_a_task_among_rules_is_one_request(payload: dict[str, str]) -> None:
    events = [event(payload, "prompt" if "prompt" in payload else "message")]
    task, rules = made(*events)
    assert (task.type, task.title, task.subtitle) == (
        "request",
        "KeyError: 'zone' when weighing parcels in the night",
        None,
    )
    assert "weigh(parcel)" in (task.narrative or "")
    assert "-c" not in (task.narrative or "")
    assert (rules.type, rules.importance) == ("fact", 0.2)
    assert "create files" in (rules.narrative or "")
    (told,) = summarise(None, events, [task, rules]).observations
    assert told.title.startswith("Summary: KeyError: 'zone' when weighing parcels in the night")


@pytest.mark.parametrize(
    ("task", "title"),
    [
        ("<issue>\nThe labels lose their zone after the second print.\n</issue>",
         "The labels lose their zone after the second print."),
        ("Your task is to write a parser for the scale's protocol in Python.",
         "write a parser for the scale's protocol in Python."),
        ("TASK: Show the zone of each parcel in the list.", "Show the zone of each parcel in the list."),
        ("# GOAL: Show the zone of each parcel in the list.", "Show the zone of each parcel in the list."),
        ('The challenge is a riddle named "Harbour", worth 10 points. The description is:\nA ship has no name.',
         'The challenge is a riddle named "Harbour", worth 10 points.'),
    ],
)  # fmt: skip
def test_the_task_is_found_where_it_is_set(task: str, title: str) -> None:
    for text in (
        f"You are an expert programmer.\n\n{task}\n\n{RULES}",
        f"You are a careful agent.\n\n{RULES}\n\n{task}",
    ):
        found = made(event({"prompt": text}, "prompt"))
        assert [one.type for one in found] == ["request", "fact"]
        assert found[0].title.casefold().startswith(title.casefold()[:40])


def test_the_last_that_is_asked_is_the_task_where_none_is_named() -> None:
    text = f"You are an expert programmer.\n\n{RULES}\n\nPlease add the zone to the label printer."
    task, rules = made(event({"prompt": text}, "prompt"))
    assert (task.type, task.title) == ("request", "Please add the zone to the label printer.")
    assert rules.importance == 0.2


@pytest.mark.parametrize("role", ["system", "developer"])
def test_rules_without_a_task_weigh_little(role: str) -> None:
    one = only(event({"role": role, "content": SYSTEM}))
    assert (one.type, one.importance) == ("fact", 0.2)


def test_what_is_done_for_a_task_says_so() -> None:
    done = event({"role": "assistant", "text": "The zone was missing in the table of rates."})
    found = made(event({"prompt": ISSUE}, "prompt"), done)
    assert found[-1].subtitle == "For: KeyError: 'zone' when weighing parcels in the night"


@pytest.mark.parametrize(
    "text",
    [
        "You are an expert in scales. Add the zone to the label printer. Always use grams.",
        "Always use grams, never ounces. " * 20,
        "I am the agent of a band.\n\n" + "We toured Spain and it was a long year with many trains. " * 20,
    ],
)
def test_what_people_write_is_read_as_before(text: str) -> None:
    assert prompts.prompt_in(text) is None
    assert 0.2 not in [one.importance for one in made(event({"prompt": text}, "prompt"))]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("I've installed tox with `uv tool install tox`. You can run the linting with `tox -e lint`. "
         "Please get all of the checks passing.", "Please get all of the checks passing."),
        ("I've installed tox. You can run the tests with `tox -e unit`. Let's get everything in there passing.",
         "Let's get everything in there passing: You can run the tests with `tox -e unit`."),
        ("We have three scales in the depot. Add a page that shows their state.",
         "Add a page that shows their state."),
        ("The label printer is in the hall. Move its queue to the new worker.", "Move its queue to the new worker."),
        ("The coupon is ignored. Can you find out why and fix it?", "The coupon is ignored."),
        ("The labels are cut off. Please fix that.", "The labels are cut off."),
        ("Optimise the import. Please keep the log small.", "Optimise the import."),
        ("Run the tests and see what is wrong. Fix it.", "Run the tests and see what is wrong."),
        ("When I click on print, nothing happens. Fix the printer.", "When I click on print, nothing happens."),
    ],
)  # fmt: skip
def test_a_request_is_titled_by_what_is_asked(text: str, title: str) -> None:
    for payload, kind in (({"prompt": text}, "prompt"), ({"role": "user", "content": text}, "message")):
        one = only(event(payload, kind))
        assert (one.type, one.title, one.narrative) == ("request", title, text)


def test_a_prompt_asks_for_what_is_done_together() -> None:
    one = only(event({"prompt": "Coverage of the tests is quite low. Can we get it to around 85%?"}, "prompt"))
    assert one.title == "Can we get it to around 85%: Coverage of the tests is quite low."


def test_hostile_prompts_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("You are an ", "INSTRUCTIONS:\n", "TASK: ", "ISSUE:\n", "<issue>", "<task></task>", "your task is to ",
                "description is: ", "(Open file: a)\n", "here's the issue: ", "add it. ", "a b is "):  # fmt: skip
        text = f"INSTRUCTIONS:\nRULES:\n{bit * (256_000 // len(bit))}"
        prompts.prompt_in(text)
        asking.wanted([text, f"add {text}"], text)
    assert began.fair < 5


PAGE = (
    "\n\nProject root: /srv/shop\n\nCRITICAL - limits:\n- get_tree: use depth=1\n\nDesign: Free templates\n\nContext: "
    "They are made for everybody.\n\nKey features:\n\nCustomization at its core:\n\nChange colors, fonts and images to "
    "make a page that is your own.\n\nCommunity support:\n\nShare, learn and improve with others. Every project is a "
    "chance for design and for the growth of what you do with it, be it small or large.\n"
) * 4


@pytest.mark.parametrize(
    ("opening", "wanted"),
    [
        ("You are an expert frontend software engineer.", "Write production grade React code for the given design."),
        ("You are a senior reviewer agent.", "Review the diff of the cart for faults."),
        ("Act as an experienced Python developer.\n\n", "Add a test for the rounding of refunds."),
    ],
)
def test_who_is_told_who_to_be_is_told_next_what_to_do(opening: str, wanted: str) -> None:
    found = made(event({"role": "user", "content": f"{opening} {wanted}{PAGE}"}, "message"))
    assert [(one.type, one.title) for one in found if one.type == "request"] == [("request", wanted)]
    assert all(one.importance == 0.2 for one in found if one.type != "request")


def test_a_rule_that_comes_next_is_no_task() -> None:
    text = f"You are an expert reviewer agent. Answer in JSON.{PAGE}"
    assert "Answer in JSON." not in {one.title for one in made(event({"role": "user", "content": text}, "message"))}


def test_a_short_beginning_of_rules_weighs_little() -> None:
    setting = "SETTING: You are an autonomous programmer, and you work in the command line with a special interface."
    for role in ("system", "user"):
        assert only(event({"role": role, "content": setting}, "message")).importance == 0.2
    assert (
        only(event({"role": "system", "content": "You are a careful coding assistant."}, "message")).importance == 0.2
    )
    told = "You are the expert here, so we use Postgres for the queue."
    assert only(event({"role": "user", "content": told}, "message")).importance > 0.2
