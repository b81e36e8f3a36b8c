"""Clients of databases, and checks whose failure is answered by something else."""

from __future__ import annotations

import pytest

from tests.unit.rules.observing import made, only, tool


@pytest.mark.parametrize(
    "command",
    [
        'sqlite3 -header library.db "SELECT title, author FROM books WHERE lent = 1 LIMIT 5"',
        "sqlite3 'my library.db' 'select count(*) from books; select max(id) from books;'",
        "cd data && sqlite3 library.db '.schema books'",
        "sqlite3 library.db 'PRAGMA table_info(books)'",
        "mysql -u reader -e 'SHOW TABLES' library",
        "psql -c 'select 1'",
    ],
)
def test_a_query_changes_nothing(command: str) -> None:
    one = only(tool("Bash", {"command": command}, "The Waves|Woolf"))
    assert (one.type, one.importance) == ("discovery", 0.3)
    assert "The Waves" in (one.narrative or "")


@pytest.mark.parametrize(
    "command",
    [
        "sqlite3 library.db 'DELETE FROM books'",
        "sqlite3 library.db 'select 1; update books set lent = 0'",
        "sqlite3 library.db '.import books.csv books'",
        "mysql -e 'TRUNCATE loans' library",
        "sqlite3 library.db < restore.sql",
    ],
)
def test_another_statement_is_a_change(command: str) -> None:
    assert only(tool("Bash", {"command": command}, "done")).type == "change"


EDIT = tool("Edit", {"file_path": "shop/rates.py", "old_string": "a = 1", "new_string": "a = 2"}, "ok")


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("pytest -q 2>/dev/null || echo 'the tests failed'", "the tests failed"),
        ('cd shop && PYTHONPATH=. python3 -m pytest 2>/dev/null || echo "Test run failed"', "Test run failed"),
    ],
)
def test_what_is_said_where_a_check_fails_says_that_it_failed(command: str, printed: str) -> None:
    found = made(EDIT, tool("Bash", {"command": command}, printed))
    assert not any("passes" in one.content for one in found)
    assert "error" in [one.type for one in found]


@pytest.mark.parametrize("command", ["make test || true", "npm test -- --silent || :", "tox -q || echo 'see the log'"])
def test_a_check_that_cannot_fail_passes_by_its_report_alone(command: str) -> None:
    found = made(EDIT, tool("Bash", {"command": command}, "building"))
    assert not any("passes" in one.content for one in found)
    (one,) = made(EDIT, tool("Bash", {"command": command}, "===== 12 passed in 0.31s ====="))
    assert f"`{command}` passes" in "\n".join(one.facts)
