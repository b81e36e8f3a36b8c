"""What a title says of a command: what was run in the end, and where; and of a commit, what it mends."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import commands
from muster.domain.rules.called import fix_told, where
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only, tool
from tests.unit.rules.test_unfinished import opened

FAILS = "E   assert 3 == 4\nFAILED tests/test_a.py::test_a - assert 3 == 4\n1 failed in 0.1s"


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("uv run --with httpx pytest -q", "pytest"),
        ("uv run --with=httpx --python 3.12 -- pytest -q", "pytest"),
        ("uv run -p 3.12 python -m pytest", "pytest"),
        ("uv --directory api run pytest", "pytest"),
        ("uv run -m pytest", "pytest"),
        ("uv pip install ruff", "pip"),
        ("npx -y -p typescript tsc --noEmit", "tsc"),
        ("npx --yes --package=typescript tsc", "tsc"),
        ("uvx --from ruff==0.6 ruff check .", "ruff"),
        ("uvx ruff check", "ruff"),
        ("poetry -C api run pytest", "pytest"),
        ("poetry run pytest", "pytest"),
        ("pdm -p api run pytest", "pytest"),
        ("pipx run --spec black black .", "black"),
        ("hatch -e dev run pytest", "pytest"),
        ("poetry install", "poetry"),
        ("uv sync", "uv"),
        ("env -u HOME pytest", "pytest"),
        ("pnpm exec vitest", "vitest"),
    ],
)
def test_a_program_is_known_whatever_runs_it(command: str, program: str) -> None:
    assert commands.program(command) == program


def test_another_place_is_another_run() -> None:
    assert not commands.covers("poetry -C web run pytest", "poetry -C api run pytest")
    assert commands.covers("poetry -C api run pytest", "poetry -C api run pytest")
    assert commands.is_check("uv run --with httpx pytest -q")


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("ssh web1 'cd /app && python manage.py test'", "on web1: python manage.py test"),
        ("ssh -p 22 deploy@web1 pytest -q", "on deploy@web1: pytest"),
        ("docker exec -it api pytest -q", "on api: pytest"),
        ("docker compose exec -T api pytest -q", "on api: pytest"),
        ("kubectl -n shop exec cart -- ./migrate up", "on cart: ./migrate up"),
        ("ssh web1 docker exec api pytest -q", "on web1: api: pytest"),
        ("ssh web1 make -C api test", "on web1: make test in api"),
        ("make -C a test", "in a"),
        ("make -Ca test", "in a"),
        ("make --directory=a test", "in a"),
        ("npm --prefix web test", "in web"),
        ("npm test --prefix web", "in web"),
        ("npm test -- --prefix web", ""),
        ("pnpm --filter web test", "in web"),
        ("yarn --cwd web test", "in web"),
        ("go -C api test ./...", "in api"),
        ("cargo test -p parser", "in parser"),
        ("make test", ""),
        ("bash -c 'make test'", ""),
        ("ssh web1", ""),
    ],
)
def test_where_a_command_ran(command: str, place: str) -> None:
    assert where(command) == place


def test_a_title_says_where_it_failed() -> None:
    for command, place in (("ssh web1 pytest -q", "(on web1: pytest)"), ("docker exec api pytest", "(on api: pytest)")):
        failed = tool("Bash", {"command": command}, {"stdout": FAILS}, exit_code=1)
        assert only(failed).title.endswith(place)
        assert place in opened(failed)
    for run in ("make -C {} test", "npm --prefix {} test"):
        one = tool("Bash", {"command": run.format("api")}, {"stdout": FAILS}, exit_code=1)
        other = tool("Bash", {"command": run.format("web")}, {"stdout": "3 passed in 0.1s"}, exit_code=0)
        titles = [each.title for each in made(one, other)]
        assert any(" fails: " in title and title.endswith("(in api)") for title in titles)
        assert any(" passes: " in title and title.endswith("(in web)") for title in titles)
    long = tool(
        "Bash", {"command": "ssh web1 pytest -q"}, {"stdout": FAILS.replace("3 == 4", "3 == " + "4" * 300)}, exit_code=1
    )
    assert only(long).title.endswith("(on web1: pytest)")


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("fix: crash on empty cart", "Fix crash on empty cart"),
        ("Fix: error in failing login", "Fix error in failing login"),
        ("fix(cart): wrong total for gift cards", "Fix wrong total for gift cards"),
        ("fix!: typo in the header", "Fix typo in the header"),
        ("fix: the login loop", "Fix the login loop"),
        ("fix: import of orders without a date", "Fix import of orders without a date"),
        ("fix: load timeout on slow disks", "Fix load timeout on slow disks"),
        ("fix: handle empty carts", "Handle empty carts"),
        ("fix: avoid crash on empty cart", "Avoid crash on empty cart"),
        ("fix: don't pay twice", "Don't pay twice"),
        ("fix: fix crash on empty cart", "Fix crash on empty cart"),
        ("fix: prevent the login loop", "Prevent the login loop"),
        ("Fix crash on empty cart", "Fix crash on empty cart"),
        ("feat: crash reports", "Crash reports"),
    ],
)
def test_a_commit_that_fixes_does_not_say_the_reverse(message: str, title: str) -> None:
    said = tool("Bash", {"command": f'git commit -m "{message}"'}, {"stdout": f"[main abc1234] {message}"}, exit_code=0)
    assert only(said).title == title


def test_hostile_commands_are_told_in_no_time() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("ssh a ", "docker exec a ", "-C a ", "uv run ", "--with a ", "npx -p a ", "poetry -C a run ", "fix "):
        text = bit * (50_000 // len(bit))
        where(text)
        where(f"make {text}")
        commands.program(text)
        fix_told(text)
    made(event({"text": "fixed"}))
    assert began.fair < 5


@pytest.mark.parametrize(
    ("name", "asked", "said", "title"),
    [
        ("WebFetch", {"url": "https://shop.example/guide", "prompt": "What is it?"},
         "Request failed with status code 404",
         "WebFetch fails: Request failed with status code 404 (https://shop.example/guide)"),
        ("WebSearch", {"query": "prices of tea"}, "timed out", "WebSearch fails: timed out (prices of tea)"),
        ("mcp__forge__get_issue", {"owner": "me", "repo": "shop", "number": 7}, "Not Found",
         "mcp__forge__get_issue fails: Not Found (owner: me, repo: shop, number: 7)"),
        ("Task", {"description": "Look for the leak", "prompt": "Find where it leaks"}, "no agent is free",
         "Task fails: no agent is free (Look for the leak)"),
        ("WebFetch", {"url": "https://shop.example/a"}, "https://shop.example/a is not to be read",
         "WebFetch fails: https://shop.example/a is not to be read"),
        ("ping", {}, "no route", "ping fails: no route"),
        ("render", {"text": "long " * 100}, "no paper", "render fails: no paper"),
    ],
)  # fmt: skip
def test_a_tool_that_fails_is_told_with_what_it_was_given(name: str, asked: object, said: str, title: str) -> None:
    one = only(event({"tool_name": name, "tool_input": asked, "error": said, "is_error": True}, "PostToolUseFailure"))
    assert (one.type, one.title) == ("error", title)
