"""What nobody looks closer at holds nothing that would be taken out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.domain import privacy
from muster.domain.privacy import as_json, scrub, scrub_text
from muster.domain.secrets.shapes import is_suspicious

NAMES = (
    "password", "passwords", "DB_PASSWORD", "passwd", "pwd", "pass", "DB_PASS", "dbPass", "userpass", "ssh_pass",
    "passphrase", "pass-phrase", "passcode", "token", "tokens", "GITHUB_TOKEN", "accessToken", "api_key", "api.key",
    "apiKey", "apikey", "OPENAI_API_KEY", "X-Api-Key", "STRIPE_KEY", "GH_PAT", "gh_pat", "secret", "clientSecret",
    "JWT_SECRET", "secrets", "credential", "credentials", "auth", "_auth", "proxy_auth", "NPM_AUTH", "Authorization",
    "authorization", "Cookie", "Set-Cookie", "cookies", "jwt", "otp", "pin", "pw", "backup_codes", "mnemonic",
    "seed_phrase", "privateKeys", "client-key-data", "account-key", "encryption_key", "signing.key", "sharedKey",
    "refresh_token", "session-token", "id_tokens", "sig", "key", "keypass", "storepass", "name", "data",
    "kennwort", "contraseña", "mot de passe", "密码", "SECRET_KEY_BASE",
)  # fmt: skip
VALUES = (
    "hunter2", "zz11yy22xx33aa44", "word", "4417", "correct horse battery", "geydvqcrixyymavwsejamwcwfyhkgvdc",
    "c2VjcmV0a2V5dmFsdWU=", "ada:hunter2", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "Bearer abcdef123456",
    "A1b2C3d4E5f6G7h8I9j0A1b2C3d4E5f6G7h8I9j0", "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
)  # fmt: skip
TEXTS = (
    "{n}={v}", "{n} = {v}", "{n}  =  '{v}'", "{n}\t=\t{v}", "{n}: {v}", "{n} : {v}", '{n}: "{v}"', '"{n}": "{v}"',
    '\\"{n}\\": \\"{v}\\"', '\\\\\\"{n}\\\\\\":\\\\\\"{v}\\\\\\"', "'{n}' => '{v}'",
    "{n} := `{v}`", "{n}['{n}'] = '{v}'",
    "--{n} {v}", "--{n}={v}", "-{n} {v}", "--my_{n} {v}", "run --{n} '{v}'", "set {n} {v}", "setx {n} {v}",
    "config --global a.{n} {v}", "aws configure set --profile x {n} {v}", "<{n}>{v}</{n}>", "<add {n}='{v}'/>",
    "<add key='{n}' value='{v}'/>", "- name: {n}\n  value: {v}", "{{\"name\":\"{n}\",\"value\":\"{v}\"}}",
    "{{\\\"Name\\\": \\\"{n}\\\",\\\"Value\\\": \\\"{v}\\\"}}", "{n}: |\n  {v}\n", '"{n}": ["{v}"]',
    '"{n}": {{"value": "{v}"}}', "?a=b&{n}={v}", "&{n}={v}", "https://x.example/?{n}={v}", "https://ada:{v}@x.example/",
    "https://{v}@x.example/", "line\n{v}", "line\t{v}", "\x1b[32m{v}", "{n} {v}", "{n}({v})", "f('{n}', '{v}')",
    "setenv('{n}', '{v}')", "{n}: str = '{v}'", "{n} = b'{v}'", "${{{n}:-{v}}}", "curl -u {v} x", "wget --user {v}",
    "kind: Secret\ndata:\n  {n}: {v}", "-H '{n}: {v}'", "login ada {n} {v}", "AKIAIOSFODNN7EXAMPL3:{v}",
    "{n}  {v}", "{n}\t{v}", "| {n} | {v} |", "{n} | {v}", "user,{n}\nbob,{v}", "user\t{n}\tcity\nbob\t{v}\tx",
    "| a | {n} |\n|---|---|\n| b | {v} |", "a | {n}\n--+--\n b | {v}", "user  {n}  x\nbob  {v}  y", "`{n}`  {v}",
    "{n},user\n{v},bob", '"user","{n}"\r\n"bob","{v}"', "gh secret set {n} --body {v}", "net user ada {v} /add",
    "net user {v} {v}", "the {n} is {v}", "{n} for bob: {v}", "user/{n}: bob / {v}", "echo {v} | vercel env add {n}",
    "aws ssm put-parameter --type SecureString --value {v}", "fly secrets set {n}={v}", "pass insert {n} <<< {v}",
    "echo {v} | pass insert x", "echo {v} | vault kv put a b=-", "echo {v} | glab variable set {n}",
    "echo {v} | gh auth login --with-token", "printf %s {v} | wrangler secret put {n}", "{n}: tDMdTEyKWQbDyb",
)  # fmt: skip


def _holding(text: str) -> Iterator[Any]:
    yield {"text": text}
    yield {"lines": ["before", text, "after"]}
    yield [{"a": {"b": "x\n" + text}}]
    yield text.split(" ")
    yield {text: 1}


def _naming(name: str, value: str) -> Iterator[Any]:
    yield {name: value, "n": 1}
    yield {"env": [{"name": name, "value": value}]}
    yield {"Environment": [{"Name": name, "Value": value}]}
    yield {"ParameterKey": name, "ParameterValue": [value]}
    yield {"headers": [[name, value]]}
    yield {"rawHeaders": ["Host", "x", name, value]}
    yield {"argv": ["run", "--" + name, value]}
    yield {name: [value, {"x": 12345}]}
    yield {name: {"value": value}}
    yield {"kind": "Secret", "data": {name: value}}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "is_suspicious", lambda text: True)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("shape", TEXTS)
def test_what_would_be_taken_out_is_looked_at(shape: str) -> None:
    for name in NAMES:
        for value in VALUES:
            text = shape.format(n=name, v=value)
            for sent in _holding(text) if value in VALUES[:2] else [{"text": text}]:
                if scrub(sent)[1].kinds:
                    assert is_suspicious(as_json(sent).decode()), sent
            if scrub_text(text) != text:
                assert is_suspicious(text), text


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", NAMES)
def test_what_would_be_taken_out_by_its_name_is_looked_at(name: str) -> None:
    for value in VALUES:
        for sent in _naming(name, value):
            if scrub(sent)[1].kinds:
                assert is_suspicious(as_json(sent).decode()), sent


_SPACES = st.text(" \t\n\r,:;\\\"'`=>[]{}()-_.", max_size=6)
_PARTS = st.sampled_from([*NAMES, *VALUES, "set", "config", "curl", "name", "value", "://", "@", "é"]) | _SPACES
_ANYTHING = st.lists(_PARTS, min_size=2, max_size=9).map("".join)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(_ANYTHING, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANYTHING, inner, max_size=3))
)
def test_whatever_would_be_taken_out_is_looked_at(sent: Any) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(privacy, "is_suspicious", lambda text: True)
        removed = scrub(sent)[1]
    if removed.kinds:
        assert is_suspicious(as_json(sent).decode()), sent


@pytest.mark.parametrize(
    "part",
    ["://:", "set key ", "-a_", "token ", "key\\", "-", "eyJ", "\\neyJ", "://a:", 'key"', "config -a_token", ":"],
)
def test_looking_takes_as_long_as_the_text_is(part: str) -> None:
    began = time.thread_time()
    is_suspicious("://" + part * (200_000 // len(part)))
    assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        "14 passed in 2.31 s",
        "all tests passed",
        "passengers",
        "it parses library files",
        '{"tool_name": "Edit"}',
        "zipped",
    ],
)
def test_what_is_sent_most_is_not_looked_at(text: str) -> None:
    assert not is_suspicious(text)
