"""Secrets as words of the commands that put them into a store."""

from __future__ import annotations

import json
import shlex
import time

import pytest

from muster.domain.privacy import as_json, scrub, scrub_text
from muster.domain.secrets.shapes import is_suspicious
from tests.pace import Stopwatch

VALUES = ("x7Kq9ZtR2mW4vB8nYcD3fGhJ", "badger43", "tDMdTEyKWQbDyb")
GONE = [
    "gh secret set X --body {}",
    "gh secret set X --body={}",
    'gh secret set X --body "{}"',
    'gh secret set X -b"{}"',
    "gh secret set X -b {}",
    "gh -R a/b secret set X --env prod -b '{}' && ls",
    'gh secret set X <<< "{}"',
    "gh secret set X <<<{}",
    "docker login -u me --password-stdin <<< '{}'",
    "echo {} | gh secret set X",
    'echo "{}" | wrangler secret put X',
    "echo '{}' | npx wrangler secret put X --env prod",
    "echo {} | vercel env add X production",
    'echo -n "{}" | gcloud secrets create x --data-file=-',
    "printf '{}' | gcloud secrets versions add x --data-file=-",
    "echo {} | gcloud secrets create x --project p --data-file -",
    'printf %s "{}" | docker login -u me --password-stdin',
    "printf %s {} | docker secret create x -",
    "echo {} | gh auth login --with-token",
    "kubectl create secret generic db --from-literal=pass={}",
    "kubectl create secret generic db --from-literal=a='{}' --dry-run=client",
    "kubectl create secret generic db '--from-literal=a={}'",
    "kubectl -n prod create secret generic db --from-literal user={}",
    "oc --context x create -n y secret generic db --from-file=a --from-literal=any={}",
    "kubectl create secret generic db \\\n  --from-literal=user={}",
    "aws ssm put-parameter --name /db/x --type SecureString --value {}",
    'aws --profile p ssm put-parameter --value "{}" --overwrite --type SecureString --name /x',
    "aws ssm put-parameter --name /db/x \\\n  --value={} \\\n  --type=SecureString",
    "aws secretsmanager create-secret --name x --secret-string '{}'",
    "aws secretsmanager put-secret-value --secret-id x --secret-string {}",
    "aws secretsmanager update-secret --secret-id x --secret-string '{{\"user\":\"ada\",\"x\":\"{}\"}}'",
    "aws secretsmanager put-secret-value --secret-id x --secret-string \"{{\\\"x\\\":\\\"{}\\\"}}\"",
    "az keyvault secret set --vault-name v --name n --value {}",
    "az keyvault secret set --value='{}' --vault-name v -n n",
    "fly secrets set FOO={}",
    "fly secrets set DATABASE_PASSWORD=abc1 FOO={}",
    "flyctl secrets set -a app FOO={} BAR=abc1",
    "supabase secrets set 'FOO={}'",
    'doppler secrets set FOO="{}"',
    "doppler secrets set FOO {}",
    "pulumi config set --secret NAME {}",
    "pulumi -s dev config set NAME {} --secret",
    "net user bob {} /add",
    "net.exe user bob {} /add /domain",
    "dotnet user-secrets set Db:Pass {}",
    'sh -c "gh secret set X --body {}"',
    "kubectl exec pod -- sh -c 'gh secret set X --body {}'",
    "npx x && /usr/local/bin/gh secret set X -b {}; ls",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("text", GONE)
def test_it_is_gone(text: str, value: str) -> None:
    for sent in (text.format(value), f"$ ls\n{text.format(value)}\nok\n"):
        kept = scrub_text(sent)
        assert value not in kept
        assert scrub_text(kept) == kept
        assert is_suspicious(sent)
        assert is_suspicious(as_json({"command": sent}).decode())
        assert kept.endswith("\nok\n") or not sent.endswith("\nok\n")
        for depth in range(2):
            sent = json.dumps({"command": sent, "then": 1})
            kept = scrub_text(sent)
            assert value not in kept, f"as JSON within a text, {depth}"
            json.loads(kept)
            assert json.loads(kept)["then"] == 1


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("text", [text for text in GONE if not set("|<&;\n") & set(text)])
def test_as_a_list_of_words(text: str, value: str) -> None:
    words = shlex.split(text.format(value))
    kept = scrub({"argv": words})[0]["argv"]
    assert value not in json.dumps(kept)
    assert len(kept) == len(words)
    assert is_suspicious(as_json({"argv": words}).decode())
    assert kept[0] == words[0]


@pytest.mark.parametrize("text", ["gh secret set X --body {}", "fly secrets set FOO={}", "net user bob {} /add"])
def test_as_a_list_of_words_in_a_text(text: str) -> None:
    for sent in (json.dumps(text.format("badger43").split()), json.dumps({"a": json.dumps(text.split())})):
        assert "badger43" not in scrub_text(sent)
        json.loads(scrub_text(sent))


@pytest.mark.parametrize(
    "text",
    [
        "gh secret set X --body $TOKEN", 'gh secret set X --body "${TOKEN}"', 'gh secret set X --body "$(cat a1)"',
        "gh secret set X --body <value>", "gh secret set X < file1.txt", "gh secret set -f .env",
        "gh secret list -a b1",
        "gh secret set X --body `cat a1`", "gh secret set NAME --body VALUE", "gh pr create --body badger43",
        "gh pr create --title secret --body 'set the secret1'", "gh issue create -b badger43",
        "echo $TOKEN | gh secret set X", "echo badger43 | gh pr create", "echo badger43 | sort | uniq",
        "cat a1 | wrangler secret put X", "vercel env ls && echo badger43 | wc", "vercel env add X production",
        "gcloud secrets create x --data-file=file1.txt", "gcloud secrets versions access latest1 --secret=x",
        "echo badger43 | gcloud secrets list", "grep badger43 <<< \"$text\"", "grep -c secret <<< badger43",
        "kubectl create configmap c --from-literal=mode=fast1", "kubectl create secret generic db --from-file=a1",
        "kubectl create secret generic db --from-literal=pass=$PASS", "kubectl get secret db1 -o yaml",
        "kubectl create secret tls t1 --cert=a1.pem --key=b1.pem",
        "kubectl create secret generic db --from-literal=a=<value1>",
        "aws ssm put-parameter --name /a --type String --value badger43",
        "aws ssm put-parameter --name /a --type SecureString --value file://a1.txt",
        "aws secretsmanager create-secret --name badger43 --description 'of badger43'",
        "aws secretsmanager create-secret --name x --secret-string file://a1.json",
        "aws secretsmanager get-secret-value --secret-id badger43 --query SecretString",
        "aws s3 cp a1 s3://secret1/b1", "az keyvault secret show --vault-name v1 --name n1",
        "az keyvault secret set --vault-name v1 --name n1 --file a1.txt", "az keyvault secret set --value @a1.txt",
        "fly secrets set FOO=$FOO BAR=${BAR} BAZ=$(cat x1)", "fly secrets list -a app1", "fly deploy --env A=badger43",
        "fly secrets set NAME=VALUE", "fly secrets unset FOO1", "pulumi config set region1 eu-west1",
        "pulumi config set --secret NAME $VALUE", "pulumi config set --secret NAME", "net user bob * /add",
        "net user bob /delete", "net user bob", "dotnet user-secrets init --id a1", "dotnet add package net7",
        "the net user count1 of badger43", "internet user badger43 was added", "use gh secret set to set it1",
        'run("gh secret set X --body " + token)', "run(f'gh secret set X --body {token1}')",
        'f("gh secret set X --body ", "badger43")', "subprocess.run(['gh', 'secret', 'set', name1])",
        "A k8s secret is set with kubectl create secret generic name1 and then used1.",
        "doppler secrets get FOO1 --plain", "doppler secrets set FOO $FOO", "supabase secrets list --project-ref a1",
    ],
)  # fmt: skip
def test_what_is_none_stays(text: str) -> None:
    assert scrub_text(text) == text
    within = {"command": f"first\n{text}\nlast", "text": json.dumps({"a": text})}
    assert scrub(within) == (within, ({}, None))


@pytest.mark.parametrize(
    "piece",
    ["gh secret set ", "gh secret set X --body ", "gh secret set X -b'a ", "gh \"'", "aws ", "aws secret 'aws ", "net ",
     'net user "', "fly secrets set A=", "fly secrets set A=b ", "kubectl create secret --from-literal=a=b ",
     'gh", "', '"gh", "secret", "set", "a", ', "gh \\\\\\\\n", "echo a | gh secret set ", "secret <<< a", "<<<secret ",
     "gh secret set X -b {\"", "gh secret $(", "aws ssm secret <a", "pulumi config set --secret a b ", "secret k ",
     "echo a | gcloud secrets create ", "printf %s a | "],
)  # fmt: skip
def test_it_takes_as_long_as_the_text_is(piece: str) -> None:
    took = Stopwatch(time.thread_time)
    scrub_text(piece * (100_000 // len(piece)))
    assert took.fair < 0.75
