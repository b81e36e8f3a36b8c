"""A command that passes where another failed: what it does otherwise is what mended it, and is told."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules import scripts
from muster.domain.rules.differences import differences
from tests.unit.rules.observing import made, tool

ADDRESS = "*** Please tell me who you are.\n\nfatal: unable to auto-detect email address (got 'x@y')"
MISSING = "ModuleNotFoundError: No module named 'cart'"


def ran(command: str, said: str, **more: Any) -> Event:
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": "", "interrupted": False}, **more)


def failed(command: str, said: str) -> Event:
    return ran(command, said, exit_code=1)


@pytest.mark.parametrize(
    ("first", "said", "again", "title"),
    [
        ('git commit -m "feat: carts"', ADDRESS,
         'git config user.email a@shop.example && git config user.name Ann && git commit -m "feat: carts"',
         "with `git config user.email a@shop.example` and `git config user.name Ann`"),
        ("pytest -q", MISSING, "PYTHONPATH=src:lib pytest -q", "with `PYTHONPATH=src:lib`"),
        ("pytest -q", MISSING, "export PYTHONPATH=src && pytest -q", "with `PYTHONPATH=src`"),
        ("pytest -q", MISSING, ". .venv/bin/activate && pytest -q", "with `. .venv/bin/activate`"),
        ("./publish prod", "refused: prod is locked", "./publish prod --force", "with `--force`"),
        ("charm remove web", "ERROR cannot ask without a terminal", "charm remove --no-prompt web",
         "with `--no-prompt`"),
        ("git push origin main", "fatal: The current branch main has no upstream", "git push -u origin main",
         "with `-u`"),
        ("npm install left-pad", "npm ERR! code ERESOLVE", "npm install --legacy-peer-deps left-pad",
         "with `--legacy-peer-deps`"),
        ("./load rows.csv", "error: rows are locked", "API_TOKEN=abc123 ./load rows.csv", "with `API_TOKEN=…`"),
        ("yarn install --frozen-lockfile", "error Your lockfile needs to be updated", "yarn install",
         "without `--frozen-lockfile`"),
        ("./build.sh", "cannot open out/log: Is a directory", "rm -rf out && ./build.sh", "with `rm -rf out`"),
    ],
)  # fmt: skip
def test_what_is_done_otherwise_is_the_fix(first: str, said: str, again: str, title: str) -> None:
    found = made(failed(first, said), ran(again, "All of it is done"))
    fix = next(one for one in found if one.type == "bugfix")
    assert fix.title.endswith(title)
    assert "abc123" not in fix.title
    assert not any("Run again" in one.content for one in found)


def test_what_is_configured_in_between_is_the_fix() -> None:
    asked = f"Run\n\n  git config --global user.email you@shop.example\n\n{ADDRESS}"
    commit = 'git commit -m "feat: carts"'
    between = ran('git config user.email ann@shop.example && git config user.name "Ann B"', "")
    found = made(failed(commit, asked), between, ran(commit, "[main abc1234] feat: carts\n 1 file changed"))
    assert "with `git config user.email" in found[0].title
    assert found[0].type == "bugfix"
    for get in ("git config --get user.email", "git config user.email", "git config --get user.email ann"):
        looked = ran(get, "ann@shop.example")
        found = made(failed(commit, asked), looked, ran(commit, "[main abc1234] feat: carts\n 1 file changed"))
        assert "nothing was changed in between." in found[0].content
    assert "change" not in {one.type for one in made(ran("npm config get registry", "https://registry.example.org/"))}


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("./publish prod", "./publish prod"),
        ("./publish prod", "./publish prod 2>&1 | tail -3"),
        ("./publish prod", "./publish prod --verbose"),
        ("pytest -q", "pytest -v --tb=short"),
        ("pytest -q", "cd /srv && pytest -q"),
        ("pytest -q", "echo go; pytest -q"),
        ("./publish prod", "sleep 5; ./publish prod"),
        ("make check", "git status && make check"),
        ("git commit -m 'a: b'", "git add -A && git commit -qm 'a: c=d'"),
    ],
)
def test_what_is_said_otherwise_is_none(first: str, again: str) -> None:
    assert differences(again, first) == []


FETCH = "python3 - <<'EOF'\nimport shop\ncart = shop.cart(3)\nprint(cart.total())\nprint(cart.tax())\nEOF"
OTHER = "python3 - <<'EOF'\nimport shop\nfor name in dir(shop):\n    print(name)\nEOF"
MADE_OF_IT = FETCH.replace("shop.cart(3)", "shop.cart(id=3)")


def test_another_script_is_not_the_same_again() -> None:
    trace = "Traceback (most recent call last):\nTypeError: cart() takes 0 positional arguments but 1 was given"
    (error, *_) = made(failed(FETCH, trace), ran(OTHER, "cart\ntax"))
    assert error.type == "error"
    assert "Run again" not in error.content
    (error,) = made(failed(FETCH, trace), ran(MADE_OF_IT, "12\n3"))
    assert "Run again with another script, it passed" in error.content
    assert "nothing was changed" not in error.content
    (error,) = made(failed(FETCH, trace), ran(FETCH, "12\n3"))
    assert "Run again, it passed" in error.content
    for one, other in (("node -e 'a()'", "node -e 'b()'"), ("python -c 'a()'", "python -c 'b()'")):
        assert not any("Run again" in each.content for each in made(failed(one, trace), ran(other, "done: 3")))


def test_a_message_or_a_file_is_no_script() -> None:
    for command in (
        "git commit -m \"$(cat <<'EOF'\nfix: one\nEOF\n)\"",
        "cat > run.py <<'EOF'\nprint(1)\nEOF\npython run.py",
        "git commit -F - <<EOF\nfix: one\nEOF",
    ):
        assert scripts.script(command) == ()
    assert scripts.script("cat <<EOF | python3\nprint(1)\nEOF") == ("print(1)",)
    assert scripts.script(FETCH)[0] == "import shop"


def test_what_only_shows_is_mended_by_nothing() -> None:
    refused = "curl: (7) Failed to connect to localhost port 8000: Connection refused"
    edit = tool("Edit", {"file_path": "/srv/shop/serve.py", "old_string": "port = 1", "new_string": "port = 8000"})
    for command in ("curl -s localhost:8000/health", "kubectl get pods", "juju status --relations"):
        found = made(failed(command, refused), edit, ran(command, "ok: up"))
        assert "bugfix" not in {one.type for one in found}
        assert not any("it passed" in one.content for one in found)
        assert any("Asked again, it answered. In between, serve.py was changed." in one.content for one in found)


def test_what_goes_through_another_program_is_not_the_same() -> None:
    said = "jq: error (at <stdin>:1): null (null) has no keys"
    for again in ("carts list --all | grep -i open", "carts list --all | awk '{print $1}'"):
        found = made(failed("carts list --format=json | jq -r '.open | keys'", said), ran(again, "web 3"))
        assert [one.type for one in found] == ["error", "discovery"]
        assert "Run again" not in found[0].content
    found = made(failed("carts list | head -3", "ERROR no store"), ran("carts list --local | tail -3", "web 3"))
    assert found[0].title == "Fix no store with `--local`"


def test_what_failed_in_between_is_not_said_to_be_done() -> None:
    found = made(
        failed("./load rows.csv", "error: rows are locked"),
        failed("./unlock rows", "cannot unlock: it is held by web1"),
        ran("./release web1", "released 3 rows"),
        ran("./load rows.csv", "3 rows loaded"),
    )
    error = next(one for one in found if "load fails" in one.title)
    assert "In between, `./release web1` was run." in error.content
    assert "unlock" not in error.content
