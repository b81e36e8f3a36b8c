"""What a command does that runs something elsewhere, or says where before it says what: whose words it prints."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import commands
from tests.pace import Stopwatch
from tests.unit.rules.observing import TRACEBACK, made, only, tool

PANIC = "panic: redis: connection pool exhausted (max=10)"
REFUSED = "fatal: could not open the queue"
READS_A_LOG = [
    "kubectl -n shop logs cart-7d9f --previous",
    "kubectl --context prod logs deploy/mail",
    "kubectl --context=prod -n shop logs deploy/mail --tail=50 | grep -v health",
    "kubectl logs cart -n shop",
    "cd infra && kubectl --kubeconfig prod.yaml --namespace shop logs -f cart",
    "oc -n shop logs dc/cart",
    "docker --context prod logs web",
    "docker -H tcp://web1:2375 logs web",
    "docker compose -f docker-compose.prod.yml logs web",
    "docker --context prod compose -p shop -f a.yml logs --tail 20 web",
    "docker-compose -f a.yml logs web",
    "docker service logs shop_web",
    "podman --remote logs web",
    "gh -R shop/api run view 4711 --log-failed",
    "aws --profile prod --region eu-west-1 logs tail /shop/api",
    "gcloud --project shop logging read 'severity>=ERROR'",
    "heroku logs -a shop",
    "journalctl -u nginx",
    "sudo dmesg",
    "ssh web1 'journalctl -u nginx -n 2'",
    "ssh web1 journalctl -u nginx -n 2",
    "ssh -i ~/.ssh/key -p 2222 -o ConnectTimeout=5 ops@web1 -- tail -n 50 /var/log/app.log",
    "ssh web1 'cd /srv && sudo docker logs web 2>&1 | tail -20'",
    "ssh web1 \"sudo grep -n error /var/log/app.log | tail\"",
    "docker exec web cat /var/log/app.log",
    "docker exec -it -u root web sh -c 'tail -n 20 /var/log/app.log'",
    "docker compose -f a.yml exec -T web tail -n 5 /var/log/app.log",
    "kubectl -n shop exec deploy/cart -c app -- cat /var/log/app.log",
    "kubectl exec -it cart -n shop -- sh -c 'tail /var/log/app.log'",
    "ssh web1 docker exec web cat /var/log/app.log",
    "aws ssm send-command --instance-ids i-1 --parameters 'commands=[\"tail -n 9 /var/log/app.log\"]'",
    "aws ecs execute-command --cluster shop --task 1 --command 'cat /var/log/app.log'",
    "gcloud compute ssh web1 --zone a --command='journalctl -u nginx'",
    "bash -c 'kubectl -n shop logs cart'",
    "zcat /var/log/app.log.1.gz",
]  # fmt: skip


@pytest.mark.parametrize("command", READS_A_LOG)
@pytest.mark.parametrize("said", [PANIC, TRACEBACK, REFUSED])
def test_what_a_log_says_is_no_failure_of_its_reader(command: str, said: str) -> None:
    found = made(tool("Bash", {"command": command}, {"stdout": said, "stderr": ""}))
    assert [one.type for one in found] == ["discovery"]
    assert said.strip().split("\n")[-1] in (found[0].narrative or "")
    assert not commands.mutates(command)


@pytest.mark.parametrize(
    ("command", "title"),
    [
        ("kubectl -n shop rollout restart deploy/cart", "kubectl rollout fails: panic: "),
        ("kubectl --context prod run job --image shop", "kubectl run fails: panic: "),
        ("kubectl -n shop exec cart -- ./migrate", "kubectl exec fails: panic: "),
        ("docker --context prod run web", "docker run fails: panic: "),
        ("docker compose -f a.yml exec web ./migrate", "docker compose fails: panic: "),
        ("ssh web1 './deploy.sh'", "ssh fails: panic: "),
        ("ssh web1 'journalctl -n 2; ./deploy.sh'", "ssh fails: panic: "),
        ("ssh web1 'cat a.log > b.log'", "ssh fails: panic: "),
        ("ssh web1", "ssh fails: panic: "),
        ("make -C api -j 8 migrate", "make migrate fails: panic: "),
        ("cargo +nightly run", "cargo run fails: panic: "),
        ("npm --prefix web run seed", "npm run seed fails: panic: "),
        ("bash -c './deploy.sh'", "bash fails: panic: "),
    ],
)
def test_what_does_something_fails_by_what_it_says(command: str, title: str) -> None:
    one = only(tool("Bash", {"command": command}, {"stdout": PANIC, "stderr": ""}))
    assert (one.type, one.title[: len(title)]) == ("error", title)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ssh web1 'journalctl -u nginx'", "ssh: connect to host web1 port 22: Connection refused"),
        ("ssh ops@web1 tail a.log", "ops@web1: Permission denied (publickey)."),
        ("kubectl -n shop logs cart", 'Error from server (NotFound): pods "cart" not found'),
        ("kubectl -n shop logs cart", "Unable to connect to the server: dial tcp: i/o timeout"),
        ("docker --context prod logs web", "Error response from daemon: No such container: web"),
    ],
)
def test_a_log_that_is_not_there_is_a_failure(command: str, said: str) -> None:
    assert only(tool("Bash", {"command": command}, {"stdout": "", "stderr": said})).type == "error"
    log = "\n".join([said, *["GET / 200"] * 20])
    assert only(tool("Bash", {"command": command}, {"stdout": log, "stderr": ""})).type == "discovery"
    code = tool("Bash", {"command": command}, {"stdout": "it did not go"}, exit_code=1)
    assert only(code).title.startswith(" ".join(("ssh",) if command[0] == "s" else (command.split()[0], "logs")))


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("kubectl -n shop logs cart", "kubectl logs"),
        ("kubectl --context prod get pods", "kubectl get"),
        ("docker --context prod build .", "docker build"),
        ("make -C api test", "make test"),
        ("make -j8 -f a.mk test", "make test"),
        ("make", "make"),
        ("make -j8", "make"),
        ("cargo +nightly test", "cargo test"),
        ("npm --prefix web run build", "npm run build"),
        ("npm -w web test", "npm test"),
        ("go -C api test ./...", "go test"),
        ("git -C api push", "git push"),
        ("kubectl exec -n shop cart -- ls -n 3", "kubectl exec"),
        ("kubectl -- get", "kubectl get"),
    ],
)
def test_the_value_of_an_option_is_not_what_is_done(command: str, program: str) -> None:
    assert commands.program(command) == program


def test_options_may_stand_before_or_behind() -> None:
    assert commands.covers("kubectl -n shop apply -f a.yaml", "kubectl apply -n shop -f a.yaml")
    assert not commands.covers("kubectl -n shop apply -f a.yaml", "kubectl -n mail apply -f a.yaml")
    assert commands.is_check("docker exec web pytest -q")
    assert commands.is_check("make -C api test")
    assert commands.alters("docker exec web ./migrate")
    assert commands.is_harmless("ssh web1 'tail /var/log/app.log'")


def test_hostile_words_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("-n ", "--context=", "exec ", "-- ", "ssh ", "sh -c ", "'", "commands=", "compose -f ", "+ ", "log "):
        text = bit * (20_000 // len(bit))
        for program in ("kubectl", "docker", "ssh", "bash -c", "aws ssm --parameters", "make", "docker exec", "gcloud"):
            commands.shows_logs(f"{program} {text}")
            commands.mutates(f"{program} {text}")
    assert began.fair < 3
