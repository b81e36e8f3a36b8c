"""What makes a test pass without mending anything: it is deleted, or skipped; and failures that no edit mends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules.reading import Act
from muster.domain.rules.steps import steps
from muster.domain.rules.text import unique

REMOVED, SKIPPED = "removed", "skipped"
MAX_NAMES = 6

_OF_TESTS = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__|e2e)/|(?:^|/)(?:test_[^/]*|conftest)\.py$|[._](?:test|spec)\.\w{1,5}$|"
    r"_test\.\w{1,5}$|Tests?\.(?:java|kt|cs|swift|php)$|_spec\.rb$"
)
_TEST = re.compile(
    r"^[ \t]{0,40}(?:(?:async )?def (test\w{0,120})|"
    r"(?:it|test|describe|context|specify)\(\s{0,9}(['\"`][^'\"`\n]{1,160}['\"`])|"
    r"func (?:\([^)\n]{1,60}\) )?(Test\w{1,120})|(?:pub )?fn (test\w{0,120})|class (Test\w{0,120})|"
    r"(?:public |private |protected |internal )?(?:final )?(?:void|function|fun|func) (test\w{0,120}))",
    re.MULTILINE,
)
_SKIPS = re.compile(
    r"@?(?:pytest\.)?mark\.(?:skip|xfail)\w{0,4}\b|pytest\.(?:skip|xfail|importorskip)\(|@(?:unittest\.)?(?:skip\w{0,8}|"
    r"expectedFailure)\b|\b(?:self\.)?skipTest\(|\b(?:it|test|describe|context|suite)\.(?:skip|todo|failing)\b|"
    r"\b(?:xit|xtest|xdescribe)\(|\bt\.Skip(?:f|Now)?\(|#\[ignore\b|@(?:Disabled|Ignore)\b|\[(?:Fact|Theory)\(Skip\b|"
    r"\bmarkTestSkipped\(|\bpending\b ?['\"(]"
)
_BESIDE = re.compile(r"\s{0,80}(?:(?:import|from|using|use) [^\n]{1,160}|[)\]}\s,;]{0,9}|#[^\n]{0,300}|//[^\n]{0,300})")
"""Lines that do nothing by themselves."""
_REASON = re.compile(r"\s{0,80}(?:reason ?= ?)?['\"][^\n]{0,300}['\"],?\)?")
_CACHE = r"(?:[/.](?:cache|npm|cargo|m2|gradle|nuget)\b|/tmp/|/var/(?:tmp|cache|run)/|docker\.sock)"
_ENVIRONMENT = re.compile(
    r"Read-only file system|No space left on device|Disk quota exceeded|Network is unreachable|No route to host|"
    r"Temporary failure in name resolution|Could not resolve host|Name or service not known|getaddrinfo \w{1,20}|"
    r"nodename nor servname|\bENOSPC\b|\bEROFS\b|\bEAI_AGAIN\b|\bENETUNREACH\b|\bEDQUOT\b|Cannot allocate memory|"
    r"Too many open files|\bEMFILE\b|TLS handshake timeout|Connection reset by peer|\bETIMEDOUT\b|\bECONNRESET\b|"
    r"dial tcp[^\n]{0,200}(?:i/o timeout|no such host)|429 Too Many Requests|toomanyrequests|502 Bad Gateway|"
    r"503 Service (?:Temporarily )?Unavailable|"
    rf"{_CACHE}[^\n]{{0,300}}[Pp]ermission denied|[Pp]ermission denied[^\n]{{0,300}}{_CACHE}"
)


def is_of_environment(what: str) -> bool:
    """Whether the machine or the net failed, which no edit of a program puts right."""
    return _ENVIRONMENT.search(what[:1000]) is not None


def weakens(act: Act) -> str:
    """Whether it does nothing but to take a test away, or to have it skipped. Empty: it does something else."""
    if act.command and not act.changes:
        gone = _deleted(act.command)
        return REMOVED if gone and all(map(_OF_TESTS.search, gone)) else ""
    if not act.changes or act.created:
        return ""
    found = {_weakens(old, new) for old, new in act.changes}
    return "" if "" in found else SKIPPED if SKIPPED in found else REMOVED


def tests_in(acts: Sequence[Act]) -> list[str]:
    """What is taken away or skipped, by name."""
    names = [name for act in acts for old, new in act.changes for name in (_named(old, new) or _named(new, ""))]
    return unique((*names, *_files(acts)), MAX_NAMES)


def _files(acts: Sequence[Act]) -> list[str]:
    found = [path for act in acts if not act.changes for path in _deleted(act.command)]
    return [path.rstrip("/").rpartition("/")[2] for path in found]


def _deleted(command: str) -> list[str]:
    """By a command that does nothing else."""
    found: list[str] = []
    for step in steps(command):
        words = step.words[1:] if step.name == "git" and step.words[1:2] == ("rm",) else step.words
        if words[0] == "rm" or step.name == "rm":
            found += [word for word in words[1:] if not word.startswith("-")]
        elif not step.prepares and step.name not in ("ls", "echo"):
            return []
    return found


def _weakens(old: str, new: str) -> str:
    was, now = old.split("\n"), new.split("\n")
    before = {line.strip() for line in was}
    come = [line for line in now if line.strip() not in before]
    if len(_SKIPS.findall(new)) > len(_SKIPS.findall(old)):
        rest = [line for line in come if not (_SKIPS.search(line) or _is_beside(line))]
        return "" if rest else SKIPPED
    if _named(old, new) and all(map(_is_beside, come)):
        return REMOVED
    return ""


def _is_beside(line: str) -> bool:
    return _BESIDE.fullmatch(line) is not None or _REASON.fullmatch(line) is not None


def _named(old: str, new: str) -> list[str]:
    """Tests that stand in the one and not in the other."""
    kept = {name for names in _TEST.findall(new) for name in names if name}
    return [name.strip("'\"`") for names in _TEST.findall(old) for name in names if name and name not in kept]
