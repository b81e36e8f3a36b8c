"""Whether a file is new, by what was read and written before; and which of two of a name is meant."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from muster.domain.rules.called import files_named
from muster.domain.rules.known import Known
from tests.unit.rules.observing import made, tool

PLAN = "/app/PLAN.md"
CODE = "/app/src/cart.py"


def write(path: str, text: str) -> Event:
    return tool("Write", {"file_path": path, "content": text}, {"type": "create", "filePath": path, "content": text})


def read(path: str, text: str, **asked: object) -> Event:
    return tool("Read", {"file_path": path, **asked}, {"type": "text", "file": {"filePath": path, "content": text}})


@pytest.mark.parametrize(
    "first",
    [
        read(PLAN, "# Plan\nto begin"),
        write(PLAN, "# Plan\nto begin"),
        tool("Bash", {"command": "cat ./PLAN.md"}, {"stdout": "# Plan\nto begin", "stderr": ""}, cwd="/app"),
        tool("Bash", {"command": "cd /app && cat ./PLAN.md"}, {"stdout": "# Plan\nto begin", "stderr": ""}),
        tool("Edit", {"file_path": PLAN, "old_string": "a", "new_string": "b"}, {"success": True}),
    ],
)
def test_a_file_that_was_there_is_changed(first: Event) -> None:
    end = tool("Bash", {"command": "make"}, {"stdout": "built", "stderr": ""}, exit_code=0)
    titles = [one.title for one in made(first, end, write(PLAN, "# Plan\nto go on with it"), end)]
    assert "Change PLAN.md: `to go on with it`" in titles or "Change PLAN.md: `# Plan`" in titles
    assert titles.count("Add PLAN.md") == (first.payload["tool_name"] == "Write")


def test_a_file_that_was_not_is_added() -> None:
    looked = read("/app/README.md", "# Shop")
    gone = tool("Bash", {"command": "rm /app/PLAN.md"}, {"stdout": "gone", "stderr": ""}, cwd="/")
    assert [one.title for one in made(looked, write(PLAN, "to begin"))][-1] == "Add PLAN.md"
    assert [one.title for one in made(read(PLAN, "so"), gone, write(PLAN, "to begin"))][-1] == "Add PLAN.md"
    other = tool("Bash", {"command": "cat PLAN.md"}, {"stdout": "# Another", "stderr": ""})
    assert [one.title for one in made(other, write(PLAN, "to begin"))][-1] == "Add PLAN.md"
    assert [one.title for one in made(read("/lib/PLAN.md", "so"), write(PLAN, "to begin"))][-1] == "Add PLAN.md"


def test_what_it_defines_already_is_not_added() -> None:
    old, new = "def total():\n    return 1\n", "def total():\n    return 2\n\n\ndef tax():\n    return 3\n"
    assert made(read(CODE, old), write(CODE, new))[-1].title == "Add `tax` to cart.py"
    one = made(read(CODE, old, offset=10), write(CODE, new))[-1]
    assert (one.type, one.title) == ("change", "Change cart.py: `return 2`")
    edit = tool("Edit", {"file_path": CODE, "old_string": "return 1", "new_string": "return 2"}, {"success": True})
    assert made(read(CODE, old), edit, write(CODE, old.replace("1", "3")))[-1].type == "change"


def test_many_files_are_known_at_no_cost() -> None:
    known, began = Known(), time.monotonic()
    for number in range(3000):
        known.add(f"/app/{'deep/' * 15}{number}.py", "a")
        known.found(f"{number}.py")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["/app/tests/unit/test_cart.py"], "unit/test_cart.py"),
        (["/app/src/cart.py", "/app/tests/unit/test_cart.py", "/app/tests/integration/test_cart.py"],
         "cart.py, unit/test_cart.py and integration/test_cart.py"),
        (["/app/a/cart.py", "/app/b/cart.py"], "a/cart.py and b/cart.py"),
        (["/app/a/x/cart.py", "/app/b/x/cart.py"], "a/x/cart.py and b/x/cart.py"),
        (["web/cart/index.ts"], "cart/index.ts"),
        (["/app/shop/__init__.py"], "shop/__init__.py"),
        (["/app/src/main.py"], "main.py"),
        (["main.go"], "main.go"),
        (["/app/src/cart.py"], "cart.py"),
        (["a/x.py", "b/y.py", "c/z.py", "d/x.py"], "a/x.py, y.py and 2 more files"),
        ([], "a file"),
    ],
)  # fmt: skip
def test_a_file_is_told_from_others_of_its_name(files: list[str], told: str) -> None:
    assert files_named(files) == told


def test_a_title_tells_it_too() -> None:
    asked = {"file_path": "/app/tests/unit/test_cart.py", "old_string": "tax == 1", "new_string": "tax == 2"}
    edit = tool("Edit", asked, {"success": True})
    assert made(edit)[-1].title == "Change unit/test_cart.py: `tax == 2`"
