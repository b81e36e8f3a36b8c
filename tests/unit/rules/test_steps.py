"""What agents print of their steps under labels is read as what they did and said."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules.reading import Act, Kind, read_all
from tests.pace import Stopwatch
from tests.unit.rules.observing import event


def acts(*texts: str) -> list[Act]:
    events = [event({"stream": "stdout", "text": text}, "agent.output", "muster") for text in texts]
    return [act for act in read_all(events) if act.kind is not Kind.NOTHING]


STEP = "THOUGHT\nThe third stone is worn.\n\nACTION\nmake flour\n\nOBSERVATION\n12 sacks\n1 torn\n"


def test_a_step_is_what_was_said_and_done() -> None:
    said, ran = acts(STEP)
    assert (said.kind, said.text) == (Kind.MESSAGE, "The third stone is worn.")
    assert (ran.kind, ran.command, ran.text) == (Kind.COMMAND, "make flour", "12 sacks\n1 torn")


def test_the_same_of_others() -> None:
    text = "Thought: The stone is worn.\nAction: bash\nAction Input: make flour\nObservation: 12 sacks\n"
    said, ran, last = acts(f"{text}Final Answer: Twelve sacks were filled.\n")
    assert (said.text, ran.command, ran.text) == ("The stone is worn.", "make flour", "12 sacks")
    assert last.text == "Twelve sacks were filled."


def test_a_step_may_come_in_pieces() -> None:
    found = acts(STEP, "     and one in the loft\n\nACTION\nmake bread", "OBSERVATION\n3 loaves")
    assert [act.kind for act in found] == [Kind.MESSAGE, Kind.COMMAND, Kind.OUTPUT, Kind.COMMAND]
    assert (found[-1].command, found[-1].text) == ("make bread", "3 loaves")


def test_what_was_applied_is_an_edit() -> None:
    edit = "mill.py\n<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n"
    text = (
        f"#### mend the stones\n\nThe stone counts from one.\n\n{edit}\n> Tokens: 1k sent\n> Applied edit to mill.py\n"
    )
    asked, said, done = acts(text)
    assert (asked.kind, asked.text) == (Kind.PROMPT, "mend the stones")
    assert said.text.startswith("The stone counts from one.")
    assert "a = 2" not in said.text
    assert (done.kind, done.files_modified) == (Kind.EDIT, ["mill.py"])
    assert acts("Applied edit to mill.py\nCommit 1a2b3c4 fix: mend")[-1].files_modified == ["mill.py"]


@pytest.mark.parametrize(
    "text",
    [
        "ACTION\nThe mill is closed.", "OBSERVATION\nThe wheel is wet.", "Action: close the mill\nObservation: none",
        "Observation: the wheel was wet at noon.", "#### A heading\n\n> and what somebody said",
        "The patch was Applied edit to edit.",
    ],
)  # fmt: skip
def test_other_labels_are_none(text: str) -> None:
    assert [act.kind for act in acts(text)] == [Kind.OUTPUT]


@pytest.mark.parametrize("bit", ["ACTION\n", "OBSERVATION\n", "Action: a\n\n", "Applied edit to a\n", "#### b\n", " "])
def test_hostile_steps_take_no_longer_than_they_are(bit: str) -> None:
    began = Stopwatch(time.process_time)
    acts(STEP + bit * (256_000 // len(bit)))
    acts("Applied edit to a\n" + bit * (256_000 // len(bit)))
    assert began.fair < 3
