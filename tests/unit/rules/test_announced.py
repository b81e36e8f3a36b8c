"""A reason without what stands around it, and with what it announces."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from muster.domain.rules import outcomes, reasons
from muster.domain.rules.called import files_named
from muster.domain.rules.failing import failing
from tests.pace import Stopwatch
from tests.unit.rules.observing import made, only, tool

SESSION = """\
============================= test session starts ==============================
platform linux -- Python 3.13.5, pytest-8.3.5, pluggy-1.6.0 -- /mill/.venv/bin/python3
cachedir: .pytest_cache
rootdir: /mill
plugins: spec-4.0.0
collecting ... collected 5 items
"""
USAGE = "usage: __main__.py [options] [file_or_dir] [file_or_dir] [...]"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ('Parse error near line 9: near "END": syntax error\n  END < /dev/null\n  ^--- error here',
         'Parse error near line 9: near "END": syntax error'),
        ("Error: near \"FORM\": syntax error\n  SELECT a FORM b\n           ^^^^ here",
         'Error: near "FORM": syntax error'),
        (f"ERROR: {USAGE}\n__main__.py: error: unrecognized arguments: --grain\n  inifile: None\n  rootdir: /mill",
         "unrecognized arguments: --grain"),
        (f"{USAGE}\nmill.py: error: the following arguments are required: --grain",
         "mill.py: error: the following arguments are required: --grain"),
        ("============ no tests ran in 0.02s ============", "no tests ran in 0.02s"),
        ("------- cannot reach the store -------", "cannot reach the store"),
        ("(eval):1: no such file or directory: grain.sql", "no such file or directory: grain.sql"),
        ("bash: line 3: grain.sql: No such file or directory", "grain.sql: No such file or directory"),
        ("/bin/sh: 1: grind: not found", "grind: not found"),
        ("zsh:1: command not found: grind", "command not found: grind"),
        ("mill.sh: line 3: grain.sql: No such file", "mill.sh: line 3: grain.sql: No such file"),
        ("bash: ./grind: Permission denied", "bash: ./grind: Permission denied"),
        ("ERROR: found no collectors for\n/mill/specs/stone_spec.py::it_turns\n\n\n" + SESSION,
         "ERROR: found no collectors for /mill/specs/stone_spec.py::it_turns"),
        ("Could not find the following stones at the store:\n- lib: granite.v2\n- lib: flint.v1\nbye",
         "Could not find the following stones at the store: lib: granite.v2, lib: flint.v1"),
        ("Error: these fields are missing:\n  weight\n  grain", "Error: these fields are missing: weight, grain"),
        ("error: cannot find the following:\n\nnothing more", "error: cannot find the following:"),
    ],
)  # fmt: skip
def test_a_reason_says_what_is_wrong(said: str, what: str) -> None:
    assert outcomes.failure(said).what == what


@pytest.mark.parametrize("end", ["", "\n… +17 lines (ctrl+r to see all)", "\n\nstones.py  12  3  75%"])
@pytest.mark.parametrize("share", ["", " [ 20%]", "          [100%]"])
def test_a_test_that_is_listed_as_failed_is_the_reason(share: str, end: str) -> None:
    test = "specs/mill_spec.py::describe_a_mill::it_grinds_fresh_grain"
    listed = f"specs/mill_spec.py::describe_a_mill::it_turns PASSED{share}\n{test} FAILED{share}"
    found = outcomes.failure(f"{SESSION}\n{listed}{end}")
    assert (found.what, found.tests) == (f"{test} failed", [test])
    assert test in found.excerpt
    assert "it_turns" not in found.excerpt
    one = only(tool("Bash", {"command": "pytest specs -xvs"}, f"{SESSION}\n{listed}{end}", exit_code=1))
    assert one.title.startswith("pytest fails: specs/mill_spec.py::describe_a_mill::it_grinds_fresh_grain")
    assert f"Fails: {test}" in one.facts


def test_what_a_test_complains_of_goes_before_its_name() -> None:
    listed = "specs/mill_spec.py::it_turns FAILED [ 20%]\n\n>   assert turns == 3\nE   assert 2 == 3\n"
    found = outcomes.failure(
        f"{SESSION}\n{listed}FAILED specs/mill_spec.py::it_turns - assert 2 == 3\n=== 1 failed ==="
    )
    assert (found.what, found.tests) == ("assert 2 == 3", ["specs/mill_spec.py::it_turns"])


def test_what_is_about_to_be_run_is_no_reason() -> None:
    assert outcomes.failure(SESSION).what == ""
    one = only(tool("Bash", {"command": "pytest specs -xvs"}, SESSION, exit_code=2))
    assert one.title == "pytest fails: exit code 2"
    assert outcomes.failure(SESSION.replace("5 items", "0 items / 1 error")).what.endswith("0 items / 1 error")


def test_what_was_left_out_of_a_command_is_no_program() -> None:
    said = "(eval):1: no such file or directory: grain.sql"
    assert failing("cd /mill && sqlite3 a.db < grain.sql &&…", said, said) == "sqlite3"


def test_a_long_line_takes_no_time() -> None:
    began = Stopwatch(time.process_time)
    for text in ("=" * 200_000, "a b " * 60_000 + ":", "= " * 100_000 + "=", "x.py::" + " FAILED" * 40_000):
        reasons.whole(text, [text] * 6)
        reasons.test_in(text)
        reasons.says_nothing(text)
    assert began.fair < 1


TRIED = "\n".join(f"[*] Performing attack number {n} on the stone.\n[+] Time elapsed: 0.{n} sec." for n in range(60))


@pytest.mark.parametrize(
    "result",
    [
        "Decrypted data :\nHEX : 0x6d696c6c\nINT (big endian) : 1835625580\nutf-8 : mill",
        "[+] Found the key: 44-KILO",
        "The answer is 345",
        "flag = mill{grind}",
        "Recovered password: rye-and-oats",
        "Result => 17 sacks",
        "Solution: turn it twice",
    ],
)
@pytest.mark.parametrize(
    "end", ["EXECUTION TIMED OUT", "Traceback (most recent call last):\nValueError: no more stones"]
)
def test_what_was_found_before_it_failed_is_kept(result: str, end: str) -> None:
    one = only(tool("Bash", {"command": "./crack --all"}, f"{result}\n{TRIED}\n{end}", exit_code=1))
    assert one.type == "error"
    assert result in (one.narrative or "")
    assert (one.narrative or "").count("Time elapsed") < 12


@pytest.mark.parametrize(
    "line",
    ["The key was not found: mill", "found = grind(stone)", "No result: the stone is dry", "    password = input(",
     "Failed to find the answer: 4", "Decrypted data :", "E   flag = 3", "a flagship: the mill", "def found(stone):"],
)  # fmt: skip
def test_what_states_no_result_is_not_kept(line: str) -> None:
    said = f"{line}\n{TRIED}\nEXECUTION TIMED OUT"
    one = only(tool("Bash", {"command": "./crack --all"}, said, exit_code=1))
    assert line.strip() not in (one.narrative or "")


def test_results_are_few() -> None:
    found = reasons.results_in([f"Found key {n}: {'x' * 900}" for n in range(90)])
    assert len(found) == reasons.MAX_RESULTS
    assert max(map(len, found)) <= reasons.LINE_CHARS
    began = Stopwatch(time.process_time)
    reasons.results_in(["found " * 50, "a-" * 200, " " * 200 + "flag", "[" * 200] * 3000)
    assert began.fair < 2


def test_files_that_are_named_alike_are_named_once() -> None:
    alike = [f"/mill/{user}/Library/Data/Documents/Books/Books.plist" for user in ("ada", "bob", "eve")]
    assert files_named(alike) == "Data/Documents/Books/Books.plist (3 files)"
    assert files_named([*alike, "/mill/a.py"]) == "Data/Documents/Books/Books.plist (3 files) and a.py"
    assert files_named(["/mill/a/x.py", "/mill/b/x.py"]) == "a/x.py and b/x.py"


@pytest.mark.parametrize(
    ("unpacked", "said", "is_fix"),
    [("unzip disk_41.zip", "", True), ("tar xf all.tar", "disk_41.img", True), ("unzip other.zip", "a.txt", False)],
)
def test_what_was_missing_is_mended_by_what_it_was_unpacked_from(unpacked: str, said: str, is_fix: bool) -> None:
    def ran(command: str, printed: str) -> Event:
        return tool("bash", {"command": command}, printed)

    search = "strings disk_41.img | grep key"
    told = made(
        ran(search, "strings: 'disk_41.img': No such file"), ran(unpacked, said), ran(search, "the key is 44-KILO")
    )
    fixes = [one for one in told if one.type == "bugfix"]
    assert [unpacked in one.title and "the key is 44-KILO" in (one.narrative or "") for one in fixes] == [True] * is_fix
