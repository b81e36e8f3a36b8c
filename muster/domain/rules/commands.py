"""What a command does, as far as its words tell: looks, checks, installs, changes something, or does another's work
again."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from muster.domain.rules import looks, queries
from muster.domain.rules.elsewhere import run_in
from muster.domain.rules.installs import Installed, handles_packages, installed
from muster.domain.rules.scripts import alike
from muster.domain.rules.steps import Step, named, program, steps
from muster.domain.rules.text import unique

__all__ = ["program"]

_LOOKS = frozenset(
    """
    ls cd pwd echo printf clear which whoami date true false sleep wc file stat tree env printenv
    history id uname hostname df du free uptime ps top jobs type alias sort uniq tail head less more cut
    tr diff cmp colordiff sdiff diff3 zdiff test [ : wait read set export source . pgrep basename dirname realpath
    column tee xargs nl seq yes man help time jq yq
    """.split()  # noqa: SIM905
)
_IN_PLACE = ("sed", "perl")
"""What prints a file, or with an option changes it."""
_GIT_LOOKS = frozenset(
    """
    status diff log show branch remote fetch blame stash ls-files rev-parse config describe grep
    """.split()  # noqa: SIM905
)
_CHECKS = re.compile(
    r"\b(?:pytest|py\.test|tox|nox|unittest|jest|vitest|mocha|ava|cypress|playwright|karma|rspec|phpunit|"
    r"ctest|gotestsum|pre-commit|phpstan|rubocop|stylelint|"
    r"(?:cargo|go|mvn|gradle|gradlew|npm|pnpm|yarn|bun|make|dotnet|mix|swift|deno|just|task|rake|sbt|bazel|"
    r"manage\.py|rails|artisan|flutter|dart|zig|nx|turbo|vite|next|ng)(?: run)? "
    r"(?:-\S+ )*(?:test|check|build|lint|clippy|vet|typecheck|verify|compile|ci)\S*|"
    r"tsc|mypy|pyright|ruff|flake8|pylint|eslint|biome|prettier|black|golangci-lint|shellcheck|cmake|gcc|"
    r"g\+\+|clang|rustc|javac|make)\b"
)
_NO_CHECKS = frozenset(
    """
    git gh rm cp mv mkdir touch ln chmod chown kill apt apt-get brew psql curl wget ssh kubectl helm systemctl
    """.split()  # noqa: SIM905
)
"""Programs that may name a check and do not run it."""
_MESSAGE = re.compile(
    r"""(?:-\w{0,4}m|--message)[\s=]*(?:"\$\(cat <<'?EOF'?\n(.*?)\n\s*EOF|"((?:[^"\\]|\\.)*)"|'([^']*)')""", re.DOTALL
)
_ALTERS = re.compile(
    r"(?:rm|mv|cp|mkdir|touch|chmod|chown|ln|tee|patch|docker|docker-compose|podman|nerdctl|kubectl|oc|helm|terraform|tofu|systemctl|service|psql|"
    r"mysql|sqlite3|redis-cli|alembic|kill|pkill|"
    r"git (?:checkout|switch|reset|merge|rebase|revert|cherry-pick|pull|stash|apply|restore|am|clean)|"
    r"sed (?:\S+ )*(?:-\w*i|--in-place)|perl (?:\S+ )*-\w*i|"
    r"(?:\S+ )+(?:--fix|--write|--fix-only|--unsafe-fixes)|"
    r"(?:prettier|gofmt|goimports|shfmt) (?:\S+ )*-w|ruff format|black|isort|gofmt|"
    r"(?:cargo|go) (?:fmt|fix|generate|mod)|(?:manage\.py|rails|artisan|python \S*manage\.py) \S*migrate)(?![\w-])"
)
"""What changes where a check is run, so that it may pass after it."""
_MUTATES = re.compile(
    r"(?:curl|wget|scp|rsync|ssh|aws|gcloud|az|flyctl|heroku|vercel|git (?:push|tag|clone)|gh|make|npm run)(?![\w-])"
)
_SHOWS = re.compile(
    r"(?:(?:docker|podman|nerdctl) (?:-\S+ )*"
    r"(?:(?:compose|container|image|volume|network|service|stack|node) (?:-\S+ )*)?"
    r"(?:ps|logs|images|inspect|version|info|top|stats|ls|config)|"
    r"(?:docker|podman)-compose (?:ps|logs|images|top|config|version)|crictl (?:logs|ps|pods|images|inspect\w*)|"
    r"(?:kubectl|oc) (?:-\S+ )*(?:get|describe|logs|top|explain|version|diff|config)|"
    r"helm (?:list|ls|status|get|template|lint)|"
    r"(?:terraform|tofu) (?:-\S+ )*(?:plan|show|output|validate|version)|"
    r"systemctl (?:-\S+ )*(?:status|list-\S+|is-\S+|cat)|journalctl|dmesg|"
    r"juju (?:status|debug-log|show-\S+|list-\S+|models|clouds|controllers)|"
    r"glab \w+ (?:view|list|status|trace|diff)|pm2 (?:logs|ls|list|show|describe|status)|supervisorctl (?:tail|status)|"
    r"stern|kubetail|wrangler tail|(?:fly|railway|eb|minikube|serverless|sls|argo|netlify) logs|firebase functions:log|"
    r"(?:doctl apps|nomad alloc|tkn \w{1,20}) logs|az (?:\S+ ){1,4}(?:tail|show|list)|"
    r"gcloud (?:\S+ ){1,5}(?:read|tail|list|describe)|aws logs (?:tail|filter-log-events)|"
    r"gh \w+ (?:view|list|checks|status|diff)|gh api|(?:npm|pnpm|yarn) (?:ls|list|view|outdated|audit|why)|"
    r"pip3? (?:list|show|freeze|check)|(?:heroku|flyctl|vercel) logs|redis-cli (?:get|keys|ping|info)|"
    r"juju (?:-\S+ (?:(?!-)\S+ )?)*(?:status|debug-log|show-\S+|list-\S+|models|clouds|controllers|machines|whoami)|"
    r"snap (?:list|info|logs|find|services|changes)|(?:lxc|incus) (?:list|info)|multipass (?:list|info)|"
    r"aws \S+ (?:list|describe|get)-\S+|alembic (?:current|history|heads))(?![\w-])"
)
_SHOWS_LOGS = re.compile(
    r"juju (?:\S+ )*(?:debug-log|show-status-log)|"
    r"(?:\S+ )*logs?\b|journalctl|dmesg|stern|kubetail|gh \w+ (?:view|diff)|gh api|glab \w+ (?:trace|view|diff)|"
    r"supervisorctl tail|wrangler tail|firebase functions:log|gcloud logging|aws ssm get-command-invocation"
)
_SENDS_DATA = re.compile(
    r"-[a-zA-Z#]*[XdFToOK]|--(?:request|data|json|form|upload-file|output|remote-name|config)(?![a-z])"
)
_PASSED_ON = re.compile(r"git (?:commit|push|add|tag|fetch)\b")
"""What keeps or sends what is there."""


def is_check(command: str) -> bool:
    return any(_checks(step) for step in steps(command))


def _checks(step: Step) -> bool:
    if step.name in _NO_CHECKS or _looks(step) or handles_packages(step):
        return False
    given = next((after for word, after in pairwise(step.words) if word in ("-c", "-lc")), "")
    return _CHECKS.search(f"{step.bare} {given}") is not None


def _looks(step: Step) -> bool:
    if step.writes or _edits(step) or (step.name in _IN_PLACE and _ALTERS.match(step.bare)):
        return False
    if step.name == "git":
        return step.words[1:2] == () or (step.words[1] in _GIT_LOOKS and not _configures(step))
    return step.name in _LOOKS or step.name in looks.NAMES


def _configures(step: Step) -> bool:
    """Git, with a name and a value."""
    words = [word for word in step.words if not word.startswith("-") or word in ("--get", "--unset")]
    return words[:2] == ["git", "config"] and len(words) > 3 and "--get" not in words


def only_looks(command: str) -> bool:
    """Each of its steps shows something and changes nothing."""
    return all(map(_looks, steps(command)))


def shows(command: str) -> bool:
    """The same, of something that runs elsewhere."""
    return all(_looks(step) or (_shows(step) and not step.writes) for step in steps(command))


def _shows(step: Step) -> bool:
    if _SHOWS.match(step.bare) is not None or _asks(step):
        return True
    found = run_in(step)
    return found != (step,) and all(
        _looks(one) or _asks(one) or (_SHOWS.match(one.bare) is not None and not one.writes) for one in found
    )


def _asks(step: Step) -> bool:
    """It gets an answer of a server, and tells it nothing."""
    if step.writes:
        return False
    if (only_asks := queries.only_asks(step)) is not None:
        return only_asks
    words = " ".join(step.words)
    nowhere = re.sub(r" (?:-o|--output)[ =]?/dev/null(?= |$)| (?:-X|--request)[ =]?(?:GET|HEAD)(?= |$)", "", words)
    return step.name == "curl" and not any(map(_SENDS_DATA.match, nowhere.split()))


_PAGE = re.compile(r"<!DOCTYPE html|<html\b|<head\b|<body\b", re.IGNORECASE)


def asks_page(command: str, output: str) -> bool:
    """Whether it only asks a server, which answers with a page for people, whatever it was sent."""
    found = [step for step in steps(command) if not step.prepares and not _looks(step)]
    return (
        bool(found)
        and all(step.name == "curl" and not step.writes for step in found)
        and output.lstrip()[:1] not in ("{", "[")
        and _PAGE.search(output[:8000]) is not None
    )


def shows_logs(command: str) -> bool:
    """What it prints is what others said, and no complaint of its own."""
    return shows(command) and any(_shows_text(step) for step in steps(command))


def _shows_text(step: Step) -> bool:
    found = run_in(step)
    return any(
        _SHOWS_LOGS.match(one.bare) is not None or (found != (step,) and one.name in looks.NAMES) for one in found
    )


def reads(command: str) -> list[str]:
    """The files that it shows."""
    return unique((path for step in steps(command) for path in looks.read_by(step)), 10)


def searches(command: str) -> list[looks.Sought]:
    return [found for step in steps(command) if (found := looks.sought_by(step))]


def installs(command: str) -> str:
    return found.what if (found := _installed(command)) else ""


def installs_all(command: str) -> bool:
    """Whatever is missing, as a file of them says."""
    return (found := _installed(command)) is not None and found.everything


def _installed(command: str) -> Installed | None:
    return next((found for step in steps(command) if (found := installed(step))), None)


def names(command: str) -> list[str]:
    """What its steps are told to do something with."""
    words = (word for step in steps(command) if not _checks(step) for word in step.words[1:])
    return unique((word for word in words if len(word) > 2 and not word.startswith("-")), 40)


def edits(command: str) -> list[str]:
    """The files that are written by hand, and nothing else is done."""
    found = steps(command)
    if not all(_edits(step) or _looks(step) for step in found):
        return []
    return unique((path[:1000] for step in found for path in _edits(step)), 10)


def _edits(step: Step) -> list[str]:
    if step.name in ("cat", "echo", "printf", "tee"):
        written = [*step.writes, *(word for word in step.words[1:] if step.name == "tee" and word[:1] != "-")]
        return [path for path in written if not path.startswith(("/dev/", "/tmp/"))]  # noqa: S108 - read, not written
    if step.name in _IN_PLACE and _ALTERS.match(step.bare):
        # The first word that is no option is the script, where none is given with -e.
        words = [word for word in step.words[1:] if word[:1] != "-"]
        return [word for word in words[1:] if re.fullmatch(r"[\w.@+/~-]*[\w/][\w.@+/~-]*", word)]
    return []


def commits(command: str) -> Step | None:
    return next((step for step in steps(command) if step.name == "git" and step.words[1:2] == ("commit",)), None)


def commit_message(command: str) -> str:
    if not commits(command):
        return ""
    match = _MESSAGE.search(command[:4000])
    return next((part.strip() for part in match.groups() if part), "") if match else ""


def mutates(command: str) -> bool:
    return any((_ALTERS.match(step.bare) or _MUTATES.match(step.bare) or handles_packages(step) or _configures(step))
               and not _shows(step) for step in steps(command))  # fmt: skip


_PASSES_ON = re.compile(r"(?:curl|wget|ssh)\b|(?:docker|podman|kubectl) (?:\S+ )*(?:run|exec|attach)\b")


def speaks_for_itself(command: str) -> bool:
    """Whether a complaint in its output is its own, and not what it was given to print."""
    return (mutates(command) or shows(command)) and not any(_PASSES_ON.match(step.bare) for step in steps(command))


def alters(command: str) -> bool:
    """Whether it changes something that a check may have failed for."""
    return any((_ALTERS.match(step.bare) or handles_packages(step) or _edits(step) or _configures(step))
               and not _shows(step)
               for step in steps(command))  # fmt: skip


def is_harmless(command: str) -> bool:
    """Whether it surely changes nothing that a check may fail for."""
    found = steps(command)
    return (
        bool(found)
        and not alters(command)
        and all(_looks(step) or _checks(step) or _shows(step) or _PASSED_ON.match(step.bare) for step in found)
    )


# -- The same again -------------------------------------------------------------------------------------------------

_LESS = re.compile(
    r"--?(?:deselect|ignore|exclude|skip|no-run|collect-only|co|list|dry-run|help|version|grep-invert|target|D\S*[sS]kip|"
    r"testPathIgnorePatterns)(?![a-z])|-k\S|-h$"
)
"""Options by which a command does less."""
_PICKS = re.compile(r"--?(?:k|t|run|grep|filter|tests?|testNamePattern|testPathPattern)=(.+)", re.DOTALL)
_HOW = frozenset(["-n", "-j", "-p", "-W", "--tb", "--maxfail", "--timeout", "--reporter", "--workers", "--color"])
"""Options of checks whose value does not change what is checked."""
_SENDS = ("git push", "git pull")
_UNDER = ("::", "/", ":")
_FAILING_FILES = re.compile(r"^\s*FAIL\s+(\S{1,300}\.\w{1,8})(?:\s|$)", re.MULTILINE)


class _Run(NamedTuple):
    program: str
    words: frozenset[str]
    less: frozenset[str]
    checks: bool


def _run(step: Step) -> _Run:
    checks = _checks(step)
    less = frozenset(word for word in step.words if _LESS.match(word))
    if step.name == "git" and step.words[1:2] == ("commit",):
        return _Run("git commit", frozenset(), frozenset(), checks=False)
    words, how = set(), False
    for word in step.words:
        if picked := _PICKS.match(word):
            words.add(picked[1])
        elif not word.startswith("-") and word != ":" and not how:
            words.add(word.rpartition("/")[2] if word == step.words[0] else word)
        how = checks and word in _HOW
    return _Run(named(step), frozenset(words), less, checks)


@lru_cache(maxsize=256)
def _runs(command: str) -> tuple[_Run, ...]:
    found = [step for step in steps(command) if not step.prepares]
    return tuple(map(_run, [step for step in found if not _looks(step)] or found))


@lru_cache(maxsize=256)
def _aims(command: str) -> tuple[_Run, ...]:
    """Those that it was run for: what only shows something before them is not it."""
    found = [step for step in steps(command) if not step.prepares and not _looks(step)]
    return tuple(map(_run, [step for step in found if not _shows(step)])) or _runs(command)


def _is_there(later: str, earlier: str) -> bool:
    """It goes nowhere else first."""
    before, after = (
        {word for step in steps(command) if step.name in ("cd", "pushd") for word in step.words[1:2]}
        for command in (earlier, later)
    )
    return after <= before or ((place := _goes_to(later)) != "" and place == _goes_to(earlier))


def _goes_to(command: str) -> str:
    """Where it ends up, where it says so from the root on."""
    place = ""
    for step in steps(command):
        if step.name in ("cd", "pushd") and len(step.words) > 1:
            place = posixpath.normpath(posixpath.join(place, step.words[1]))
    return place if place.startswith("/") else ""


def _does(later: _Run, earlier: _Run) -> bool:
    if later.program != earlier.program or not later.less <= earlier.less:
        return False
    # To be told less is to do more, of a check; of anything else it is another thing.
    wider = earlier.checks or earlier.program in _SENDS
    return later.words <= earlier.words if wider else later.words == earlier.words


def covers(later: str, earlier: str) -> bool:
    """Whether the later command does all that the earlier one did."""
    before, after = _aims(earlier), _runs(later)
    return (
        bool(before)
        and _is_there(later, earlier)
        and all(any(_does(each, one) for each in after) for one in before)
        and alike(later, earlier)
    )


def is_same(later: str, earlier: str) -> bool:
    """Whether one of them does the other, or a part of it."""
    if covers(later, earlier) or covers(earlier, later):
        return True
    pair = _alone(later, earlier)
    return (
        pair is not None
        and alike(later, earlier)
        and all(
            word in pair[1].words or word.startswith(tuple(f"{one}{mark}" for one in pair[1].words for mark in _UNDER))
            for word in pair[0].words
        )
    )


def _alone(later: str, earlier: str) -> tuple[_Run, _Run] | None:
    """Where each does one thing, and it is done by the same program."""
    before, after = _runs(earlier), _runs(later)
    if len(before) == len(after) == 1 and before[0].program == after[0].program and _is_there(later, earlier):
        return after[0], before[0]
    return None


def picks(later: str, earlier: str, tests: Sequence[str], output: str) -> bool:
    """Whether it is a check of those parts of the earlier one that failed."""
    pair = _alone(later, earlier)
    if pair is None or not pair[1].checks or not pair[0].less <= pair[1].less:
        return False
    more = pair[0].words - pair[1].words
    if not more or any(re.match(r"not\b|!", word) for word in more):
        return False
    known = [failing for failing in (tests, _FAILING_FILES.findall(output)) if failing]
    if not known:
        return all((part := re.split(r"::|/", word)[-1]) and part in output for word in more)
    # Of several places one is enough; what is sought in them narrows each.
    places = {word for word in more if _is_place(word)}
    return (
        not places or any(all(any(_is_of(test, word) for word in places) for test in failing) for failing in known)
    ) and all(any(all(word in test for test in failing) for failing in known) for word in more - places)


def _is_place(word: str) -> bool:
    return " " not in word and re.search(r"/|::|\.\w", word) is not None


def _is_of(test: str, word: str) -> bool:
    file, _, name = test.partition("::")
    path, _, part = word.partition("::")
    return word in test or (path.endswith(f"/{file}") and part in name)
