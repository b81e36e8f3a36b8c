"""What a run printed that was wanted is kept, and what its own agent does not believe did not pass."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import event, made, tool

TRACE = 'Traceback (most recent call last):\n  File "/srv/open.py", line 6, in <module>\nValueError: bad key length'


def ran(command: str, said: str) -> Event:
    return tool("bash", {"command": command}, said)


def edit() -> Event:
    return tool("Edit", {"file_path": "/srv/open.py", "old_string": "key = 3", "new_string": "key = 16"})


def said(text: str, role: str = "assistant") -> Event:
    return event({"role": role, "content": text})


def test_what_a_script_prints_in_the_end_is_kept() -> None:
    for between in ((edit(),), (), (ran("edit 6:6\nkey = 16\nend", "File updated."),)):
        found = made(ran("python open.py", TRACE), *between, ran("python open.py", "The safe of 3rd floor: 88-TANGO."))
        one = next(one for one in found if "ValueError" in one.title)
        assert "It printed:\nThe safe of 3rd floor: 88-TANGO." in (one.narrative or "")
        long = made(ran("python open.py", TRACE), *between, ran("python open.py", "word and word\nother\n" * 9000))
        assert all(len(one.narrative or "") < 4001 for one in long)


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("pytest -q", "12 passed in 0.30s"),
        ("make check", "compiling a.c\ncompiling b.c"),
        ("pip install stripe", "Successfully installed stripe-3"),
        ("python open.py", "Your command ran successfully and did not produce any output."),
        ("git commit -qm 'a: b'", "[main abc1234] a: b"),
    ],
)
def test_what_only_says_that_it_is_done_is_not(command: str, output: str) -> None:
    for one in made(ran(command, TRACE), edit(), ran(command, output)):
        assert "It printed" not in one.content


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("The decryption failed; the text is gibberish. I will try the other key.", "assistant"),
        ("That didn't work. Let me look at the key again.", "assistant"),
        ("It seems that the output is still wrong.", "assistant"),
        ("The output is not readable, so the key must be another.", "assistant"),
        ("Unfortunately the result does not look right.", "assistant"),
        ("No luck with this one either.", "assistant"),
        ("Still not what I want", "user"),
    ],
)
def test_what_its_agent_does_not_believe_did_not_pass(text: str, role: str) -> None:
    for between in ((), (edit(),)):
        events = (ran("python open.py", TRACE), *between, ran("python open.py", "x8!kk2 q"), said(text, role))
        found = made(*events)
        assert not any(one.title.startswith("Fix ValueError") for one in found)
        assert not any("it passed" in one.content for one in found)
        (summary,) = summarise(None, events, found).observations
        assert "run again, it passed" not in (summary.narrative or "")


@pytest.mark.parametrize(
    "text",
    [
        "The first attempt failed because the key was too short, and it works now.",
        "The decryption that failed now works: the safe is open.",
        "It was successful. Next is the other file.",
        "The safe is open, so I will write it down.",
    ],
)
def test_what_its_agent_believes_passed(text: str) -> None:
    found = made(ran("python open.py", TRACE), edit(), ran("python open.py", "opened: 88-TANGO"), said(text))
    assert any(one.title.startswith("Fix ValueError") for one in found)


def test_tests_say_themselves_whether_they_pass() -> None:
    events = (ran("pytest -q", "FAILED tests/test_a.py::test_b - KeyError: 3\n1 failed"), edit(),
              ran("pytest -q", "4 passed in 0.2s"), said("The page does not look right."))  # fmt: skip
    assert any(one.title.startswith("Fix KeyError") for one in made(*events))
    late = (ran("python open.py", TRACE), edit(), ran("python open.py", "opened: 88-TANGO"),
            ran("ls", "a"), said("The other file did not work."))  # fmt: skip
    assert any(one.title.startswith("Fix ValueError") for one in made(*late))


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("echo 'Z28gbm9ydGg=' | base64 -d", "go north"),
        ("echo 'Z28gbm9ydGg' | base64 -d", "go northbase64: invalid input"),
        ("cd /srv && file release", "release: ELF 64-bit LSB executable, x86-64, not stripped"),
        ("wc -l rows.csv", "1042 rows.csv"),
        ("echo '3 + 4' | bc", "7"),
        ("echo 676f | xxd -r -p", "go"),
        ("echo uryyb | tr a-z n-za-m", "hello"),
        ("jq .version package.json", '"4.2.0"'),
        ("du -sh /srv/data", "31G\t/srv/data"),
        ("python main.py", "The answer is 42"),
        ("python main.py", "7"),
        ("submit 'flag{go north}'", "accepted"),
        ("sha256sum image.iso", "9f86d081884c7d65 image.iso"),
    ],
)
def test_a_short_answer_is_kept(command: str, output: str) -> None:
    (one,) = made(ran(command, output))
    assert one.type == "discovery"
    assert command.removeprefix("cd /srv && ") in one.content
    assert output.split("\t", 1)[0] in (one.narrative or "")
    assert one.importance == 0.3


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("ls -la", "a.txt\nb.txt"),
        ("echo ready", "ready"),
        ("pwd", "/srv"),
        ("whoami", "ann"),
        ("which python3", "/usr/bin/python3"),
        ("git status --short", " M a.py"),
        ("mkdir -p out", ""),
        ("ls | wc -l; ls", "3\na\nb"),
        ("echo done | tee out.log", "done"),
        ("date", "Fri Nov 20 12:00:00 UTC 2026"),
        ("file *.txt", "\n".join(f"{n}.txt: ASCII text" for n in range(8))),
        ("echo '*' | base64 -d", "base64: invalid input"),
        ("file none", "none: cannot open `none' (No such file or directory)"),
        ("python main.py", "Your command ran successfully and did not produce any output."),
        ("python main.py", "(no output)"),
    ],
)
def test_what_answers_nothing_is_not(command: str, output: str) -> None:
    assert not any(one.type == "discovery" and one.title.startswith("Run `") for one in made(ran(command, output)))
