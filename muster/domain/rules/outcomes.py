"""What a command said: whether it failed, how, and where, whatever its exit code."""

from __future__ import annotations

import re
from typing import NamedTuple

from muster.domain.rules import causes, commands, hooks, reasons, runners, shells
from muster.domain.rules.failing import complains
from muster.domain.rules.shells import never_ran
from muster.domain.rules.text import lines_of, one_line, unique

__all__ = ["never_ran"]

_PY_FILE = re.compile(r'^\s*File "([^"\n]+)", line (\d+)(?:, in (\S+))?')
_PLACE = re.compile(r"(?<![\w/.@+-])([\w.@+/-]{1,200}\.(?:py|pyi|tsx?|jsx?|mjs|rs|go|java|kt|rb|php|c|cc|cpp|h|hpp|"
                    r"cs|swift|vue|sql|"
                    r"scala|ex|exs|lua|dart|ya?ml|toml|json|sh))(?::|\(|\", line )(\d+)")  # fmt: skip
_FAILED_TEST = re.compile(
    r"^(?:FAILED|ERROR)\s+(\S+?::\S+|\S+\.py)(?:\s+-\s+(.*))?$|^--- FAIL: (\S+)|^test (\S+) \.\.\. FAILED|"
    r"^\s*[✕✗×●]\s+(.+)$"
)
_PASSED = re.compile(
    r"\b(\d+ (?:passed|passing|tests? passed)[^\n=]{0,80}|test result: ok\.[^\n]{0,80}|"
    r"Tests:\s+[^\n]{0,80}passed[^\n]{0,40}|"
    r"All checks passed!?|Success: no issues found[^\n]{0,60}|Found 0 errors[^\n]{0,40}|"
    r"Found \d+ errors? \(\d+ fixed, 0 remaining\)|BUILD SUCCESS\w*|"
    r"OK \(\d+ tests?[^\n]*\)|"
    r"Ran \d+ tests? in [^\n]*)"
)
_FAILED = re.compile(
    r"^(?:.*[ \t,(])?[1-9]\d* (?:failed|failing|failures?|errors?)\b(?! \(\d+ fixed, 0 remaining\)| fixed\b)"
    r"|^FAILED \(|\bTests?: .{0,100}?\b[1-9]\d* failed"
    r"|^test result: FAILED|^(?:--- )?FAIL\b|\bFound [1-9]\d* errors?\b(?! \(\d+ fixed, 0 remaining\))"
    r"|\([1-9]\d* errors?,"
    r"|^(?:\S{1,300}:[ \t]*)?error(?:\[E\d+\])?: |\berror TS\d+: |\bBUILD FAIL(?:URE|ED)\b|^✖ [1-9]",
    re.MULTILINE,
)
"""What tests and checks say of themselves."""
_GAVE_UP = re.compile(
    r"^(?:\w*make(?:\[\d+\])?: \*\*\*|npm ERR!|npm error\b|fatal: |CONFLICT \(|curl: \(\d+\)|ssh: |psql: error"
    r"|error: (?:could not|failed|cannot|pathspec)|FAILED \((?:failures|errors)="
    r"|Automatic merge failed|(?:docker: )?Error response from daemon)",
    re.MULTILINE,
)
"""What programs say before they end, and that a pipe hides."""
_TRACE = re.compile(
    r"Traceback \(most recent call last\)|^panic: |^[^\S\n]+at \S+ ?\(\S+:\d+|^thread '.*' panicked at|"
    r"Unhandled ?(?:Promise)?Rejection",
    re.M,
)


_DOTS = re.compile(r"(?<!\.)\.{4,}")
_MISSES = re.compile(
    r"No module named|Cannot find (?:module|package)|Could not (?:find|resolve)|ModuleNotFoundError|MODULE_NOT_FOUND|"
    r"command not found|[Uu]nresolved import|no required module|DistributionNotFound"
)


class Failure(NamedTuple):
    what: str
    """In one line."""
    where: list[str]
    """Files, the innermost last named first."""
    tests: list[str]
    excerpt: str
    listed: list[str]
    """Of the tests, those that a command can name as they are named here."""


_COMPLAINS = re.compile(
    r"^(?:psql:[^\n]{1,200}?:\d+: |[│╷×✗✖•]\s?)?(?:ERROR|Error|error|FATAL|E)"
    r"(?:\[\w+\]| \d+ \([^)\n]{1,20}\)[^:\n]{0,60})?:\s"
    r"(?!\s*pip's dependency resolver)"
    r"|^error \S|^(?:Error from server|An error occurred \(|× No solution|PackagesNotFoundError|gcloud\.\S+: ERROR)"
    r"|^(?:rm|cp|mv|mkdir|chmod|chown|ln|touch): (?:cannot|[^\n]{1,300}: (?:No such|Permission denied|Not a directory))"
    r"|^The connection to the server \S{1,200} was refused|version solving failed|^ ?! \[(?:remote )?rejected\]"
    r"|^[^\n:]{0,80}(?:sh|bash): (?:line )?[^\n]{1,200}: (?:command )?not found",
    re.MULTILINE,
)
"""What programs that do something say of why they did not; of what only prints, it would be what it was given."""
_NOTHING_TO_COMMIT = re.compile(
    r"^(?:nothing to commit|nothing added to commit|no changes added to commit)", re.MULTILINE
)
_COMMITTED = re.compile(r"^\[[^\]\n]{1,200} [0-9a-f]{7,40}\]|^ \d+ files? changed", re.MULTILINE)
_STOPPED = re.compile(
    r"^- hook id: |(?<!\.)\.{3,}Failed$|^(?:husky - |lefthook|✖ )|hook (?:script )?(?:failed|exited)|^Aborting commit|"
    r"^error: |unmerged files|^Please tell me who you are",
    re.MULTILINE,
)


_TIMED_OUT = re.compile(r"(?:Error: )?[Cc]ommand timed out after \d[\w. ]{0,40}(?=\n|\Z)")
"""What is said in place of a command's last words, or before the first."""


_NOT_SHOWN = re.compile(
    r"ssh: |kex_exchange_identification: |Host key verification failed|\S{1,200}: Permission denied \(|"
    r"Connection (?:closed|reset|timed out) by |(?:docker: )?Error (?:response )?from (?:daemon|server)\b|"
    r"OCI runtime exec failed|Unable to connect to the server: |The connection to the server |"
    r"error: (?:unable to upgrade connection|You must be logged in|a container name must be specified|context \W)|"
    r"Error: No such container|An error occurred \("
)
"""Instead of a log: that there is none, or no way to it."""
_LINES_OF_A_REFUSAL = 4


def failed(command: str, output: str) -> bool:
    """Whether it says that it failed: an exit code is not always told, and of a pipe it is that of the last."""
    if _TIMED_OUT.fullmatch(output):
        return True
    if shells.is_absent(command, output):
        return True
    if commands.only_looks(command):
        return False
    if commands.shows_logs(command):
        return output.count("\n") < _LINES_OF_A_REFUSAL and _NOT_SHOWN.match(output) is not None
    if complains(command, output):
        return True
    if _TIMED_OUT.match(output) or _TIMED_OUT.fullmatch(output[output.rfind("\n") + 1 :]):
        return True
    end = output[-20_000:]
    if commands.commits(command) and not has_committed(output) and (_STOPPED.search(end) or _FAILED.search(end)):
        return True
    if _GAVE_UP.search(end) or (commands.is_check(command) and _FAILED.search(end)):
        return True
    return commands.speaks_for_itself(command) and _COMPLAINS.search(end) is not None


def has_committed(output: str) -> bool:
    return _COMMITTED.search(output[:20_000]) is not None


def misses_something(output: str) -> bool:
    return _MISSES.search(output[-20_000:]) is not None


_SUBJECT = re.compile(r"^\[[^\]\n]{1,200} [0-9a-f]{7,40}\] (\S[^\n]{0,300})", re.MULTILINE)


def message(command: str, output: str) -> str:
    """Of a commit that was made: as it was given, or else its subject, as git tells it."""
    given = commands.commit_message(command)
    if given or not commands.commits(command):
        return given
    found = _SUBJECT.search(output[:20_000])
    return found[1].strip() if found else ""


def is_committed(command: str, output: str) -> bool:
    """Whether there is a commit now: git says so, or nothing hides that it would have complained."""
    step = commands.commits(command)
    return has_committed(output) or (step is not None and not step.hidden and not nothing_to_commit(output))


def nothing_to_commit(output: str) -> bool:
    return not has_committed(output) and _NOTHING_TO_COMMIT.search(output[:20_000]) is not None


_STAMPED = re.compile(
    r"(?:[\w./-]{1,60}: )?(?:\[?\d{4}-\d\d-\d\d[T ])?\[?\d\d:\d\d:\d\d[\d.,Z+:\]-]{0,20}\s+"
    r"(?:\[?(?:INFO|DEBUG|WARN(?:ING)?|TRACE|NOTICE)\]?:?\s+)?(?P<level>\[?(?:ERROR|CRITICAL|FATAL)\]?:?\s+)?"
    r"(?:(?=[\w-]{0,80}[./])[\w./-]{1,80}:?\s+(?=\S))?"
)
"""When, how grave and where from, before what a log says."""


def told_in(log: str) -> str:
    """The cause of what went wrong in what a log shows. Empty: nothing did, as far as it tells."""
    lines = [_STAMPED.sub(r"\g<level>", line[:2000], count=1).rstrip() for line in lines_of(log[-20_000:])][-600:]
    return one_line(causes.told_in(lines), 220)


_LISTED = re.compile(r"^(?:total \d+|[-dlcbps][-rwxsStT]{9}[.+@]?\s.*)$", re.MULTILINE)


def without_listing(output: str) -> str:
    """That of `ls -l`."""
    return _LISTED.sub("", output)


_RUN_FAILED = re.compile(
    r"^=*[ \t]?[1-9]\d* (?:failed|errors?)\b[^\n]{0,80}? in \d[\d.:]*s?\b|^FAILED \S{1,300}::\S|^--- FAIL: |^FAIL\t\S"
    r"|^test result: FAILED|^Tests:[ \t]{1,9}[1-9]\d* failed, \d|^[ \t]*[1-9]\d* failing$"
    r"|^[1-9]\d* examples?, [1-9]\d* failures?\b",
    re.MULTILINE,
)
"""What only a run of tests says of itself, whether or not any of them passed."""
_SUITES_FAILED = re.compile(
    r"^[ \t]*Test (?:Suites|Files)\b[^\n]{0,40}\b[1-9]\d* failed[^\n]{0,200}\n[^\n]*", re.MULTILINE
)
"""The line after it counts the tests of the others."""
_OF_CHECKS = re.compile(r"All checks|no issues|\bFound \d|BUILD|error TS|✖")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)[^\n]*(?:\n[ \t][^\n]*)*(?:\n[^\n]*)?")
_ASIDE = re.compile(r"[ \t]|hint: |note: |help: |npm |\[notice\]|make(?:\[\d+\])?: |exit(?: |ed )|For more information")
"""What programs say after a failure, of the failure."""


def gave_up(output: str) -> bool:
    """The same of output whose command is not known, and unless all is well in the end."""
    end = output[-20_000:]
    failed = bool(_GAVE_UP.search(end) or _RUN_FAILED.search(end)) or (
        _FAILED.search(end) is not None and _PASSED.search(end) is not None
    )
    return failed and not _is_well_again(end)


def _is_well_again(output: str) -> bool:
    """Whether the last verdict is that all passes; of a check, that is none on the tests."""
    verdicts = [*_FAILED.finditer(output), *_RUN_FAILED.finditer(output)]
    last = max(verdicts, key=lambda found: found.end(), default=None)
    failures = (*verdicts, *_GAVE_UP.finditer(output), *_SUITES_FAILED.finditer(output))
    until = max((found.end() for found in failures), default=0)
    for found in reversed(list(_PASSED.finditer(output, until))):
        line = output[output.rfind("\n", 0, found.start()) + 1 : found.end()]
        if not _FAILED.search(line):
            # A compiler that complains keeps the tests from running; whatever passes later, it did not then.
            if last is None or last.group().startswith("error"):
                return True
            return bool(_OF_CHECKS.search(last.group())) == bool(_OF_CHECKS.search(line))
    return False


def printed(output: str) -> str:
    """What is read of plain output."""
    return excerpt(without_listing(output), 12_000)


def fails(text: str) -> bool:
    """Whether plain output tells of a failure."""
    return has_trace(text) or gave_up(text)


def since_failure(text: str) -> str:
    """What plain output says after the last that went wrong in it."""
    patterns = (_TRACEBACK, _TRACE, _FAILED, _RUN_FAILED, _GAVE_UP, _SUITES_FAILED)
    until = max((found.end() for pattern in patterns for found in pattern.finditer(text)), default=len(text))
    lines = text[until:].split("\n")[1:]
    while lines and (not lines[0].strip() or _ASIDE.match(lines[0]) or causes.RAISED.match(lines[0])):
        del lines[0]
    return "\n".join(lines).strip()


def passed(output: str) -> str:
    if _FAILED.search(output[-20_000:]):
        return ""
    found = _PASSED.findall(output)
    return " ".join(found[-1].split()) if found else ""


def has_trace(output: str) -> bool:
    return _TRACE.search(output) is not None


def failure(output: str) -> Failure:
    """What went wrong, by the most telling line there is; lines further down are nearer to the cause."""
    lines = runners.without_passed([line.rstrip() for line in lines_of(output)])[-600:]
    if of_tests := runners.tests_of(lines):
        return _of_tests(lines, of_tests)
    tests: list[str] = []
    why, why_at, listed_at = "", -1, -1
    for number, line in enumerate(lines):
        if match := _FAILED_TEST.match(line[:400]):
            name = next(group for group in (match[1], match[3], match[4], match[5]) if group)
            tests.append(one_line(runners.without_time(name), 200))
            why = why or (match[2] or "")
        elif test := reasons.test_in(line):
            tests.append(test)
            listed_at = number
        elif not why and (asserted := _asserted(line, lines[number + 1 : number + 2], after_a_test=bool(tests))):
            why, why_at = asserted, number
    found, at = causes.cause_in(lines)
    if why and (
        not found
        or found.startswith(("assert", "FAILED ", "ERROR "))
        or re.match(r"\W*\d+ (?:failed|errors?)\b|test result: |error: (?:test failed|\d+ targets? failed)", found)
        or _PANICKED.search(found)
    ):
        found, at = why, why_at if why_at >= 0 else at
    if (not found or hooks.is_status(lines[at])) and (of_hooks := hooks.said(lines)):
        found = of_hooks
    found = causes.innermost(_DOTS.sub(": ", found))
    if file := _only_counts(found) and next((match[1] for line in lines if (match := _FAILED_FILE.match(line))), ""):
        found = f"{file} fails"
    if listed_at >= 0 and (not found or reasons.test_in(found)):
        found, at = f"{tests[0]} failed", listed_at
    if not found:
        words = [number for number, line in enumerate(lines) if any(map(str.isalnum, line))]
        if words[1:]:
            words = [number for number in words if not reasons.says_nothing(lines[number])]
        shown = causes.differing(lines)
        own = [number for number in words if number not in shown and not causes.is_echo(lines[number])]
        if said := own or words:
            at = said[-1]
            found = lines[at]
    found = reasons.whole(found, lines[at + 1 : at + 1 + reasons.MAX_LINES] if at >= 0 else ())
    near = lines[max(0, at - 12) : at + 6] if at >= 0 else lines[-16:]
    tests = unique(tests, 12)
    told = "\n".join(near)[:1500]
    results = [line for line in reasons.results_in(lines) if line not in told]
    return Failure(one_line(found, 220), _places(lines), tests, "\n".join([*results, told]), tests)


def complaints(output: str, most: int) -> list[str]:
    """Each thing that compilers and linters say is wrong."""
    return causes.all_in([line.rstrip() for line in lines_of(output[-20_000:])][-600:], most)


_OF_OTHERS = re.compile(
    r"(?:^|/)(?:site-packages|dist-packages|node_modules|bower_components|vendor/bundle|gems)/|^/usr/(?:lib|lib64|share)/|"
    r"^/usr/local/(?:lib|go)/|/lib/python\d[\d.]{0,6}/|^<|^node:|^internal/|/\.cargo/registry/|^/rustc/|/go/pkg/mod/|"
    r"/\.rustup/|/\.pyenv/versions/|/\.nvm/|/\.m2/|^java\.|^/opt/(?:conda|miniconda\d?|homebrew)/|^/nix/store/"
)
"""The standard library's, and what was installed."""


def _places(lines: list[str]) -> list[str]:
    """The files that somebody may change; what others made only passed the error on."""
    places = [match[1] for line in reversed(lines) if (match := _PY_FILE.match(line[:1000]))]
    for number, line in enumerate(lines):
        # Behind what was left out, a path may have lost its beginning.
        cut = "…" in (lines[number - 1 : number] + lines[number - 2 : number - 1] if number else [])
        for found in _PLACE.finditer(line[:1000]):
            before = line[found.start() - 1 : found.start()]
            if not (cut and found.start() == 0) and not (before == ":" and "/" not in found[1]):
                places.append(found[1])
    return unique((path for path in places if not _OF_OTHERS.search(path)), 8)


def _of_tests(lines: list[str], told: list[runners.Told]) -> Failure:
    """By what is said of each test, whatever is said of all of them."""
    said = "\n".join("\n".join(lines[one.at : one.end]).strip("\n") for one in told)
    names = [one.name for one in told]
    listed = [one.name for one in told if one.listed]
    return Failure(one_line(told[0].what, 220), _places(lines), names, said[:1500], listed)


_COUNTS = re.compile(
    r"(?:Tests?|Test (?:Suites|Files)|Tests run):?\s.*\d|\W*[1-9]\d* (?:failed|failing|failures?)\b[^:]*$"
)
_FAILED_FILE = re.compile(r"\s*FAIL\s+(\S{1,300}\.\w{1,8})(?:\s|$)")


def _only_counts(found: str) -> bool:
    return _COUNTS.match(found) is not None


_PANICKED = re.compile(r"^thread '[^'\n]{1,200}' (?:\(\d+\) )?panicked at (?:'(.+)', )?\S")
_GO_SAYS = re.compile(r"\s+(\S{1,200}\.go:\d+: .+)")


def _asserted(line: str, following: list[str], *, after_a_test: bool) -> str:
    """What a test complains of, where only the place of it stands beside its name."""
    if match := _PANICKED.match(line[:400]):
        return match[1] or "".join(following)[:400]
    match = _GO_SAYS.match(line[:400]) if after_a_test else None
    return match[1] if match else ""


def complaint(output: str) -> str:
    """Why nothing was found, where it says so."""
    for line in lines_of(output[:20_000]):
        if found := causes.complaint_in(line):
            return found
    return ""


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
