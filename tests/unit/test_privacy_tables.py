"""Secrets in tables: below the name of one, and in a row that is a name and its value."""

from __future__ import annotations

import json
import time

import pytest

from muster.domain.privacy import as_json, scrub, scrub_text
from muster.domain.secrets.shapes import is_suspicious
from tests.pace import Stopwatch

VALUES = ("x7Kq9ZtR2mW4vB8nYcD3fGhJ", "badger43", "tDMdTEyKWQbDyb")
GONE = [
    "| name | password |\n|---|---|\n| bob | {} |\n| eve | {}2 |",
    "| name | Password | city |\n| --- | :---: | --- |\n| bob | `{}` | Paris |\n",
    "| `api_key` | name |\n|-|-|\n| {} | bob |",
    " user | password \n------+----------\n bob  | {}\n eve  | {}2\n(2 rows)\n",
    " id | access_token | at \n----+------+---\n  1 | {} | 3\n",
    "+------+----------+\n| user | password |\n+------+----------+\n| bob  | {} |\n+------+----------+\n",
    "user,password,city\nbob,{},Paris\neve,{}2,Rome\n",
    '"user","password"\n"bob","{}"\n',
    "user,password\r\nbob,{}\r\n",
    "password,user\n{},bob\n",
    "user,api_key\nbob,{}",
    'user,password,city\n"Smith, Bob",{},Paris\n',
    "user\tpassword\tcity\nbob\t{}\tParis\n",
    "id\tjwt\n1\t{}",
    "user   password        city\nbob    {}  Paris\neve    {}2  New York\n",
    "  NAME   PASSWORD\n  bob    {}\n",
    "| DB_PASSWORD | {} |",
    "| name | value |\n|---|---|\n| API_TOKEN | {} |\n| `DB_PASSWORD` | `{}` |",
    "API_TOKEN       {}",
    "API_TOKEN\t{}",
    "  GITHUB_TOKEN    {}\n  HOME            /home/me\n",
    "CLIENT_SECRET | {}",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("text", GONE)
def test_it_is_gone(text: str, value: str) -> None:
    for sent in (text.replace("{}", value), f"first\n\n{text.replace('{}', value)}\n\nlast"):
        kept = scrub_text(sent)
        assert value not in kept
        assert scrub_text(kept) == kept
        assert is_suspicious(sent)
        assert kept.replace("[removed:secret]", value).replace("\r", "") in (
            sent.replace(value + "2", value).replace("\r", ""),
        )
        assert kept.count("\n") == sent.count("\n")
        lines = {"lines": sent.split("\n")}
        assert value not in json.dumps(scrub(lines)[0]), "also as a list of lines"
        assert is_suspicious(as_json(lines).decode())
        for depth in range(2):
            sent = json.dumps({"out": sent, "then": 1})
            assert value not in scrub_text(sent), f"as JSON within a text, {depth}"
            assert json.loads(scrub_text(sent))["then"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "| password | string | required |",
        "| token | The token of the user |",
        "| password | the one of bob1 |",
        "| name | password |\n|---|---|\n| type | string |\n| needed | yes |\n| what | two words1 |\n| x | $PASS |",
        "| method | password | token |\n|---|---|---|\n| a1 | required | optional |\n| b1 |  | - |\n| c | ✓ | 12 |",
        "| field | type |\n|---|---|\n| password | string |\n| api_key | string |\n| token | sha256 |",
        "| secret | what for |\n|---|---|\n| NPM_TOKEN | publishing |\n| db-credentials | base |\n| AWS_KEY_1 | x |",
        "| `DB_PASSWORD` | `$PASSWORD1` |",
        "| `API_TOKEN` | no default | see above |",
        "| `JWT_SECRET` | `<secret1>` |",
        "| a | password |\n| b1 | c1 |",
        'type A =\n  | "password"\n  | "badger43"\n  | "token"',
        "a | password\nb | hunter2",
        "cat password | sha256sum",
        "get_password | base64",
        "user, password, city\nbob, badger43, x1",
        "    user,password,city\n    bob,badger43,x1",
        "from a import b,password\nx,y1\n",
        "f(user,password)\ng(bob,b1)",
        "user,password,city\nSELECT badger43 FROM x1\n",
        "user,password\nstring,string",
        "user,password,city\na,b",
        "password  string\nuser      badger43",
        "password,hunter\nuser,badger43",
        "user  password\nbob   required\n",
        "    --user      The user\n    password    The password to use\n    token       The token1\n",
        "type User struct {\n\tName      string1\n\tPassword  string\n\tToken     []byte\n}",
        "    password  text  unique\n    name1     text  unique\n",
        "API_TOKEN       string",
        "API_TOKEN       required",
        "API_TOKEN       $API_TOKEN1",
        "SECRET_KEY   settings.SECRET_KEY1",
        "python-jwt   4.0.1234\nauth-token   1.10.1",
        "ID_TOKEN   0x12ab34cd",
        "test_token   12.3456s",
        "SECRET_KEY   /run/secrets/key1",
        "MAX_TOKENS    40961234",
        "token    identifier",
        "token  the token1 of the user1",
        "key     badger43badger43",
        "id,key\n1,badger43badger43",
        "NAME        TYPE    DATA\ndb-token1   Opaque  1\n",
        "passed  failed\n12      badger43",
        "    pass\n    x = 1",
        "pass,fail\n12,badger43",
        "a passenger  compass\nb badger43  badger43",
        "{ user, apiKey,\n  token1 }",
        "tests  keys\nbadger43  badger43",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert scrub_text(text) == text
    within = {"text": f"first\n\n{text}\n\nlast", "json": json.dumps({"a": text}), "lines": text.split("\n")}
    assert scrub(within) == (within, ({}, None))


def test_where_the_rows_end() -> None:
    text = "user,password\nbob,badger43\n\nsee,badger43\n"
    assert scrub_text(text) == "user,password\nbob,[removed:secret]\n\nsee,badger43\n"


@pytest.mark.parametrize(
    "piece",
    ["| password ", "| password |\n", "|---|\n", "| password |\n|---|\n", "| a |\n", "user,password\n", "a,password,",
     "user  password\n", "password  ", "token\t", "token\\t", "user\\tpassword\\n", "API_TOKEN  a1b2c3d4e5\n",
     "| token | a1b2c3d4\n", '"', '",password\n', '\\"user\\",\\"password\\"\\n', "-", "- ", "token \n", "key ",
     "api_key        ", "key|", "password | a\n--\n", "'password"],
)  # fmt: skip
def test_it_takes_as_long_as_the_text_is(piece: str) -> None:
    took = Stopwatch(time.thread_time)
    scrub_text(piece * (100_000 // len(piece)))
    assert took.fair < 0.75
