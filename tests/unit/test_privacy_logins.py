"""Passwords by where they stand, without a name that says so or in files of their own."""

from __future__ import annotations

import json
import time

import pytest

from muster.domain.privacy import scrub, scrub_text
from muster.domain.secrets.shapes import is_suspicious
from tests.pace import Stopwatch

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
    "password:\n  quietbadger",
    "db:\n  password:\n    quietbadger43\n  user: ada",
    'db_password:\n  "quietbadger and more",',
    "WPA passphrase: correct horse quietbadger staple",
    "passphrase: quietbadger correct horse\nnext",
    "redis-cli -a quietbadger ping",
    "redis-cli --pass quietbadger ping",
    "sqlcmd -S db -U sa -P quietbadger",
    "sqlcmd -S db -U sa -Pquietbadger",
    "mongosh -u bob -p quietbadger",
    "mongodump --host x -p 'quietbadger and more'",
    "ldapsearch -x -w quietbadger",
    'echo "bob:quietbadger" | chpasswd',
    "echo 'bob:quietbadger' | sudo chpasswd",
    "echo quietbadger | docker login -u me --password-stdin",
    "printf '%s' quietbadger | docker login -u me --password-stdin",
    "echo quietbadger | sudo -S ls",
    "zip -r -P quietbadger a.zip b",
    "7z a -pquietbadger a.7z b",
    "cd x && 7z a -pquietbadger a.7z b",
    "ssh-keygen -t ed25519 -N quietbadger -f x",
    "openssl enc -aes-256-cbc -k quietbadger -in a",
    "Kennwort: quietbadger",
    "DB_KENNWORT=quietbadger",
    "dbSenha = 'quietbadger'",
    "contraseña: quietbadger",
    "mot de passe : quietbadger",
    "mot de passe\u00a0: quietbadger43 pour la base",
    "senha: quietbadger43!",
    "Пароль: quietbadger",
    "密码：quietbadger",
    "密码: quietbadger",
    "パスワード: quietbadger",
    "비밀번호: quietbadger",
    '{"contraseña": "quietbadger", "a": 1}',
    "the pw is quietbadger43",
    "Password for bob: quietbadger43",
    "[sudo] password for ada: quietbadger43\nok",
    "pw for user bob@example.org: quietbadger43",
    "user/pass: bob / quietbadger",
    "user/password: bob/quietbadger",
    "Username / Password = bob / quietbadger43",
    "login/pw: bob/quietbadger.",
]
JAGGED = ["tDMdTEyKWQbDyb", "FShjStrSrLQ7zJ", "x7Kq9ZtR2mW4vB8nYcD3fGhJ"]


@pytest.mark.parametrize("value", JAGGED)
@pytest.mark.parametrize("text", ["pw: {}", "pass: {}", "the pw is {}", "Password for bob: {}", "user/pass: a / {}"])
def test_random_letters_are_gone(text: str, value: str) -> None:
    for sent in (text.format(value), f"first\n{text.format(value)}\nlast"):
        assert value not in scrub_text(sent)
        assert value not in scrub_text(json.dumps({"out": sent}))
        assert value not in scrub_text(json.dumps(json.dumps({"out": sent})))
        assert is_suspicious(sent)


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
        "password:\n  type: string", "password:\n  string", "password:\n  required", "Password:\n  ********",
        "if password:\n    return", "password:\n    hashedPassword,", "password:\n    req.body.password,",
        "password:\n  ${PASS}", "password:\nquietbadger", "passphrase: never logged to a file",
        "passphrase: the one of the key", "zip -P $PW x", 'ssh-keygen -N "" -f x', "ssh-keygen -N '' -f x",
        "mongosh -u bob -p --host x", '7z x -p"$PW" a', "cat x.zip | grep -P foo", "cp -a redis-cli x && cp -a a b",
        "mkdir -p mongo x && cp -p a b", "openssl req -new -key a.pem", "openssl s_client; curl -k x",
        "mot de passe : doit contenir 8 lettres", "mot de passe : obligatoire", "la contraseña: nunca se guarda",
        "senha = req.body.senha", "senha: string", "f(senha=senha)", "desenhar: uma coisa", "пароль: не указан",
        "密码：必须至少8位", "비밀번호: 필수", "Kennwort: bitte neu setzen", "パスワード：必須", "senha == user.senha",
        "pass: shouldReturnUser", "pass: 12", "pw: playwright", "pass: testHTTPStringLength", "pass: parsesJSONAndYAML",
        "pass: UserServiceTest", "pass: it2CanDoThis", "pw: usesCSSGrid", "the pw is required",
        "the pw is sha256 hashed",
        "Password for bob: not set", "Password for bob: expired", "password for the database: ${DB_PASSWORD}",
        "[sudo] password for ada: ", "Password for 'https://ada@example.org': ", "user/pass: <user> / <password>",
        "user/password: $USER/$PASS", "user/password/token", "the user/pass are asked for", "username/password login",
        "user/pass: string/string",
        "echo $PW | docker login --password-stdin", "echo hello | sudo tee x", "echo a:b | sudo tee x",
    ],
)  # fmt: skip
def test_what_is_none_stays(text: str) -> None:
    assert scrub_text(text) == text


@pytest.mark.parametrize(
    "piece",
    ["pass: ", "\\npass=", "pw=", "$6$", "a:*:b:c:", "htpasswd -b ", "machine x\n", "login y\npassword ", "$argon2id$",
     "password\x1b[0m", "password\\u001b[0m", "user: a\npass: b!1cc\n", "default\n", "1\t",
     "password:\n  ", "a_password:\n a\n", "passphrase: a ", "passphrase: a a a", "zip -P a ", "zip -P ", "-p 7z ",
     "openssl enc ", "echo a | sudo ", 'echo "', "echo 'a' | chpasswd ", "sudo -S ", "redis-cli -a",
     "senha ", "senha: a ", "密码：", "mot de passe : ", "mot", "contrase",
     "pw is a1 ", "password for ", "password for a: ", "user/pass: a/", "user/pass: ", "pw for user ", "a/",
     "contrase\\", "u043f", "\\u043f"],
)  # fmt: skip
def test_it_takes_as_long_as_the_text_is(piece: str) -> None:
    took = Stopwatch(time.thread_time)
    scrub_text(piece * (100_000 // len(piece)))
    assert took.fair < 0.75
