"""What a command has another machine, a container or another shell run: where, and the commands in it."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import NamedTuple

from muster.domain.rules.options import behind_options
from muster.domain.rules.steps import Step, steps


class Sent(NamedTuple):
    place: str
    """The host, the container or the pod. Empty: here, in another shell."""
    steps: tuple[Step, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SSH = _words("-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -P -Q -R -S -W -w")
_EXEC = _words(
    """
    -e --env --env-file -u --user -w --workdir --detach-keys --index -n --namespace --context -c --container
    --kubeconfig --cluster -f --filename --pod-running-timeout -s --server --token --request-timeout -H --host -p
    --project-name --file --profile --project-directory --progress --tls-server-name --cwd
    """
)
_CONTAINERS = _words("docker podman nerdctl docker-compose podman-compose kubectl oc crictl lxc incus")
_TO_HOSTS = _words("ssh autossh")
_SHELLS = _words("sh bash zsh dash ksh ash fish su")
_GIVEN = {
    ("aws", "ecs"): ("--command",),
    ("gcloud", "compute"): ("--command",),
    ("fly", "ssh"): ("-C", "--command"),
    ("flyctl", "ssh"): ("-C", "--command"),
    ("vagrant", "ssh"): ("-c", "--command"),
    ("aws", "ssm"): ("--parameters",),
}
"""The option behind which it stands, by the program and the first word."""
_OF_SSM = re.compile(r"\W{0,4}commands?\W{1,6}")
_DEEP = 3
"""Shells within shells."""


def sent(step: Step) -> Sent | None:
    """None: it has nothing run elsewhere, or nobody can tell what."""
    return _sent(step.words, step.name)


def _sent(words: tuple[str, ...], name: str) -> Sent | None:
    if name in _TO_HOSTS:
        at = behind_options(words, _SSH, 1)
        return _at(words[at : at + 1], " ".join(_without_strokes(words[at + 1 :])))
    if name in _SHELLS:
        given = next((after for word, after in pairwise(words) if re.fullmatch(r"-[a-z]{0,3}c|--command", word)), "")
        return _at(("",), given)
    if name in _CONTAINERS and "exec" in words[1:3]:
        begins = words.index("exec", 1) + 1
        at = behind_options(words, _EXEC, begins)
        rest = words[behind_options(words, _EXEC, at + 1) :]
        return _at(words[at : at + 1], shlex.join(_without_strokes(rest)))
    options = _GIVEN.get((name, words[1] if words[1:] else ""), ())
    for word, after in pairwise((*words, "") if options else ()):
        option, is_set, value = word.partition("=")
        if option in options:
            given = value if is_set else after
            return _at(words[1:2], _of_ssm(given) if option == "--parameters" else given)
    return None


def _at(place: tuple[str, ...], command: str) -> Sent | None:
    found = steps(command) if place and command.strip() else ()
    return Sent(place[0], found) if found else None


def _without_strokes(words: tuple[str, ...]) -> tuple[str, ...]:
    return words[1:] if words[:1] == ("--",) else words


def _of_ssm(given: str) -> str:
    """`commands=["tail -n 9 a.log"]`, with or without its brackets and quotes."""
    return re.sub(r"['\"], ?['\"]", "; ", _OF_SSM.sub("", given, count=1)).strip("[]{}\"' ")


def _inner(step: Step) -> tuple[Step, ...]:
    there = sent(step)
    return there.steps if there else (step,)


def run_in(step: Step) -> tuple[Step, ...]:
    """What is run in the end, wherever: itself, where it has nothing run elsewhere."""
    found: tuple[Step, ...] = (step,)
    for _ in range(_DEEP):
        inner = tuple(part for one in found for part in _inner(one))[:20]
        if inner == found:
            break
        found = inner
    return found
