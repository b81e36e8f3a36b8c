"""Of plain output, what is stated is kept, and pages of code are no titles."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import printed
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made

STATED = "The mill has no sieve for rye, so its flour stays coarse."
PASSED = "collected 4 items\n\n===== 4 passed in 0.25s ====="
PAGE = "\n".join(f"{n}:    stones[{n}] = turn(stones[{n - 1}])" for n in range(40, 60))
TAKEN_APART = """\
  std::basic_string<char,std::char_traits<char>,std::allocator<char>>::~basic_string(local_78);
  pbVar2 = std::operator<<((basic_ostream *)std::cout,"I always prefer the slow wheel over the fast one.");
  if (iVar1 == 0) {
    FUN_004015dc(local_48,local_98);
    std::operator<<((basic_ostream *)std::cout,
                    "*We always prefer the wet stone in June and the dry one in March."
"*It was the best of all the mills that I have seen.");
"""


def out(text: str) -> list[NewObservation]:
    return made(event({"stream": "stdout", "text": text}, "agent.output", "muster"))


def test_what_is_stated_beside_a_run_that_passes_is_kept() -> None:
    for text in (f"{STATED}\n{PASSED}", f"{PASSED}\n\n  1. {STATED}\n"):
        report, told = out(text)
        assert report.title == "Output: 4 passed in 0.25s"
        assert STATED.rstrip(".") in told.title


def test_a_run_that_passes_states_nothing_by_itself() -> None:
    for more in (
        "platform linux -- Python 3.13.0, pytest-8.3.5, pluggy-1.5.0",
        "tests/test_mill.py::test_grinds_wheat_and_rye_and_spelt_with_one_stone PASSED [ 25%]",
        "-- Docs: https://docs.example.org/how-to/capture-warnings.html",
        "  ✓ It grinds wheat and rye with the same stone",
    ):
        assert [one.title for one in out(f"{more}\n{PASSED}")] == ["Output: 4 passed in 0.25s"]


def test_a_run_without_tests_is_told_beside_one_that_passes() -> None:
    (one,) = out(f"{PASSED}\ncollected 0 items\n\n==== no tests ran in 0.01s ====")
    assert one.title == "Output: 4 passed in 0.25s; another run had no tests"


@pytest.mark.parametrize("noise", [PAGE, PAGE.replace(":    ", "→\t")])
def test_pages_of_a_file_are_left_out(noise: str) -> None:
    assert out(noise) == []
    (one,) = out(f"{noise}\n{STATED}")
    assert one.narrative == STATED
    assert STATED.rstrip(".") in one.title


def test_what_was_there_to_install_is_left_out() -> None:
    had = "\n".join(f"Requirement already satisfied: stone{n}>=1 in /srv/lib" for n in range(3))
    (one,) = out(f"{had}\n{STATED}")
    assert "Requirement" not in f"{one.title}{one.narrative}"


@pytest.mark.parametrize(
    "code",
    [
        TAKEN_APART,
        "156 + assert stones == 3\n157 + assert sacks == 4\n",
        "  12 -     return stones[3]\n  12 +     return stones[2]\n",
        ".text:0040065e b800000000 MOV EAX,0x0\n",
        "1522:            except StoneError as error:\n",
        "(439 more lines below)\n",
        "[File: /mill/src/stones.py (1997 lines total)]\n(1469 more lines above)\n",
    ],
)
def test_code_is_no_title_where_there_is_another(code: str) -> None:
    (one,) = out(f"{code}\n{STATED}")
    assert STATED.rstrip(".") in one.title
    assert one.type == "discovery"
    assert code.strip().split("\n")[0].strip() in (one.narrative or "")
    assert all(one.type == "discovery" and one.importance == 0.2 for one in out(code))


@pytest.mark.parametrize(
    "text",
    [
        "1: rye\n2: wheat\n3: spelt and the rest of it",
        "  1 | rye   | 12\n  2 | wheat | 40\n  3 | spelt | 7 sacks were torn",
        "12: the sack is torn\n40: the stone is worn\n57: the wheel is wet",
        "The function `FUN_0040060d` turns the wheel, and `param_1` is the stone.",
        "The wheel turns 12 times - and then stops.",
    ],
)
def test_other_output_stays_as_it_is(text: str) -> None:
    assert printed.without_pages(text) == text
    assert not any(printed.is_code(line) for line in text.split("\n"))
    assert out(text)


@pytest.mark.parametrize(
    "bit", ["1:\n", "a" * 50 + ". ", "std::operator", " ", "12 + ", "Collecting it. ", "\n1: x\n2: y"]
)
def test_hostile_output_takes_no_longer_than_it_is(bit: str) -> None:
    text = bit * (256_000 // len(bit))
    began = Stopwatch(time.process_time)
    printed.without_pages(text)
    printed.stated(text)
    for line in text.split("\n"):
        printed.is_code(line)
    assert began.fair < 2


def test_what_an_installer_does_on_its_way_is_not_told() -> None:
    way = """Collecting giftly>=3
  Building editable for shop (pyproject.toml): started
  Building editable for shop (pyproject.toml): finished with status 'done'
  Preparing metadata (pyproject.toml): finished with status 'done'
Building wheels for collected packages: shop
  Created wheel for shop: filename=shop-1-py3-none-any.whl
  Stored in directory: /tmp/pip-ephem-wheel-cache"""
    assert printed.without_pages(way) == ""
    kept = "Successfully installed giftly-3.1 shop-1"
    assert printed.without_pages(f"{way}\n{kept}") == kept
    failed = "  Building wheel for shop (pyproject.toml): finished with status 'error'"
    assert printed.without_pages(f"{way}\n{failed}") == failed.strip("\n")
    said = "Collecting carts takes a day, and nobody knows why."
    assert printed.without_pages(said) == said
