"""Programs of many commands: which of them is meant, whatever options stand before it."""

from __future__ import annotations

from muster.domain.rules.options import behind_options


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KUBECTL = _words(
    """
    -n --namespace --context --cluster --kubeconfig -s --server --user --token --as --as-group --as-uid --cache-dir
    --request-timeout --certificate-authority --client-certificate --client-key --tls-server-name -v --username
    --password
    """
)
_DOCKER = _words(
    """
    -H --host -c --context --config -l --log-level --tlscacert --tlscert --tlskey --url --connection --identity --root
    --runroot --cgroup-manager --storage-driver -n --namespace -a --address
    """
)
_COMPOSE = _words(
    """
    -f --file -p --project-name --profile --env-file --project-directory --ansi --progress --parallel -H --host -c
    --context
    """
)
_FLY = _words("-a --app -c --config -t --access-token")
_VALUED: dict[str, frozenset[str]] = {
    "kubectl": _KUBECTL,
    "oc": _KUBECTL,
    "helm": _words(
        """
        -n --namespace --kube-context --kubeconfig --kube-apiserver --kube-token --kube-as-user --kube-as-group
        --kube-ca-file --registry-config --repository-cache --repository-config --burst-limit --qps
        """
    ),
    "docker": _DOCKER,
    "podman": _DOCKER,
    "nerdctl": _DOCKER,
    "docker-compose": _COMPOSE,
    "podman-compose": _COMPOSE,
    "gh": _words("-R --repo --hostname"),
    "glab": _words("-R --repo"),
    "aws": _words(
        """
        --region --profile --output --query --endpoint-url --color --ca-bundle --cli-read-timeout
        --cli-connect-timeout
        """
    ),
    "gcloud": _words(
        """
        --project --account --format --configuration --verbosity --billing-project --impersonate-service-account
        --access-token-file --flatten
        """
    ),
    "az": _words("--subscription -o --output --query"),
    "terraform": frozenset(),
    "tofu": frozenset(),
    "systemctl": _words(
        "-H --host -M --machine -t --type -p --property -n --lines -o --output --root --state --job-mode -s --signal"
    ),
    "heroku": _words("-a --app -r --remote"),
    "fly": _FLY,
    "flyctl": _FLY,
    "vercel": _words("-t --token -S --scope -A --local-config --cwd"),
    "cargo": _words("--color --config -Z -C"),
    "go": _words("-C"),
    "make": _words("-C --directory -f --file --makefile -I --include-dir -o -W"),
    "just": _words("-f --justfile -d --working-directory --set"),
    "npm": _words("--prefix -C -w --workspace --userconfig --registry --loglevel"),
    "pnpm": _words("-C --dir -F --filter --loglevel"),
    "yarn": _words("--cwd"),
    "bun": _words("--cwd"),
    "pm2": frozenset(),
}
"""Options that have a value and may stand before what a program is told to do."""
_NO_COMMAND = "+0123456789"
"""How words begin that are none: `+nightly` of cargo, the 8 of `make -j 8`."""
_GROUPS = {
    "docker": "compose", "podman": "compose", "nerdctl": "compose", "npm": "run", "pnpm": "run", "yarn": "run",
    "bun": "run",
}  # fmt: skip
"""Commands that have options and commands of their own."""
_NESTED = frozenset(["gh", "glab", "aws", "gcloud", "az"])
"""All of whose commands do."""


def command_first(words: list[str]) -> list[str]:
    """`kubectl -n shop logs web` as `kubectl logs -n shop web`."""
    name = words[0].rpartition("/")[2] if words else ""
    if name not in _VALUED:
        return words
    if name in _NESTED:
        return _sent_back(words, _VALUED[name])
    words = _brought(words, 1, _VALUED[name])
    group = _GROUPS.get(name)
    return _brought(words, 2, _COMPOSE | _VALUED[name]) if group and words[1:2] == [group] else words


def _brought(words: list[str], start: int, valued: frozenset[str]) -> list[str]:
    at = behind_options(words, valued, start, _NO_COMMAND)
    if at == start or at >= len(words) or words[at - 1] == "--":
        return words
    return [*words[:start], words[at], *words[start:at], *words[at + 1 :]]


def _sent_back(words: list[str], valued: frozenset[str]) -> list[str]:
    """Behind everything that is not for another program."""
    at = behind_options(words, valued, 1)
    end = words.index("--", at) if "--" in words[at:] else len(words)
    return [words[0], *words[at:end], *words[1:at], *words[end:]] if at < len(words) else words
