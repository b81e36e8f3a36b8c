"""What a command is told as, by its words: what it installs, which files it looks into, and what it looks for there."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from muster.domain.rules import commands
from muster.domain.rules.looks import found_in, names_a_file
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only, tool

# -- What is installed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("pip install -i https://pypi.corp.example/simple reportlab==4.2.5", "reportlab==4.2.5"),
        ("pip install --index-url=https://pypi.corp.example/simple reportlab", "reportlab"),
        ("pip --timeout 60 --proxy http://proxy:3128 install numpy", "numpy"),
        ("pip install --timeout 60 --proxy http://proxy:3128 numpy", "numpy"),
        ("pip install --some-new-option 60 --another http://proxy:3128 numpy", "numpy"),
        ("pip install -c constraints.txt flask", "flask"),
        ("pip install -r requirements.txt", "the dependencies of requirements.txt"),
        ("pip install -Ur ci/requirements.txt pytest", "pytest, the dependencies of requirements.txt"),
        ("pip install -e .", "the project"),
        ("pip install -e '.[dev,test]' pytest", "the project [dev,test], pytest"),
        ("pip install https://x.example/a-1.0-py3-none-any.whl", "https://x.example/a-1.0-py3-none-any.whl"),
        ("pip install git+https://x.example/a.git@v1", "git+https://x.example/a.git@v1"),
        ("pip install $PACKAGES", "packages"),
        ("python3.12 -m pip install -q --upgrade pip setuptools", "pip, setuptools"),
        ("uv tool install --python 3.12 ruff==0.7.1", "ruff==0.7.1"),
        ("uv pip install -p 3.12 --system 'a[b]>=2'", "a[b]>=2"),
        ("uv add --group dev pytest", "pytest"),
        ("uv sync --extra test", "the dependencies"),
        ("poetry add -G dev pytest ruff", "pytest, ruff"),
        ("pdm add -dG test pytest", "pytest"),
        ("pipx install --python 3.12 black", "black"),
        ("conda install -y -n geo -c conda-forge gdal=3.8", "gdal=3.8"),
        ("mamba install --file requirements.txt", "the dependencies of requirements.txt"),
        ("npm install --prefix web left-pad", "left-pad"),
        ("npm --prefix web ci", "the dependencies"),
        ("npm i -D vitest @types/node", "vitest, @types/node"),
        ("pnpm add -w lodash", "lodash"),
        ("pnpm add --filter web react", "react"),
        ("yarn global add serve --cwd /srv", "serve"),
        ("bun add --cwd web typescript", "typescript"),
        ("sudo apt-get install -y -t bookworm-backports postgresql-17", "postgresql-17"),
        ("apt-get update && apt-get -o Acquire::Retries=3 install -y curl", "curl"),
        ("dnf install -y --enablerepo crb ninja-build", "ninja-build"),
        ("apk add --no-cache --virtual .build-deps gcc musl-dev", "gcc, musl-dev"),
        ("brew install --cask --appdir /opt docker", "docker"),
        ("cargo add serde --features derive", "serde"),
        ("cargo add serde -Fderive", "serde"),
        ("cargo install --git https://x.example/a/b tool", "tool"),
        ("cargo install --path .", "the project"),
        ("go install -ldflags '-s -w' golang.org/x/tools/gopls@latest", "golang.org/x/tools/gopls@latest"),
        ("go get -u ./...", "the project"),
        ("gem install rails -v 7.1.0", "rails"),
        ("composer require -d api monolog/monolog", "monolog/monolog"),
        ("bundle add sidekiq --version '~> 7'", "sidekiq"),
    ],
)
def test_what_an_option_is_set_to_is_not_installed(command: str, what: str) -> None:
    one = only(tool("Bash", {"command": command}, {"stdout": "done", "stderr": ""}))
    assert (one.type, one.title) == ("change", f"Install {what}")
    assert commands.alters(command)


@pytest.mark.parametrize("command", ["pip uninstall -y flask", "apt-get update", "go test ./...", "npm run install"])
def test_what_installs_nothing_names_nothing(command: str) -> None:
    assert commands.installs(command) == ""


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ('psql -c "select count(*) from customers"', "discovery"),
        ("psql shop -tAc 'SELECT pg_size_pretty(1);' -c '\\d orders'", "discovery"),
        ("psql --command='explain select 1'", "discovery"),
        ("psql -c 'delete from customers'", "change"),
        ("psql -c 'select 1; drop table a'", "change"),
        ("psql -c 'select * into b from a'", "change"),
        ("psql -c 'select pg_terminate_backend(7)'", "change"),
        ("psql -c 'explain analyze delete from a'", "change"),
        ("psql -c 'select 1' -f seed.sql", "change"),
        ("curl -s localhost:8000/health", "discovery"),
        ("curl -sS -H 'Accept: text/plain' -X GET -o /dev/null -w '%{http_code}' localhost:8000/health", "discovery"),
        ("curl -sXPOST localhost:8000/jobs", "change"),
        ("curl localhost:8000/jobs --data-raw a=b", "change"),
        ("curl -F file=@a localhost:8000/jobs", "change"),
        ("curl -fsSLO https://x.example/a.tgz", "change"),
        ("curl --request DELETE localhost:8000/jobs/1", "change"),
        ("curl localhost:8000/jobs > jobs.json", "change"),
    ],
)
def test_what_only_asks_changes_nothing(command: str, kind: str) -> None:
    assert only(tool("Bash", {"command": command}, {"stdout": "12311 of them", "stderr": ""})).type == kind
    assert commands.mutates(command) is (kind == "change")


# -- What is looked into, and for what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("cat Dockerfile", ["Dockerfile"]),
        ("cat -n src/a.py README", ["src/a.py", "README"]),
        ("sed -n '1,40p' shop/tax.py", ["shop/tax.py"]),
        ("sed -n '/start/,/a.b/p' shop/tax.py", ["shop/tax.py"]),
        ("sed -ne 1p -e 3p tax.py", ["tax.py"]),
        ("head -n 20 0014_search.sql", ["0014_search.sql"]),
        ("head -20 a.log && tail -c 10 b.log", ["a.log", "b.log"]),
        ("tail -n +5 Makefile", ["Makefile"]),
        ("awk -F: -v n=1 '/a.b/ {print $1}' x=2 /etc/hosts", ["/etc/hosts"]),
        ("cat *.py $FILE", []),
        ("cat a.py && python a.py", []),
    ],
)
def test_a_file_that_is_shown_is_read(command: str, files: list[str]) -> None:
    found = made(tool("Bash", {"command": command}, {"stdout": "some text", "stderr": ""}))
    assert [path for one in found for path in one.files_read] == files


@pytest.mark.parametrize(
    ("command", "query", "files"),
    [
        ("grep -n FROM Dockerfile", "FROM", ["Dockerfile"]),
        ("grep -n FROM docker/base", "FROM", ["docker/base"]),
        ("grep -A 3 -m1 FROM Dockerfile", "FROM", ["Dockerfile"]),
        ("grep -rnA3 FROM src docker/Dockerfile", "FROM", ["docker/Dockerfile"]),
        ("grep -rn --include '*.py' FROM src", "FROM", []),
        ("grep -n -e FROM -e RUN Dockerfile", "FROM", ["Dockerfile"]),
        ("grep -neFROM Dockerfile", "FROM", ["Dockerfile"]),
        ("grep -- -x a.py", "-x", ["a.py"]),
        ("rg MAX_RETRIES worker/config.py", "MAX_RETRIES", ["worker/config.py"]),
        ("rg -t py -g '!tests' MAX_RETRIES worker", "MAX_RETRIES", []),
        ("rg /v1/agents api/v2.1", "/v1/agents", []),
        ("git grep -n MAX_RETRIES", "MAX_RETRIES", []),
        ("find . -type f -name '*.toml'", "*.toml", []),
        ("fd -e py parser", "parser", []),
    ],
)
def test_what_is_looked_for_is_looked_for_there(command: str, query: str, files: list[str]) -> None:
    one = only(tool("Bash", {"command": command}, {"stdout": "3 of it", "stderr": ""}))
    place = f" in {files[0].rpartition('/')[2]}" if files else ""
    assert (one.title, one.files_read) == (f"Looked for “{query}”{place}", files)


def test_a_search_names_the_files_whose_lines_it_shows() -> None:
    said = "src/a.py:3:MAX = 3\nsrc/b.ts-7-MAX\n--\n10.0.0.1:80: up\nsrc/b.ts:8:MAX\n12:34: noon"
    for one in (
        only(tool("Bash", {"command": "grep -rn MAX src"}, {"stdout": said, "stderr": ""})),
        only(tool("Grep", {"pattern": "MAX", "path": "src", "output_mode": "content"}, {"content": said})),
    ):
        assert (one.title, one.files_read) == ("Looked for “MAX” in a.py and b.ts", ["src/a.py", "src/b.ts"])
        assert "MAX = 3" in (one.narrative or "")
    one = only(tool("Grep", {"pattern": "MAX", "path": "conf/worker.toml"}, {"content": "MAX = 3"}))
    assert one.files_read == ["conf/worker.toml"]


def looks() -> list[Event]:
    return [
        tool("Read", {"file_path": "src/cart.ts"}, {"file": {"content": "export class Cart {}"}}),
        tool("Bash", {"command": "grep -n FROM Dockerfile"}, {"stdout": "1:FROM python:3.12", "stderr": ""}),
        tool("Bash", {"command": "rg MAX_RETRIES worker/config.py"}, {"stdout": "MAX_RETRIES = 3", "stderr": ""}),
        tool("Grep", {"pattern": "BACKOFF"}, {"content": "BACKOFF = 2"}),
    ]


def test_each_thing_stands_with_the_file_it_was_looked_for_in() -> None:
    one = only(*looks())
    assert one.title == ("Looked for “FROM” in Dockerfile; “MAX_RETRIES” in config.py; “BACKOFF”; read cart.ts")
    assert one.files_read == ["src/cart.ts", "Dockerfile", "worker/config.py"]
    assert "Looked for “FROM” in Dockerfile: 1:FROM python:3.12" in (one.narrative or "")
    one = only(tool("Bash", {"command": "cat a.py && grep -n B b.py; rg C c.py"}, {"stdout": "class A: ...\nB\nC"}))
    assert one.title == "Looked for “B” in b.py; “C” in c.py; read a.py"
    assert one.facts == [], "nobody knows which of them showed it"


@pytest.mark.parametrize(
    ("between", "rows"),
    [
        (event({"prompt": "Now make the image of the worker smaller."}, "user_prompt"), 2),
        (event({"role": "assistant", "text": "The cart rounds each line, which is why the sum is off."}), 2),
        (event({"role": "assistant", "text": "Let me look at the Dockerfile first."}), 1),
        (event({"prompt": "ok, go on"}, "user_prompt"), 1),
    ],
)
def test_a_row_of_looks_ends_with_what_is_said(between: Event, rows: int) -> None:
    read, *searched = looks()
    found = [one for one in made(read, between, *searched) if one.files_read]
    assert [one.files_read for one in found] == (
        [["src/cart.ts"], ["Dockerfile", "worker/config.py"]]
        if rows == 2
        else [["src/cart.ts", "Dockerfile", "worker/config.py"]]
    )


def test_hostile_words_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("-e ", "--x=", "-", "a ", "./", "https://", "[", ".", "+", "- ", "-- "):
        text = bit * (20_000 // len(bit))
        for program in ("pip install", "grep", "rg -e", "sed -n", "cat", "head -n", "find", "cargo add"):
            commands.installs(f"{program} {text}")
            commands.searches(f"{program} {text}")
            commands.reads(f"{program} {text}")
        found_in(text)
        names_a_file(text)
    assert began.fair < 3
