"""What is not accepted, in words, and what is accepted then: the difference is the fix."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from muster.domain.rules.rejections import is_rejected
from tests.unit.rules.observing import made, only, tool


def ran(command: str, said: str = "", code: int | None = None) -> Event:
    more = {} if code is None else {"exit_code": code}
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": ""}, **more)


@pytest.mark.parametrize(
    "said",
    ["Wrong flag!", "Incorrect.", "Sorry, that is wrong", "Invalid code", "The token was rejected", "Access denied",
     "✗ Not accepted", "That's not the right answer. Try again", "Error: invalid license key", "Denied", "Nope!"],
)  # fmt: skip
def test_what_is_rejected_and_then_accepted(said: str) -> None:
    for code in (None, 0, 1):
        found = made(ran("submit key{a b}", said, code), ran("submit key{a c}", said, code),
                     ran("submit 'key{a d}'", "key{a d}"))  # fmt: skip
        (one,) = found
        assert (one.type, len(one.sources)) == ("bugfix", 3)
        assert one.title.endswith("with `submit 'key{a d}'`")


def test_what_was_missing_may_be_quotes() -> None:
    (one,) = made(ran("submit key{a b}", "Wrong flag!"), ran("submit 'key{a b}'", "key{a b}"))
    assert one.title == "Fix Wrong flag! with `submit 'key{a b}'` (other quotes)"


def test_what_is_rejected_is_an_error() -> None:
    one = only(ran("./unlock 4711", "Wrong!", 1))
    assert (one.type, one.title) == ("error", "unlock fails: Wrong!")
    one = only(ran("./unlock 4711", "Wrong!"))
    assert (one.type, one.title, one.facts) == ("error", "Run `./unlock 4711`", ["Wrong!"])
    one = only(ran("./unlock 4711", "Wrong!"), ran("./unlock 4712", "Wrong!"))
    assert (one.type, one.title) == ("error", "unlock fails: Wrong!")
    # Nobody says that it was right.
    found = made(ran("submit 4711", "Wrong!"), ran("submit 4712"))
    assert [one.type for one in found] == ["error", "discovery"]
    assert found[1].title == "Run `submit 4712`"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("cat notes.txt", "Wrong flag!"),
        ("python check.py", "Invalid"),
        ("grep -c x a.txt", "Wrong"),
        ("curl -s https://shop.example/a", "Access denied"),
        ("mill status", "Wrong way round: 3 stones\nRight way: 4"),
        ("mill grind rye", "Invalid grains were taken out: 4"),
        ("mill grind rye", "No wrong stones"),
        ("mill", "Wrong!"),
        ("mill grind rye", ""),
    ],
)
def test_what_is_no_rejection(command: str, said: str) -> None:
    assert not is_rejected(command, said)


@pytest.mark.parametrize("command", ["submit 'key{a}'", "./upload results.json", "publish draft-3"])
def test_what_is_handed_in_is_kept_though_nothing_is_said(command: str) -> None:
    one = only(ran(command))
    assert (one.type, one.title) == ("discovery", f"Run `{command}`")
    assert made(ran("grind rye")) == []
