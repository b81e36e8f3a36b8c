"""Signs that turn a statement round part it from its like; how it is written does not."""

from __future__ import annotations

import pytest

from muster.domain import marks
from tests.pace import Stopwatch


def told(text: str) -> str:
    return marks.of([text], [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A > B", "A < B"), ("latency >= budget", "latency <= budget"), ("count == limit", "count != limit"),
        ("100 < 200", "100 > 200"), ("a < b and c > d, e < f", "a < b and c > d, e > f"),
        ("It reads -40 at night", "It reads +40 at night"), ("The offset is -5", "The offset is 5"),
        ("price * rate", "price / rate"), ("price + rate", "price - rate"), ("x = y - 1", "x = y + 1"),
        ("x^2", "x*2"), ("(a + b) * c", "a + (b * c)"), ("a && b", "a || b"), ("flags & mask", "flags | mask"),
        ("`!ready` is set", "`ready` is set"), ("5% of it", "5 of it"), ("costs $5", "costs €5"),
        ("src/*", "src/**"), ("A -> B", "A <- B"),
        ("Is the replica stale?", "The replica is stale."),
        ("if a < b: swap(a, b)", "if a > b: swap(a, b)"),
    ],
)  # fmt: skip
def test_a_sign_decides(one: str, other: str) -> None:
    assert told(one) != told(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A -> B", "A → B"), ("a >= b", "a ≥ b"), ("a>b", "a > b"), ("A > b", "a > B"),
        ("**Bold** move is *good* here", "Bold move is good here"), ("- one\n- two", "* one\n* two"),
        ("> quoted text", "quoted text"), ("The pool - which is small - is full", "The pool, which is small, is full"),
        ("Hello! World", "Hello World"), ("see foo/bar", "see foo/bar."), ("## Title", "Title"),
        ("e.g. (this one)", "e.g. this one"), ("said twice: a < b. Again: a < b.", "said twice: a < b. Again."),
    ],
)  # fmt: skip
def test_how_it_is_written_does_not(one: str, other: str) -> None:
    assert told(one) == told(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("`open lantern`\nThe door stays shut!", "`open lantern`\nlantern"),
        ("`open lantern`\nThe door stays shut!", "`open 'lantern'`\nThe door swings wide."),
        ("`make seal` failed: wax is cold\nwax is cold", "`make seal` failed: wax is gone\nwax is gone"),
        ("`make seal` failed with exit code 2.\nwax is cold", "`make seal`\nwax is cold"),
        ("`echo `date` | tee log`\nwaxing moon", "`echo `date` | tee log`\nwaning moon"),
        ("`查询`\n库存充足", "`查询`\n库存空虚"),
    ],
)
def test_what_a_command_showed_decides(one: str, other: str) -> None:
    assert told(one) != told(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("`open lantern`\nThe door stays shut!", "`open 'lantern'`\nthe door stays shut"),
        ("The door of the vault stays shut all night", "The door of the vault stays shut again all night"),
        ("`lantern` opens the door of the vault", "`lantern` opens again the door of the vault"),
        ("`lantern` says:\nthe door is shut", "`lantern` says:\nthe door is shut again"),
    ],
)
def test_nothing_else_is_taken_by_all_of_its_words(one: str, other: str) -> None:
    assert told(one) == told(other)


@pytest.mark.parametrize("part", ["`a", "`a`\n", "(((", "a < ", "(a + b) ", "-1 ", "/*", "(a<", "! "])
def test_any_text_is_read_in_time(part: str) -> None:
    watch = Stopwatch()
    told(part * (100_000 // len(part)))
    assert watch.fair < 2
