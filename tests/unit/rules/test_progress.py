"""Progress that an agent prints leaves little behind, and what it finds stays."""

from __future__ import annotations

import pytest

from muster.domain.rules.progress import without_progress
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made


def counted(pattern: str, many: int, by: int = 1) -> str:
    return "\n".join(pattern.format(n=n * by) for n in range(1, many + 1))


@pytest.mark.parametrize(
    "pattern", ["walking {n}", "Noise line number {n}", "tick {n} at marmoset", "Processed {n} of 80000"]
)
def test_lines_that_only_count_are_nothing(pattern: str) -> None:
    for by in (1, 100):
        assert without_progress(counted(pattern, 200, by)) == ""
        few = counted(pattern, 6, by).split("\n")
        assert without_progress("\n".join(few)) == f"{few[0]}\n{few[-1]}"
        assert without_progress("\n".join(few[:4])) == "\n".join(few[:4])


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("epoch {n} loss {value}", ["0.9", "0.71", "0.62", "0.6", "0.55", "0.41"] * 8),
        ("order {n}: {value} euros", ["12", "99", "3", "17", "45", "8"] * 8),
        ("| {n} | {value} ms |", ["12.1", "99.3", "3.4", "17", "45", "8"] * 8),
    ],
)
def test_results_keep_their_first_and_last(line: str, values: list[str]) -> None:
    lines = [line.format(n=n, value=value) for n, value in enumerate(values, 1)]
    assert without_progress("\n".join(lines)) == f"{lines[0]}\n{lines[-1]}"
    assert without_progress("\n".join(lines[:20])) == "\n".join(lines[:20]), "so many are read"


def test_what_went_wrong_many_times_is_told() -> None:
    text = counted("shard-{n} failed", 20)
    assert without_progress(text) == text
    assert without_progress(counted("shard-{n} failed", 40)) == "shard-1 failed\nshard-40 failed"


@pytest.mark.parametrize(
    "text",
    [
        "amber 12\ncobalt 30\nochre 7\nteal 9\number 14\nviolet 3",
        "The pool holds 20 connections.\nIt held 5.\nEach takes 3 MB.\nThere are 4 workers.\nPort 8080 is open.",
        "no number here\n" * 20,
        "",
    ],
)
def test_other_lines_stay(text: str) -> None:
    assert without_progress(text) == text


def test_what_stands_between_stays_in_its_place() -> None:
    text = f"Began\n{counted('step {n}', 20)}\nThe cache is cold\n{counted('pass {n}', 5)}\nDone: all is written"
    assert without_progress(text) == "Began\nThe cache is cold\npass 1\npass 5\nDone: all is written"


def test_two_that_take_turns_are_progress() -> None:
    text = "\n".join(f"tick {n}\ntock {n}" for n in range(40))
    assert without_progress(f"{text}\nThe clock is 3 s late") == "The clock is 3 s late"


def test_a_flood_leaves_what_it_says() -> None:
    def printed(text: str) -> list[tuple[str, str]]:
        found = [event({"stream": "stdout", "text": text}, "agent.output", "muster")]
        return [(one.title, one.narrative or "") for one in made(*found)]

    flood = counted("Noise line number {n}", 180)
    assert printed(flood) == []
    ((title, narrative),) = printed(f"{flood}\nThe index of orders was missing, so the import was slow")
    assert title.startswith("The index of orders")
    assert "Noise" not in narrative
    epochs = "\n".join(f"epoch {n} loss {3 / n:.3f}" for n in range(1, 100))
    ((_, narrative),) = printed(epochs)
    assert narrative == "epoch 1 loss 3.000\nepoch 99 loss 0.030"


def test_much_takes_its_time_only_once() -> None:
    for text in (counted("a {n}", 80_000), "1" * 400_000, "1,1." * 100_000, "1 " * 200_000, "9\n" * 200_000):
        watch = Stopwatch()
        without_progress(text)
        assert not watch.passed(3)
