"""A title says what was run, and not how one got there."""

from __future__ import annotations

import pytest

from muster.domain.rules.called import asked_told, run_told
from tests.unit.rules.observing import made, only, tool


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("cd /srv/shop && git push", "git push"),
        ("cd /srv/shop && source .venv/bin/activate && python mill.py", "python mill.py"),
        ('cd "/srv/my shop"; git push', "git push"),
        ("cd api && npm start", "npm start # in api"),
        ("sleep 30 && gh run list", "gh run list"),
        ("set -euo pipefail\n./deploy.sh", "./deploy.sh"),
        (". venv/bin/activate; ./mill", "./mill"),
        ("cd ~/shop\ngit push", "git push"),
        ("cd /srv/shop", "cd /srv/shop"),
        ("source .venv/bin/activate", "source .venv/bin/activate"),
        ("source deploy.env && ./deploy.sh", "source deploy.env && ./deploy.sh"),
        ("cd a || exit 1", "cd a || exit 1"),
        ("git push && cd /srv", "git push && cd /srv"),
    ],
)
def test_what_comes_before_is_left_out(command: str, told: str) -> None:
    assert run_told(command) == told


def test_it_is_told_in_a_title() -> None:
    one = only(tool("Bash", {"command": "cd /srv/shop && git push origin main"}, "main -> main"))
    assert one.title == "Run `git push origin main`"
    assert "cd /srv/shop" in (one.narrative or "")


def test_a_tool_is_told_by_what_may_be_told() -> None:
    asked = {"file_key": "[removed:secret]"}
    answer = "status: success\nname: Mill drawings\nversion: 3"
    assert only(tool("get_drawing", asked, answer)).title == "get_drawing: name: Mill drawings"
    assert asked_told("get_drawing", "file_key: [removed:secret]\nnode: 3:4", answer) == "get_drawing: node: 3:4"
    assert asked_told("get_drawing", "", "") == "get_drawing was used"
    assert asked_told("get_drawing", "name: mill", answer) == "get_drawing: name: mill"


def test_a_failure_that_says_nothing_is_no_fact() -> None:
    edit = tool("Edit", {"file_path": "shop/cart.py", "old_string": "x = 1", "new_string": "x = 2"}, "ok")
    (one,) = made(tool("Bash", {"command": "pytest -q"}, "", exit_code=1), edit,
                  tool("Bash", {"command": "pytest -q"}, "4 passed in 0.2s"))  # fmt: skip
    assert one.type == "bugfix"
    assert not any(fact.rstrip().endswith("with") for fact in one.facts)
    assert "failed, and does not say why." in one.content


def test_long_commands_are_read_in_time() -> None:
    for text in ("cd a && " * 40_000, "cd " + "a" * 250_000, "sleep 1;" * 40_000, " " * 250_000):
        run_told(text)
        asked_told("mill", text, text)
