"""What stands under the name of a secret is gone whatever its shape, but for what only says what stands there."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.privacy import scrub, scrub_text

GONE = "[removed:secret]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "mysecretpassword"),
        ("password", "secret"),
        ("password", "my secret token phrase"),
        ("password", "Forgot about horses?"),
        ("password", "?!$%&"),
        ("POSTGRES_PASSWORD", "mysecretpassword"),
        ("POSTGRES_PASSWORD", "password"),
        ("clientSecret", "topsecret"),
        ("SECRET_KEY_BASE", "topsecret"),
        ("kennwort", "correct horse"),
        ("mot_de_passe", "quietbadger"),
        ("contraseña", "quietbadger"),
        ("contrasen\u0303a", "quietbadger"),
        ("senha", "quietbadger"),
        ("dbSenha", "quietbadger"),
        ("пароль", "quietbadger"),
        ("密码", "quietbadger"),
        ("数据库密码", "quietbadger"),
        ("secret", "mytoken"),
        ("api.key", "word"),
        ("apiKey", "keyword"),
        ("cookie", "cookiemonster"),
        ("BOT_TOKEN", "quietbadgerword"),
        ("GITHUB_TOKEN", "correct-horse-battery"),
        ("bot_token", "quietbadger"),
        ("botToken", "Zxcvbnmasdfg"),
        ("slack-bot-token", "quietbadger"),
        ("X-CSRF-Token", "quietbadger"),
        ("githubAppToken", "1234567812345678"),
        ("token", "correct-horse-battery"),
        ("token", "Zxcvbnmasdfg"),
    ],
)
def test_what_stands_under_it_is_gone(name: str, value: str) -> None:
    assert scrub({name: value})[0] == {name: GONE}
    assert scrub({name: [value]})[0] == {name: [GONE]}
    assert scrub({"name": name, "value": value})[0] == {"name": name, "value": GONE}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "string"),
        ("password", "Password"),
        ("password", "SecretStr"),
        ("secret", "boolean"),
        ("type", "password"),
        ("PWD", "/home/me"),
        ("clientSecret", "Client secret"),
        ("apiKey", "API Key"),
        ("DB_PASSWORD", "DB_PASSWORD"),
        ("confirmPassword", "Please confirm your new password"),
        ("password", "must have at least 12 characters"),
        ("passwort", "Passwort vergessen?"),
        ("password", "********"),
        ("kennwort", "Kennwort vergessen?"),
        ("contraseña", "Contraseña"),
        ("desenha", "quietbadger"),
        ("senha", "string"),
        ("password", "[removed:secret]"),
        ("max_tokens", "4096"),
        ("MAX_TOKEN", "4096"),
        ("token_count", "quietbadger"),
        ("input_token", "quietbadger"),
        ("token", "end_of_text"),
        ("token", "string-literal-start"),
        ("token", "whitespace"),
        ("token", "github-app-token"),
        ("eos_token", "end_of_text"),
        ("nextToken", "quietbadger"),
        ("tokenType", "quietbadger"),
        ("token_type", "bearer"),
        ("GITHUB_TOKEN", "${{ secrets.GITHUB_TOKEN }}"),
        ("GITHUB_TOKEN", "$BOT_TOKEN"),
        ("bot_token", "string"),
        ("bot_token", "true"),
        ("bot_token", "is missing"),
        ("botToken", "Bot token"),
    ],
)
def test_what_only_says_what_stands_there_stays(name: str, value: str) -> None:
    assert scrub({name: value}) == ({name: value}, ({}, None))


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "GITHUB_TOKEN", "JWT_SECRET", "X-Api-Key", "GH_PAT", "NPM_AUTH"])
@pytest.mark.parametrize(
    ("called", "told"),
    [("name", "value"), ("Name", "Value"), ("key", "value"), ("ParameterKey", "ParameterValue"), ("label", "value")],
)
def test_a_name_and_a_value_under_names_of_their_own(name: str, called: str, told: str) -> None:
    sent = {"env": [{called: name, told: "zz11yy22xx33aa44"}, {called: "MODE", told: "zz11yy22xx33aa44"}]}
    kept = {"env": [{called: name, told: GONE}, {called: "MODE", told: "zz11yy22xx33aa44"}]}
    assert scrub(sent)[0] == kept
    text = f"env:\n  - {called}: {name}\n    {told}: zz11yy22xx33aa44\n"
    if told in ("value", "Value"):
        assert scrub_text(text) == text.replace("zz11yy22xx33aa44", GONE)


def test_a_field_of_a_form_and_its_value() -> None:
    sent = {"fields": [{"type": "password", "value": "hunter2"}, {"type": "text", "value": "hunter2"}]}
    assert scrub(sent)[0] == {"fields": [{"type": "password", "value": GONE}, {"type": "text", "value": "hunter2"}]}


# -- Kubernetes -------------------------------------------------------------------------------------------------------

MANIFEST = """\
apiVersion: v1
data:
  api.key: c2VjcmV0a2V5dmFsdWU=
  user: YWRh
  tls.crt: |
    TUlJRGRUQ0NBbDJnQXdJQkFnSUxCQUFB
    QUFBQUFBRkJRVUZCUVVGQlFVRT0=
  empty: ""
kind: Secret
metadata:
  name: db
  labels:
    data: kept
---
apiVersion: v1
kind: ConfigMap
data:
  mode: fast
"""
KEPT = """\
apiVersion: v1
data:
  api.key: [removed:secret]
  user: [removed:secret]
  tls.crt: [removed:secret]
  empty: ""
kind: Secret
metadata:
  name: db
  labels:
    data: kept
---
apiVersion: v1
kind: ConfigMap
data:
  mode: fast
"""


def _numbered(text: str, form: str) -> str:
    return "\n".join(form.format(n, line) for n, line in enumerate(text.split("\n"), 1))


def test_data_of_a_secret_of_kubernetes_is_gone() -> None:
    assert scrub_text(MANIFEST) == KEPT
    assert scrub({"stdout": MANIFEST})[0] == {"stdout": KEPT}
    assert scrub_text(KEPT) == KEPT


def test_also_with_the_numbers_of_its_lines_and_in_a_diff() -> None:
    for form in ("{:6}→{}", "{}\t{}", "+{1}"):
        kept = scrub_text(_numbered(MANIFEST, form))
        assert "YWRh" not in kept
        assert "c2Vj" not in kept
        assert "QUFBQUFB" not in kept
        assert "mode: fast" in kept


def test_in_a_list_of_several_only_those_that_are_secrets() -> None:
    text = """\
items:
- apiVersion: v1
  kind: ConfigMap
  data:
    mode: fast
- apiVersion: v1
  stringData:
    user: ada
  kind: "Secret"
"""
    assert scrub_text(text) == text.replace("user: ada", "user: [removed:secret]")


@pytest.mark.parametrize(
    "text",
    [
        "data:\n  user: ada\nkind: ConfigMap\nmetadata:\n  name: Secret\n",
        "kind: SecretStore\ndata:\n  user: ada\n",
        "kind: Secret\ntype: Opaque\ndata:\n  user: {{ .Values.user }}\n  other: ${OTHER}\n",
        "A Secret of any kind has data: see the page.\ndata: none\nkind: Secret\n",
    ],
)
def test_what_is_no_data_of_one_stays(text: str) -> None:
    assert scrub_text(text) == text


def test_one_that_is_json() -> None:
    secret: dict[str, Any] = {"kind": "Secret", "data": {"user": "YWRh", "id": None}, "metadata": {"name": "db"}}
    other = {"kind": "ConfigMap", "data": {"mode": "fast"}}
    kept = {"kind": "Secret", "data": {"user": GONE, "id": None}, "metadata": {"name": "db"}}
    assert scrub({"items": [secret, other]})[0] == {"items": [kept, other]}
    text = '{"apiVersion": "v1", "data": {"user": "YWRh", "more": "bW9yZQ=="}, "kind": "Secret"}'
    gone = '{"apiVersion": "v1", "data": {"user": "[removed:secret]", "more": "[removed:secret]"}, "kind": "Secret"}'
    assert scrub_text(text) == gone
    assert scrub_text(text.replace('"', '\\"')) == gone.replace('"', '\\"')
