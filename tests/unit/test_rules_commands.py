"""What a command is told as, by its words: what it installs, which files it looks into, and what it looks for there."""

from __future__ import annotations

import time

import pytest

from muster.domain import rules_commands as commands
from tests.unit.observing import only, tool

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


def test_hostile_words_take_no_longer_than_they_are() -> None:
    began = time.process_time()
    for bit in ("-e ", "--x=", "-", "a ", "./", "https://", "[", ".", "+", "- ", "-- "):
        text = bit * (20_000 // len(bit))
        for program in ("pip install", "grep", "rg -e", "sed -n", "cat", "head -n", "find", "cargo add"):
            commands.installs(f"{program} {text}")
            commands.searches(f"{program} {text}")
            commands.reads(f"{program} {text}")
    assert time.process_time() - began < 3
