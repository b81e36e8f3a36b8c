"""Of which sort a command is: a query is a look, a commit a record, a search that finds nothing no failure."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from tests.unit.rules.observing import made, only, tool


def ran(command: str, said: str = "", code: int | None = None) -> Event:
    more = {} if code is None else {"exit_code": code}
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": ""}, **more)


@pytest.mark.parametrize(
    ("command", "title"),
    [
        ("sqlite3 ~/data/library.db 'SELECT title FROM books'", "SELECT title FROM books (library.db): The Waves"),
        ("source .venv/bin/activate && sqlite3 data/library-*.sqlite \"SELECT title, author, le…",
         "SELECT title, author, le… (library-*.sqlite): The Waves|Woolf"),
        ("sqlite3 -separator '|' library.db 'select 1 from books'", "select 1 from books (library.db): The Waves"),
        ("sqlite3 library.db 'WITH b AS (SELECT 1) SELECT * FROM b'", "WITH b AS (SELECT 1) SELECT * FROM b (library"),
        ('cd data && sqlite3 "$(ls shop/*.sqlite)" "SELECT title, auth…', "SELECT title, auth…"),
        ("cd data && duckdb library.db -c 'select 1'", "select 1 (library.db): The Waves|Woolf"),
        ("psql -d library -c 'select title from books'", "select title from books: The Waves|Woolf"),
    ],
)  # fmt: skip
def test_a_query_is_told_by_what_is_asked(command: str, title: str) -> None:
    one = only(ran(command, "The Waves|Woolf\nOrlando|Woolf"))
    assert (one.type, one.importance) == ("discovery", 0.3)
    assert one.title.startswith(title)


@pytest.mark.parametrize(
    "command",
    [
        "sqlite3 library.db 'WITH b AS (SELECT 1) DELETE FROM books'",
        'sqlite3 library.db "UPDATE books SET le…',
        "sqlite3 -separator '|' library.db '.import books.csv books'",
        "sqlite3 library.db 'select 1' && rm library.db",
    ],
)
def test_another_statement_is_told_as_it_was_run(command: str) -> None:
    one = only(ran(command, "done"))
    assert (one.type, one.title[:4]) == ("change", "Run ")


@pytest.mark.parametrize(
    ("command", "kind", "title"),
    [
        ('git commit -m "feat: carts hold cou…', "feature", "Carts hold coupons"),
        ('cd /app && git commit -m "feat: carts hold… … (ctrl+r to expand)', "feature", "Carts hold coupons"),
        ("git commit -F message.txt", "feature", "Carts hold coupons"),
        ("git add -A && git commit --amend --no-edit", "feature", "Carts hold coupons"),
        ("git commit", "feature", "Carts hold coupons"),
        ('git commit -m "fix: one more"', "bugfix", "Fix one more"),
    ],
)
def test_a_commit_is_a_record(command: str, kind: str, title: str) -> None:
    one = only(ran(command, "[main abc1234] feat: carts hold coupons\n 2 files changed, 9 insertions(+)"))
    assert (one.type, one.importance, one.subtitle, one.title) == (kind, 0.6, "Committed", title)


def test_what_others_print_is_no_commit() -> None:
    assert only(ran("./report", "[main abc1234] feat: carts hold coupons")).subtitle is None


@pytest.mark.parametrize("said", ["", "Error", "Error: Exit code 1", "Exit code 1"])
@pytest.mark.parametrize(
    "command", ["brew list | grep jq", "docker ps | grep shop", "pip list | rg stripe", "ls | grep x"]
)
def test_a_search_in_what_was_listed_finds_nothing(command: str, said: str) -> None:
    assert made(ran(command, said, 1)) == []


def test_a_search_in_what_was_listed_may_fail() -> None:
    assert only(ran("brew list | grep jq", "Error: No such keg: jq", 1)).type == "error"
    assert only(ran("brew list | grep jq", "", 2)).type == "error"
    assert made(ran("pwd && ls -la | grep shop", "/srv/mill", 1)) == []
    assert only(ran("which grind", "grind not found", 1)).type == "discovery"


@pytest.mark.parametrize(
    ("code", "said", "title"),
    [
        (47, "HTTP 303\nsize: 97 bytes", "curl fails: too many redirects (exit code 47)"),
        (6, "", "curl fails: the host could not be resolved (exit code 6)"),
        (28, "HTTP 000", "curl fails: timed out (exit code 28)"),
        (
            7,
            "curl: (7) Failed to connect to localhost port 1",
            "curl fails: curl: (7) Failed to connect to localhost port 1",
        ),
    ],
)
def test_an_exit_code_of_curl_says_why(code: int, said: str, title: str) -> None:
    assert only(ran("curl -sL -o /dev/null -w '%{http_code}' https://shop.example", said, code)).title == title


def test_an_exit_code_says_why_where_nothing_else_does() -> None:
    assert only(ran("python mill.py", "", 137)).title == "python fails: it was killed (exit code 137)"
    assert only(ran("python mill.py", "ValueError: no grain", 137)).title == "python fails: ValueError: no grain"


def test_what_was_there_for_a_while_was_not_added() -> None:
    script = tool("Write", {"file_path": "/app/reproduce.py", "content": "import shop\nshop.add(3)"}, "ok")
    edit = tool("Edit", {"file_path": "/app/shop/cart.py", "old_string": "x = 1", "new_string": "x = 2"}, "ok")
    kept = made(script, edit)
    assert kept[0].type == "feature"
    (one,) = [each for each in made(script, edit, ran("rm reproduce.py")) if each.files_modified]
    assert (one.type, one.files_modified) == ("change", ["/app/shop/cart.py"])
    for kept in ("cp reproduce.py docs/", "git add reproduce.py"):
        found = made(script, edit, ran(kept), ran("rm reproduce.py"))
        assert any("/app/reproduce.py" in each.files_modified for each in found)
    # What was there before is missed.
    assert any("cart.py" in each.content for each in made(edit, ran("rm shop/cart.py")))


def test_what_is_handed_in_is_told_by_what_was_edited() -> None:
    edit = tool("Edit", {"file_path": "/app/shop/cart.py", "old_string": "total = 1", "new_string": "total = 2"}, "ok")
    head = "diff --git a/shop/cart.py b/shop/cart.py\n--- a/shop/cart.py\n+++ b/shop/cart.py\n"
    patch = f"{head}@@ -1 +1 @@\n-total = 1\n+total = 2"
    one = only(edit, ran("submit", patch))
    assert one.files_modified == ["/app/shop/cart.py"]
    assert one.title == "Change cart.py: `total = 2`"
    assert only(ran("submit", patch)).title == "Submit: change cart.py"
