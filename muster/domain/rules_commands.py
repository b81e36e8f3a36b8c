"""What a command said: whether it is worth a word, how it failed, and where."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from typing import NamedTuple

from muster.domain.rules_text import lines_of, one_line, unique

_LOOKS = frozenset(
    """
    ls cd pwd echo printf clear which whoami date true false sleep wc file stat tree env printenv
    history id uname hostname df du free uptime ps top jobs type alias sort uniq tail head less more cut
    tr diff test [ : wait read set export source . pgrep basename dirname realpath column tee xargs nl
    seq yes man help time
    """.split()  # noqa: SIM905
)
_READS = frozenset(["cat", "bat", "head", "tail", "less", "more", "sed", "awk", "nl"])
_SEARCHES = frozenset(["grep", "rg", "ag", "ack", "find", "fd", "git-grep", "locate"])
_GIT_LOOKS = frozenset(
    """
    status diff log show branch remote fetch blame stash ls-files rev-parse config describe
    """.split()  # noqa: SIM905
)
_CHECKS = re.compile(
    r"\b(?:pytest|py\.test|tox|nox|unittest|jest|vitest|mocha|ava|cypress|playwright|karma|rspec|phpunit|"
    r"ctest|gotestsum|"
    r"(?:cargo|go|mvn|gradle|gradlew|npm|pnpm|yarn|bun|make|dotnet|mix|swift|deno|just|task|rake|sbt|bazel)(?: run)? "
    r"(?:-\S+ )*(?:test|check|build|lint|clippy|vet|typecheck|verify|compile|ci)\S*|"
    r"tsc|mypy|pyright|ruff|flake8|pylint|eslint|biome|prettier|black|golangci-lint|shellcheck|cmake|gcc|"
    r"g\+\+|clang|rustc|javac|make)\b"
)
_INSTALLS = re.compile(
    r"\b(?:pip3?|uv pip|pipx|conda|brew|apt(?:-get)?|dnf|yum|apk|gem|cargo|npm|pnpm|yarn|bun|go|poetry|uv|composer)\s+"
    r"(?:install|add|i|get|update|upgrade)\b\s*([^&|;\n]*)"
)
_COMMIT = re.compile(r"\bgit commit\b")
_MESSAGE = re.compile(r"""-a?m\s*(?:"\$\(cat <<'?EOF'?\n(.*?)\n\s*EOF|"((?:[^"\\]|\\.)*)"|'([^']*)')""", re.DOTALL)
_MUTATES = re.compile(
    r"(?:^|[;&|]\s*|sudo\s+)(?:rm|mv|cp|mkdir|touch|chmod|chown|ln|docker|podman|kubectl|helm|terraform|"
    r"systemctl|service|psql|"
    r"mysql|redis-cli|curl|wget|scp|rsync|ssh|aws|gcloud|az|flyctl|heroku|vercel|alembic|kill|git (?:push|merge|rebase|"
    r"checkout|switch|reset|tag|revert|cherry-pick|pull|clone)|gh|make|npm run|npx)\b"
)

_PY_LAST = re.compile(
    r"^(?:E\s+)?((?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt|Timeout|Failure|NotFound|"
    r"DoesNotExist)\b(?:: .*)?|AssertionError\b.*|assert .+)$"
)
_PY_FILE = re.compile(r'^\s*File "([^"\n]+)", line (\d+)(?:, in (\S+))?')
_PLACE = re.compile(r"(?<![\w/.@+-])([\w.@+/-]{1,200}\.(?:py|pyi|tsx?|jsx?|mjs|rs|go|java|kt|rb|php|c|cc|cpp|h|hpp|"
                    r"cs|swift|vue|sql|"
                    r"scala|ex|exs|lua|dart|ya?ml|toml|json|sh))(?::|\(|\", line )(\d+)")  # fmt: skip
_FAILED_TEST = re.compile(
    r"^(?:FAILED|ERROR)\s+(\S+?::\S+|\S+\.py)(?:\s+-\s+(.*))?$|^--- FAIL: (\S+)|^test (\S+) \.\.\. FAILED|"
    r"^\s*[✕✗×●]\s+(.+)$"
)
_ERROR_LINES = (
    _PY_LAST,
    re.compile(r"^(error(?:\[E\d+\])?: .+)$"),
    re.compile(r"^(panic: .+)$"),
    re.compile(r"^(?:Exception in thread .*? |Caused by: |Uncaught )((?:[\w.$]+(?:Error|Exception)|Error)\b.*)$"),
    re.compile(r"^(?:\[?\w+\]?\s+)?((?:[A-Z]\w*)?(?:Error|Exception): .+)$"),
    re.compile(r"(error TS\d+: .+)$"),
    re.compile(r"^\S+:\d+(?::\d+)?:\s+((?:fatal )?error: .+)$"),
    re.compile(r"((?:npm ERR!|fatal:|ERROR:?|\[error\]|FATAL:?|CRITICAL:?|E:) .+)$"),
    re.compile(r"^(.*(?:command not found|No such file or directory|Permission denied|Connection refused|"
               r"not recognized as|"
               r"cannot find|could not find|No module named|segmentation fault|Killed|Out of memory|timed out|"
               r"AccessDenied|"
               r"unable to resolve|is not defined|already in use).*)$", re.IGNORECASE),
    re.compile(r"^(.*\b(?:error|failed|failure|fatal)\b.*)$", re.IGNORECASE),
)  # fmt: skip
_PASSED = re.compile(
    r"\b(\d+ (?:passed|passing|tests? passed)[^\n=]{0,80}|test result: ok\.[^\n]{0,80}|"
    r"Tests:\s+[^\n]{0,80}passed[^\n]{0,40}|"
    r"All checks passed!?|Success: no issues found[^\n]{0,60}|Found 0 errors[^\n]{0,40}|BUILD SUCCESS\w*|"
    r"OK \(\d+ tests?[^\n]*\)|"
    r"Ran \d+ tests? in [^\n]*)"
)
_FAILED = re.compile(
    r"^(?:.*[ \t,(])?[1-9]\d* (?:failed|failing|failures?|errors?)\b|^FAILED \(|\bTests?: .{0,100}?\b[1-9]\d* failed"
    r"|^test result: FAILED|^(?:--- )?FAIL\b|\bFound [1-9]\d* errors?\b|\([1-9]\d* errors?,"
    r"|^(?:\S{1,300}:[ \t]*)?error(?:\[E\d+\])?: |\berror TS\d+: |\bBUILD FAIL(?:URE|ED)\b|^✖ [1-9]",
    re.MULTILINE,
)
"""What tests and checks say of themselves."""
_GAVE_UP = re.compile(
    r"^(?:\w*make(?:\[\d+\])?: \*\*\*|npm ERR!|npm error\b|fatal: |CONFLICT \(|curl: \(\d+\)|ssh: |psql: error"
    r"|error: (?:could not|failed|cannot|pathspec)|Automatic merge failed|Error response from daemon)",
    re.MULTILINE,
)
"""What programs say before they end, and that a pipe hides."""
_TRACE = re.compile(
    r"Traceback \(most recent call last\)|^panic: |^\s+at \S+ ?\(\S+:\d+|^thread '.*' panicked at|"
    r"Unhandled ?(?:Promise)?Rejection",
    re.M,
)


class Failure(NamedTuple):
    what: str
    """In one line."""
    where: list[str]
    """Files, the innermost last named first."""
    tests: list[str]
    excerpt: str


def program(command: str) -> str:
    """What is run, without where and with which environment: `cd x && FOO=1 python -m pytest -q` is pytest."""
    for part in _steps(command):
        words = list(part)
        while words and (("=" in words[0] and words[0].split("=")[0].isidentifier())
                         or words[0] in ("sudo", "env", "time", "nice", "exec", "command", "timeout", "nohup", "xargs",
                                         "uv", "poetry", "npx", "bunx", "pnpx", "run", "rtk")
                         or words[0].lstrip("-").isdigit() or words[0].startswith("-")):  # fmt: skip
            words = words[1:]
        if not words or words[0] in ("cd", "export", "source", ".", "set", "pushd", "popd"):
            continue
        name = words[0].rpartition("/")[2]
        if re.fullmatch(r"python[\d.]*", name) and len(words) > 2 and words[1] == "-m":
            return words[2]
        if (
            name in ("git", "cargo", "go", "npm", "pnpm", "yarn", "make", "docker", "kubectl", "bun", "just")
            and len(words) > 1
        ):
            rest = [word for word in words[1:3] if not word.startswith("-")]
            return " ".join((name, *rest[: 2 if rest[:1] == ["run"] else 1]))
        return name
    return ""


@lru_cache(maxsize=256)
def _steps(command: str) -> tuple[tuple[str, ...], ...]:
    """The simple commands in a line; of pipes, the first."""
    steps = []
    for step in re.split(r"&&|\|\||;|\n", command[:2000])[:20]:
        head = step.split("|")[0].strip()
        if head and not head.startswith("#"):
            try:
                steps.append(tuple(shlex.split(head)))
            except ValueError:
                steps.append(tuple(head.split()))
    return tuple(steps)


def is_check(command: str) -> bool:
    return _CHECKS.search(command[:2000]) is not None


def only_looks(command: str) -> bool:
    """Each of its steps shows something and changes nothing."""
    steps = _steps(command)
    for words in steps:
        name = words[0].rpartition("/")[2] if words else ""
        if name == "git":
            if len(words) > 1 and words[1] not in _GIT_LOOKS:
                return False
        elif (name == "sed" and "-i" in words) or name not in _LOOKS | _READS | _SEARCHES:
            return False
    return ">" not in re.sub(r"\d?>&\d|\d?>\s*/dev/null", "", command)


def reads(command: str) -> list[str]:
    """The files that `cat` and its kin were given."""
    found = []
    for words in _steps(command):
        if words and words[0] in _READS and only_looks(command):
            found += [word for word in words[1:] if not word.startswith("-") and re.search(r"\w\.\w|/\w", word)
                      and not re.search(r"[{}$*;]|^\d", word)]  # fmt: skip
    return unique((path[:1000] for path in found), 10)


def searches(command: str) -> str:
    for words in _steps(command):
        if words and words[0].rpartition("/")[2] in _SEARCHES:
            return next((word for word in words[1:] if not word.startswith(("-", "/", "."))), "")[:200]
    return ""


def installs(command: str) -> str:
    match = _INSTALLS.search(command[:2000])
    if not match:
        return ""
    names = [word for word in match[1].split() if not word.startswith("-")]
    return ", ".join(names[:8]) or "the dependencies"


def commit_message(command: str) -> str:
    if not _COMMIT.search(command[:4000]):
        return ""
    match = _MESSAGE.search(command)
    return next((part.strip() for part in match.groups() if part), "") if match else ""


def mutates(command: str) -> bool:
    return _MUTATES.search(command[:2000]) is not None


def failed(command: str, output: str) -> bool:
    """Whether it says that it failed: an exit code is not always told, and of a pipe it is that of the last."""
    if only_looks(command):
        return False
    end = output[-20_000:]
    return _GAVE_UP.search(end) is not None or (is_check(command) and _FAILED.search(end) is not None)


_LISTED = re.compile(r"^(?:total \d+|[-dlcbps][-rwxsStT]{9}[.+@]?\s.*)$", re.MULTILINE)


def without_listing(output: str) -> str:
    """That of `ls -l`."""
    return _LISTED.sub("", output)


def gave_up(output: str) -> bool:
    """The same of output whose command is not known."""
    end = output[-20_000:]
    return _GAVE_UP.search(end) is not None or (_FAILED.search(end) is not None and _PASSED.search(end) is not None)


def passed(output: str) -> str:
    if _FAILED.search(output[-20_000:]):
        return ""
    found = _PASSED.findall(output)
    return " ".join(found[-1].split()) if found else ""


def has_trace(output: str) -> bool:
    return _TRACE.search(output) is not None


def failure(output: str) -> Failure:
    """What went wrong, by the most telling line there is; lines further down are nearer to the cause."""
    lines = [line.rstrip() for line in lines_of(output)][-600:]
    tests: list[str] = []
    why = ""
    for line in lines:
        if match := _FAILED_TEST.match(line[:400]):
            name = next(group for group in (match[1], match[3], match[4], match[5]) if group)
            tests.append(one_line(name, 200))
            why = why or (match[2] or "")
    found, at = "", -1
    for pattern in _ERROR_LINES:
        for number in range(len(lines) - 1, -1, -1):
            line = lines[number].strip()[:400]
            if len(line) > 4 and (match := pattern.search(line)):
                found, at = match[1], number
                break
        if found:
            break
    if why and (not found or found.startswith("assert") or re.match(r"\W*\d+ (?:failed|errors?)\b", found)):
        found = why
    if not found:
        said = [number for number, line in enumerate(lines) if any(map(str.isalnum, line))]
        if said:
            at = said[-1]
            found = lines[at]
    places = [match[1] for line in reversed(lines) if (match := _PY_FILE.match(line[:1000]))]
    places += [path for line in lines for path, _ in _PLACE.findall(line[:1000])]
    near = lines[max(0, at - 12) : at + 6] if at >= 0 else lines[-16:]
    ours = [path for path in places if "site-packages" not in path and "node_modules" not in path and path[:1] != "<"]
    return Failure(one_line(found, 220), unique(ours or places, 8), unique(tests, 12), "\n".join(near)[:1500])


_COMPLAINTS = _ERROR_LINES[-2]
"""Of programs that look: that what they were to look at is not there, or is not to be looked at."""


def complaint(output: str) -> str:
    """Why nothing was found, where it says so."""
    for line in lines_of(output[:20_000]):
        if match := _COMPLAINTS.match(line[:400]):
            return match[1].strip()
    return ""


def covers(later: str, earlier: str) -> bool:
    """Whether the later command does all that the earlier one did: the same program, and told to do nothing else."""
    return program(later) == program(earlier) and _words(later) <= _words(earlier)


def narrows(later: str, earlier: str) -> bool:
    """Whether it does a part of that."""
    if program(later) != program(earlier):
        return False
    words = tuple(_words(earlier))
    return set(words) <= _words(later) or all(
        word in words or word.startswith(tuple(f"{one}{mark}" for one in words for mark in ("::", "/", ":")))
        for word in _words(later)
    )


def _words(command: str) -> set[str]:
    """What it is told, without how."""
    return {word for step in _steps(command) for word in step if not word.startswith("-") and word not in ("true", ":")}


def excerpt(output: str, size: int = 1200) -> str:
    """Its telling lines: no bars, no blanks, no line twice in a row."""
    kept: list[str] = []
    for line in lines_of(output):
        bare = line.strip()
        if sum(map(str.isalnum, bare[:200])) < 2 or (kept and kept[-1].strip() == bare):
            continue
        kept.append(line[:400])
    text = "\n".join(kept)
    if len(text) <= size:
        return text
    return f"{text[: size // 2]}\n…\n{text[-size // 2 :]}"
