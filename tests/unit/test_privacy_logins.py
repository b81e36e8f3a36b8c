"""Passwords by where they stand, without a name that says so or in files of their own."""

from __future__ import annotations

import json
import time

import pytest

from muster.domain.privacy import scrub, scrub_text
from muster.domain.secret_shapes import is_suspicious

GONE = [
    "machine x\n  login y\n  password quietbadger\n",
    "machine x\r\nlogin y\r\npassword quietbadger",
    "     1\tmachine x\n     2\t  login y\n     3\t  password quietbadger",
    "machine x\n  password quietbadger\n  login y",
    "default\n  login y password quietbadger",
    "smtp:\n  user: ada\n  pass: quietbadger\n",
    "[db]\nuser=ada\npass=quietbadger\n",
    "db.pass = quietbadger\ndb.host = x",
    "user: ada\npw: quietbadger",
    "pass: quietbadger43!",
    "pass=quietbadger43",
    "PW=quietbadger",
    "export DB_PW='quietbadger'",
    "db.example:5432:app:ada:quietbadger",
    "# of tests\n*:*:*:ada:quietbadger\n",
    "root:$6$saltsalt$" + "quietbadger" * 7 + ":19000:0:99999:7:::",
    "$1$abc$quietbadgerquietbadger",
    "$5$rounds=5000$abc$" + "quietbadger" * 4,
    "$2b$12$" + "quietbadger" * 4 + "abcdefghi",
    "$y$j9T$abcdefgh$" + "quietbadger" * 4,
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + "quietbadger" * 4,
    "pbkdf2_sha256$600000$salt$" + "quietbadger" * 4,
    "htpasswd -b f user quietbadger",
    "htpasswd -nbB ada 'quietbadger and more'",
    "htpasswd -bc -C 12 f ada quietbadger && ls",
    "\x1b[32mpassword\x1b[0m: quietbadger",
    "password: \x1b[31mquietbadger\x1b[0m",
]


@pytest.mark.parametrize("text", GONE)
def test_it_is_gone(text: str) -> None:
    kept = scrub_text(text)
    assert "quietbadger" not in kept
    assert "[removed:" in kept
    assert scrub_text(kept) == kept
    assert is_suspicious(text)
    assert is_suspicious(json.dumps(text))
    within = scrub({"text": json.dumps({"out": text})})[0]["text"]
    assert "quietbadger" not in within, "also as JSON within a text"


@pytest.mark.parametrize(
    "text",
    [
        "pass: 12 tests", "pass=true", "tests pass: all", "    pass\n", "PASS: test_x", "pass: 12/12", "pass: 98%",
        "pass: test_login2", "host: a\npass: 12 tests\n", "host: a\npass: true", "| pass | 3 |", "pass = 3",
        "compile pass: loop-unroll2", "pass: tests/a.py::test_1", "user: ada\npass: ${PASS}", "pass: dead-code",
        "a.py:5432:foo:bar", "main.c:5432:12:warning:unused", "a.c:12:5:error:x", "echo $1$2 $6", "cost $1$",
        "PW=$(cat x)", "PW=$1", "PW=100", "pw=640", "htpasswd -c file user", "htpasswd -b f user $PASS",
        "a machine admin password is x", "login page\npassword reset is next", "by default\npassword rules hold",
    ],
)  # fmt: skip
def test_what_is_none_stays(text: str) -> None:
    assert scrub_text(text) == text


@pytest.mark.parametrize(
    "piece",
    ["pass: ", "\\npass=", "pw=", "$6$", "a:*:b:c:", "htpasswd -b ", "machine x\n", "login y\npassword ", "$argon2id$",
     "password\x1b[0m", "password\\u001b[0m", "user: a\npass: b!1cc\n", "default\n", "1\t"],
)  # fmt: skip
def test_it_takes_as_long_as_the_text_is(piece: str) -> None:
    began = time.thread_time()
    scrub_text(piece * (200_000 // len(piece)))
    assert time.thread_time() - began < 3
