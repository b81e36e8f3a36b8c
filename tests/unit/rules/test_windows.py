"""An editor that shows a file through a window: which file was changed, and which edit was none."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from tests.unit.rules.observing import made, only, tool

STATE = "\n(Open file: /app/shop/cart.py)\n(Current directory: /app)\nbash-$"
SHOWN = """[File: /app/shop/cart.py (90 lines total)]
(39 more lines above)
40:    def total(self):
41:        return int(self.sum)
42:
(48 more lines below)"""
UPDATED = SHOWN.replace("int(self.sum)", "round(self.sum)") + "\nFile updated. Please review the changes."
REFUSED = f"""Your proposed edit has introduced new syntax error(s). Please read this and retry.

ERRORS:
- E999 IndentationError: unexpected indent

This is how your edit would have looked if applied
{SHOWN}
Your changes have NOT been applied. Please fix your edit command and try again."""
EDIT = "edit 41:41\n        return round(self.sum)\nend_of_edit"


def ran(command: str, said: str) -> Event:
    return tool("bash", {"command": command}, said)


def test_an_edit_names_the_file_that_it_changed() -> None:
    seen, one = made(ran("open shop/cart.py 40", SHOWN), ran(EDIT, UPDATED))
    assert (seen.type, seen.title, seen.files_read) == ("discovery", "Read cart.py", ["/app/shop/cart.py"])
    assert (one.type, one.title) == ("change", "Change cart.py: `return round(self.sum)`")
    assert one.files_modified == ["/app/shop/cart.py"]
    assert "- return int(self.sum)\n+ return round(self.sum)" in (one.narrative or "")


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("edit", {"search": "int(self.sum)", "replace": "round(self.sum)"}, f"Text replaced.\n{UPDATED}{STATE}"),
        ("insert", {"text": "round(self.sum)"}, f"{UPDATED}{STATE}"),
        ("bash", {"command": "edit 41\nround(self.sum)\nend_of_edit"}, UPDATED),
        (
            "bash",
            {"command": "str_replace_editor str_replace /app/shop/cart.py --old_str int"},
            "Edited.",
        ),
        ("bash", {"command": "str_replace_editor insert /app/shop/cart.py --insert_line 4"}, "Edited."),
    ],
)
def test_whatever_it_is_edited_by(name: str, asked: object, said: str) -> None:
    one = only(tool(name, asked, said))
    assert one.type == "change"
    assert one.title.startswith("Change cart.py")
    assert one.files_modified == ["/app/shop/cart.py"]


def test_lines_that_nobody_saw_are_not_said_to_be_new() -> None:
    one = only(ran("edit 70:70\n    def total(self) -> int:\nend_of_edit", UPDATED))
    assert (one.type, one.title) == ("change", "Change cart.py")


@pytest.mark.parametrize(
    ("name", "asked"),
    [("create", {"filename": "shop/cart.py"}), ("bash", {"command": "create shop/cart.py"}),
     ("bash", {"command": "str_replace_editor create /app/shop/cart.py --file_text 'a = 1'"})],
)  # fmt: skip
def test_a_file_that_is_made_is_added(name: str, asked: object) -> None:
    one = only(tool(name, asked, f"[File: shop/cart.py (1 lines total)]\n1:{STATE}"))
    assert (one.type, one.title, one.files_modified) == ("feature", "Add cart.py", ["/app/shop/cart.py"])


@pytest.mark.parametrize("name", ["bash", "edit"])
def test_an_edit_that_was_not_applied_is_none(name: str) -> None:
    assert made(tool(name, {"command": EDIT} if name == "bash" else {"text": "a"}, REFUSED)) == []
    assert (
        made(ran("str_replace_editor str_replace /a.py --old_str a", "No replacement was performed, a is not in")) == []
    )


def test_what_is_submitted_is_told_by_its_files() -> None:
    patch = "diff --git a/shop/cart.py b/shop/cart.py\n--- a/shop/cart.py\n"
    patch += "+++ b/shop/cart.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
    for name, asked in (("submit", {}), ("bash", {"command": "submit"})):
        one = only(tool(name, asked, f"\r\n{patch}{STATE}"))
        assert (one.title, one.files_modified) == ("Submit: change cart.py", ["shop/cart.py"])


def test_what_the_shell_says_of_itself_is_not_told() -> None:
    one = only(ran("python run.py", f"the sum is 345{STATE}"))
    assert one.narrative == "`python run.py`\nthe sum is 345"


@pytest.mark.parametrize(
    ("command", "said", "title"),
    [
        ("open https://shop.example", "opening in the browser", "Run `open https://shop.example`"),
        ("submit 'flag{a b}'", "Wrong flag!", "Run `submit 'flag{a b}'`"),
        ("create-react-app shop", "Success! Created shop", "Run `create-react-app shop`"),
        ("edit 4:4 is a command of mine", "it is so, says the editor", "Run `edit 4:4 is a command of mine`"),
    ],
)
def test_other_commands_of_these_names_stay(command: str, said: str, title: str) -> None:
    assert only(ran(command, said)).title == title


@pytest.mark.parametrize("command", ["open shop/cart.py", "open shop/cart.py 40", "goto 40", "scroll_down"])
def test_what_the_window_shows_of_a_file_is_kept(command: str) -> None:
    one = only(ran(command, SHOWN + STATE))
    assert (one.title, one.importance) == ("Read cart.py", 0.25)
    assert "return int(self.sum)" in (one.narrative or "")
    assert "more lines" not in (one.narrative or "")


def test_a_window_with_nothing_in_it_is_no_look() -> None:
    assert made(ran("open shop/cart.py", f"[File: shop/cart.py (1 lines total)]\n1:{STATE}")) == []


def test_a_long_window_is_cut() -> None:
    lines = "\n".join(f"{n}:def turn_{n}(stone): return {n}" for n in range(1, 3000))
    one = only(ran("open mill.py", f"[File: /app/mill.py (2999 lines total)]\n{lines}"))
    assert 600 < len(one.narrative or "") < 1400
