"""What is a fix of what: not what was done before it failed again, not an edit of what the machine failed in, and not
what takes the test away."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules import weakened
from tests.pace import Stopwatch
from tests.unit.rules.observing import made, tool

TOTAL = "FAILED tests/test_cart.py::test_total - assert 3 == 4\n1 failed, 7 passed in 0.3s"
TAX = "FAILED tests/test_cart.py::test_tax - KeyError: 'vat'\n1 failed, 7 passed in 0.3s"
PASSES = "8 passed in 0.3s"


def ran(command: str, said: str, **more: Any) -> Event:
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": "", "interrupted": False}, **more)


def failed(said: str, command: str = "pytest -q") -> Event:
    return ran(command, said, exit_code=1)


def edited(path: str, old: str = "x = 3", new: str = "x = 4") -> Event:
    return tool("Edit", {"file_path": path, "old_string": old, "new_string": new})


@pytest.mark.parametrize(("again", "title"), [
    (TOTAL, "Fix assert 3 == 4 in tax.py"), (TAX, "Fix KeyError: 'vat' in tax.py"),
])  # fmt: skip
def test_what_was_done_before_it_failed_again_is_no_fix(again: str, title: str) -> None:
    events = (failed(TOTAL), edited("/srv/cart.py"), failed(again), edited("/srv/tax.py"), ran("pytest -q", PASSES))
    found = made(*events)
    fix = next(one for one in found if one.type == "bugfix")
    assert (fix.title, fix.files_modified) == (title, ["/srv/tax.py"])
    assert [one.files_modified for one in found if one.type == "change"] == [["/srv/cart.py"]]
    # It passes by itself, whatever was tried.
    (error, *rest) = made(*events[:3], ran("pytest -q", PASSES))
    assert error.type == "error"
    assert "cart.py was changed" not in error.content
    assert "bugfix" not in {one.type for one in rest}


@pytest.mark.parametrize(
    "what",
    [
        "error: failed to open file `/home/ann/.cache/uv/sdists/.git`: Read-only file system (os error 30)",
        "OSError: [Errno 28] No space left on device",
        "error: could not fetch the index: Network is unreachable",
        "curl: (6) Could not resolve host: index.example.org",
        "npm ERR! code EAI_AGAIN",
        "PermissionError: [Errno 13] Permission denied: '/home/ann/.cache/pre-commit/db.db'",
        "dial tcp: lookup proxy.example.org: i/o timeout",
    ],
)
def test_what_the_machine_failed_in_is_not_mended_by_an_edit(what: str) -> None:
    found = made(failed(what, "tox -e unit"), edited("/srv/cart.py"), ran("tox -e unit", PASSES))
    assert [one.type for one in found if one.files_modified] == ["change"]
    assert "bugfix" not in {one.type for one in found}
    again = ran("UV_CACHE_DIR=/srv/cache tox -e unit", PASSES)
    fix = next(one for one in made(failed(what, "tox -e unit"), edited("/srv/cart.py"), again) if one.type == "bugfix")
    assert fix.title.endswith("with `UV_CACHE_DIR=/srv/cache`")


def test_an_edit_of_what_it_speaks_of_may_mend_it() -> None:
    denied = "PermissionError: [Errno 13] Permission denied: '/srv/shop/out.log' in write.py"
    full = "No space left on device: rotate.conf keeps 900 files"
    for what, path in ((denied, "/srv/write.py"), (full, "/etc/rotate.conf")):
        found = made(failed(what, "./job nightly"), edited(path), ran("./job nightly", "done: 3"))
        assert "bugfix" in {one.type for one in found}


TEST = "def test_total():\n    assert total() == 4\n\n\ndef test_tax():\n    pass\n"
REST = "def test_tax():\n    pass\n"


@pytest.mark.parametrize(
    ("step", "title"),
    [
        (edited("/srv/tests/test_cart.py", TEST, REST), "Tests removed: `test_total`, which failed with assert 3 == 4"),
        (ran("rm tests/test_cart.py", ""), "Tests removed: `test_cart.py`, which failed with assert 3 == 4"),
        (ran("git rm -q tests/test_cart.py", ""), "Tests removed: `test_cart.py`, which"),
        (edited("/srv/tests/test_cart.py", REST, f"import pytest\n\n\n@pytest.mark.skip(reason='slow')\n{REST}"),
         "Tests skipped: `test_tax`, which failed with assert 3 == 4"),
        (edited("/srv/tests/test_cart.py", REST, f"@pytest.mark.xfail\n{REST}"), "Tests skipped: `test_tax`"),
    ],
)  # fmt: skip
def test_what_takes_the_test_away_is_no_fix(step: Event, title: str) -> None:
    found = made(failed(TOTAL), step, ran("pytest -q", "7 passed in 0.3s"))
    assert [one.type for one in found if title in one.title] == ["change"], [one.title for one in found]
    assert "bugfix" not in {one.type for one in found}


@pytest.mark.parametrize(
    ("old", "new", "way"),
    [
        ("it('adds', () => {\n  go()\n})", "it.skip('adds', () => {\n  go()\n})", weakened.SKIPPED),
        ("func TestAdd(t *T) {\n\tgo()\n}", "func TestAdd(t *T) {\n\tt.Skip()\n\tgo()\n}", weakened.SKIPPED),
        ("#[test]\nfn test_add() {}", "#[test]\n#[ignore]\nfn test_add() {}", weakened.SKIPPED),
        ("it('adds', () => {\n  go()\n})\n", "", weakened.REMOVED),
        ("func TestAdd(t *testing.T) {\n\tgo()\n}", "", weakened.REMOVED),
        (TEST, TEST.replace("== 4", "== 3"), ""),
        (TEST, TEST.replace("test_total", "test_sum"), ""),
        ("total = 3", "total = 4", ""),
        (REST, f"@pytest.mark.skip\n{REST}\ntotal = 4", ""),
        ("def total():\n    return 3\n", "", ""),
    ],
)  # fmt: skip
def test_what_an_edit_does_to_tests(old: str, new: str, way: str) -> None:
    step = edited("/srv/tests/test_cart.py", old, new)
    found = made(failed(TOTAL), step, ran("pytest -q", "7 passed in 0.3s"))
    titles = " ".join(one.title for one in found)
    assert (f"Tests {way}" in titles) is bool(way), titles
    assert ("bugfix" in {one.type for one in found}) is not bool(way)


def test_a_test_that_is_removed_beside_a_fix_does_not_hide_it() -> None:
    found = made(failed(TOTAL), edited("/srv/tests/test_cart.py", TEST, REST), edited("/srv/cart.py"),
                 ran("pytest -q", "7 passed in 0.3s"))  # fmt: skip
    assert "bugfix" in {one.type for one in found}
    assert "bugfix" in {one.type for one in made(failed(TOTAL), ran("rm -rf cart.db", ""), edited("/srv/cart.py"),
                                                 ran("pytest -q", PASSES))}  # fmt: skip


def test_long_edits_cost_little() -> None:
    watch = Stopwatch()
    for text in ("def test_a():\n" * 9000, "/tmp/" * 20_000, "    " * 30_000, "['" * 40_000, "it('" * 30_000):
        made(failed(f"{text}\n{TOTAL}"), edited("/srv/tests/test_a.py", text, f"{text}@pytest.mark.skip"),
             ran("pytest -q", PASSES))  # fmt: skip
    assert watch.fair < 9
