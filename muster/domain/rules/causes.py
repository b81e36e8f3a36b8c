"""Of what was printed, the line that says what is wrong; not one that only says that something else failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules.text import one_line, unique

LINE_CHARS = 400
"""Of each line."""

RAISED = re.compile(
    r"^(?:E\s+)?((?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt|Timeout|Failure|NotFound|"
    r"DoesNotExist)\b(?:: .*)?|AssertionError\b.*|assert .+)$"
)
_IN_FILE = r"^((?:vet: |\[ERROR\] |ERROR: |ERROR in |e: (?:file://)?)?[\w@./\\~+-]{1,200}\.[A-Za-z]\w{0,7}"
_ASIDE = (
    r"(?!\s*(?:\[?(?:warning|warn|note|info|debug|trace|hint|remark|help)\b|\w{0,60}Warning\b|recipe for target|"
    r"in \w|required from|from ))"
)
_COMPLAINTS = re.compile(
    r"^(.*(?:command not found|No such file or directory|Permission denied|Connection refused|not recognized as|"
    r"cannot find|could not find|No module named|segmentation fault|Killed|Out of memory|timed out|AccessDenied|"
    r"unable to resolve|is not defined|already in use|unknown command).*)$",
    re.IGNORECASE,
)
"""Also of programs that look: that what they were to look at is not there, or is not to be looked at."""
_TELLING = (
    RAISED,
    re.compile(r"^(error(?:\[E\d+\])?: .+)$"),
    re.compile(r"^(panic: .+)$"),
    re.compile(r"^(?:Exception in thread .*? |Caused by: |Uncaught )((?:[\w.$]+(?:Error|Exception)|Error)\b.*)$"),
    re.compile(r"^(?:\[?\w+\]?\s+)?((?:[A-Z]\w*)?(?:Error|Exception): .+)$"),
    re.compile(r"(error TS\d+: .+)$"),
    re.compile(r"^\S+:\d+(?::\d+)?:\s+((?:fatal )?error: .+)$"),
    re.compile(r"((?:npm ERR!|npm error|fatal:|ERROR:?|\[error\]|FATAL:?|CRITICAL:?|E:) .+)$"),
    re.compile(
        r"^(.*\b(?:undefined reference to|multiple definition of|unresolved external symbol|cannot find -l).*)$"
    ),
    re.compile(
        rf"{_IN_FILE}(?::\d{{1,6}}:\d{{1,6}}|:\[\d{{1,6}},\d{{1,6}}\]|\(\d{{1,6}},\d{{1,6}}\)):?\s+{_ASIDE}\S.{{4,}})$",
        re.IGNORECASE,
    ),
    _COMPLAINTS,
    re.compile(r"^(.*\b(?:error|failed|failure|fatal)\b.*)$", re.IGNORECASE),
)
"""The most telling first."""
_COMPILED = (_TELLING[1], _TELLING[5], _TELLING[6], _TELLING[9])
"""By which compilers and linters say one thing a line."""
_HINTS = (
    re.compile(r"^([A-Z]{1,4}\d{2,4}:? (?:\[\*\] )?[A-Za-z`'\"].{4,})$"),
    re.compile(rf"{_IN_FILE}:\d{{1,6}}:?\s+{_ASIDE}\S.{{4,}})$", re.IGNORECASE),
    re.compile(
        r"^(.*\b(?:would (?:re|be re)format\w{0,3}|code style issues|not (?:formatted|sorted|allowed|supported|"
        r"permitted|found|installed|empty)|illegal|un(?:used|expected|known|defined|resolved|declared)|mismatch\w{0,3}|invalid|missing|cannot|"
        r"can['’]t|could(?: not|n['’]t)|unable to|must(?: not)? (?:be|have)|rejected|denied|refused|violat\w{1,6}|"
        r"exceeds?|incompatible|duplicate|ambiguous|no rule to make)\b.*)$",
        re.IGNORECASE,
    ),
)
"""What says something where nothing else does but that it failed."""
_CODE = r"(?:code|status|value)?:?[ (=]{0,2}-?(?:0x[0-9a-f]{1,16}|[12]?\d{1,2}|\d{6,12})\)?"
_ECHOES = re.compile(
    r"(?:"
    # make, ninja, CMake, just, task, rake
    r"\w{0,10}-?make(?:\.exe)?(?:\[\d+\])?: (?:\*\*\* \[.{0,300}\] (?:Error|Fehler|Erreur) -?\d+|"
    r"\*\*\* (?:Waiting for|Warte auf)|Target .{1,300} not remade|(?:stopped|Leaving|Entering)\b)|"
    r"\*\*\* (?:\[.{0,300}\] )?Error code \d|NMAKE : fatal error U1077|.{0,200}recipe for target .{1,200} failed$|"
    r"ninja: build stopped|FAILED: \S|-- Configuring incomplete|error: recipe `.{1,100}` (?:failed|was terminated)|"
    r"task: Failed to run task|rake aborted!|"
    # compilers and linkers
    r"error: could not compile|error: aborting due to|error: build failed$|warning: build failed|"
    r"(?:some|\d+) errors have detailed explanations|for more information about this error|"
    r"collect2: error: ld returned|clang(?:\+\+)?: error: linker command failed|ld: symbol\(s\) not found|"
    r"cc1\w{0,4}: all warnings being treated|compilation terminated|too many errors|error: linking with|"
    r"(?:\[\w{4,7}\] )?\d+ errors?(?: generated)?\.?$|\d+ errors?(?:,| and) \d+ warnings?|\d+ Error\(s\)|"
    r"found \d+ (?:errors?|problems?|issues?)\b|✖ \d+ problems?|\[\*\] \d+ |"
    r"process didn['’]t exit successfully|error: process didn['’]t exit successfully: .{1,300}\(exit (?:code|status)|"
    # npm and its kin, Python's builds
    r"npm (?:ERR!|error) (?:code (?:ELIFECYCLE|\d+)|errno|path |command (?:failed|\S{0,10}sh )|workspace |location |"
    r"exit status|failed at the|this is probably|a complete log|lifecycle script|test failed\.|in workspace|"
    r"/?\S{1,200}$|\S+@\S+ \w{1,20}: )|(?:npm )?(?:ERR!|error)$|ELIFECYCLE\b|ERR_PNPM_RECURSIVE|"
    r"error: script \S{1,100} exited|lerna ERR! .{0,100}exited|ERROR:? +run failed: command|"
    r".{0,100}ERROR: command finished with error|NX +Running target|"
    r"error: (?:subprocess-exited-with-error|metadata-generation-failed|legacy-install-failure)|"
    r"ERROR: (?:Failed building wheel|Could not build wheels|Failed to build|InvocationError)|"
    r"(?:subprocess\.)?CalledProcessError: .{0,400}returned non-zero|.{1,60}: FAIL code \d|"
    r"evaluation failed :\(|Name +Stmts +Miss\b|"
    r"nox > (?:Command|Session) .{1,300}failed|- (?:hook id|exit code): |husky - |"
    # Gradle, Maven, .NET, Bazel, Xcode
    r"FAILURE: Build failed|(?:\[\w{4,7}\] )?BUILD FAIL(?:ED|URE)\b|execution failed for task|compilation failed; see|"
    r"\* (?:What went wrong|Try):|>? ?Run with --|\[ERROR\] (?:->|\[Help|To see the full|Re-run Maven|For more info|"
    r"After correcting|mvn <|COMPILATION ERROR|Failed to execute goal .{1,300}(?:Compilation failure|test failures))|"
    r"\[ERROR\]$|(?:ERROR|FAILED): Build did NOT|Target //.{1,200} failed to build|\*\* BUILD FAILED|"
    r"the following build commands failed|"
    # Docker, Ansible, pipelines
    r"=> (?:ERROR|CANCELED) |#\d+ ERROR: (?:process|executor)|(?:.{1,60}: )?failed to solve: .{0,400}"
    r"(?:did not complete successfully|executor failed running)|ERROR: (?:failed to solve: )?process \".{1,300}"
    r"did not complete|executor failed running|the command '.{1,300}' returned a non-zero|.{1,100}: Build failed$|"
    r"\S{1,100} +: ok=\d+ |(?:note|hint): |"
    # where it stands, and how it would be called
    r"\^[-~^ ]{0,80}(?:error )?here$|(?:ERROR:? )?usage: \S|"
    # tox, and where it is told at length
    r"\S{1,60}: exit -?\d+ \(|evaluation failed :\(|"
    r"(?:an? )?(?:full|complete|detailed|more) [\w ]{0,30}\b(?:log|logs|output|report|trace|details)\b.{0,60}?"
    r"[\s'\"(:][\w.~:\\-]{0,60}[/\\]\S+$|"
    r"(?:please )?(?:see|check|refer to|look at|inspect) (?:the )?(?:(?:\w+ )?"
    r"(?:logs?|output|errors?|messages?|details)\b(?: file)?)? ?(?:above|below|for (?:more|details)|in |at |$)|"
    r".{0,300}\bfailed[:,]? \(?(?:with )?(?:non-zero )?(?:exit|return)(?:ed with)?(?: status| code)?:? \d{1,3}\W{0,2}$"
    r")"
    # any other that tells how it ended, and no more
    rf"|(?:\W{{0,4}}\[?error\]?:? ?)?[^:\n]{{0,120}}\b(?:exit(?:ed|s)?|fail(?:ed|s)?|finished|completed|returned|"
    rf"terminated|status)\b(?: with| a| an| non-?zero| error| exit){{0,5}} {_CODE}\W{{0,3}}$",
    re.IGNORECASE,
)
"""What tools say that ran another, which has said why by then."""


_PLACE = re.compile(rf"{_IN_FILE}(?::\d{{1,6}}(?::\d{{1,6}})?|:\[\d{{1,6}},\d{{1,6}}\]|\(\d{{1,6}},\d{{1,6}}\))):?\s+")


_HEAD = re.compile(r"^(?:error(?:\[\w+\])?|fatal|E|ERROR|npm ERR!):?\s+")


def bare(what: str) -> str:
    """Without the file and the line it stands in, and that it is an error."""
    return _HEAD.sub("", _PLACE.sub("", what, count=1))


def is_echo(line: str) -> bool:
    return _ECHOES.match(_plain(line).lstrip("> ")) is not None


def _plain(line: str) -> str:
    return line.strip().lstrip("│╷╵ ")[:LINE_CHARS]


_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")


def differing(lines: Sequence[str]) -> set[int]:
    """The lines of a diff: what stands in a file says nothing of what went wrong."""
    found: set[int] = set()
    gone = come = 0
    for number, line in enumerate(lines):
        if hunk := _HUNK.match(line):
            gone, come = (int(count or 1) for count in hunk.groups())
        elif not (gone or come) or line[:1] not in ("", " ", "+", "-", "\\"):
            gone = come = 0
            continue
        else:
            gone -= line[:1] in ("", " ", "-")
            come -= line[:1] in ("", " ", "+")
            gone, come = max(gone, 0), max(come, 0)
        found.add(number)
    return found


_TRACE = "Traceback (most recent call last)"
_THROWN = re.compile(r"^((?:[A-Za-z_]\w{0,80}\.){0,10}[A-Z]\w{0,80}(?:: .+)?)$")


def _thrown(lines: Sequence[str]) -> set[int]:
    """The lines that end a traceback, whatever the error is called."""
    found: set[int] = set()
    within = False
    for number, line in enumerate(lines):
        if _TRACE in line[:LINE_CHARS]:
            within = True
        elif within and line.strip() and not line.startswith((" ", "\t")):
            within = False
            if _THROWN.match(line[:LINE_CHARS]):
                found.add(number)
    return found


_WRAPS = re.compile(
    r"(?:rpc |internal |fatal )?(?:error|panic|fatal)\b|"
    r".{0,80}\b(?:failed|failure|unable|could not|cannot|occurred|desc)\b|error \w+ing\b",
    re.IGNORECASE,
)
_LONG = 120


def innermost(what: str) -> str:
    """Of an error that was handed on from one to the next, each with words of its own, what the first one said."""
    parts = what[: 4 * LINE_CHARS].split(": ")
    inner = next((at for at, part in enumerate(parts) if not _WRAPS.match(part[:LINE_CHARS])), 0)
    if len(what) <= _LONG or inner < 3 or RAISED.match(parts[0]):
        return what
    if parts[-1] == "unknown" and inner < len(parts) - 1:
        parts = parts[:-1]
    return ": ".join(parts[inner:])


def cause_in(lines: Sequence[str]) -> tuple[str, int]:
    """What is wrong, and in which line that stands. Lines further down are nearer to the cause."""
    echoes = {number for number, line in enumerate(lines) if is_echo(line)}
    shown = differing(lines)
    own = [number for number in range(len(lines) - 1, -1, -1) if number not in echoes and number not in shown]
    thrown = _thrown(lines)
    raised = next((number for number in own if number in thrown or RAISED.search(_plain(lines[number]))), -1)
    if raised in thrown:
        return _plain(lines[raised]), raised
    return (
        _by(_TELLING, lines, own)
        or (_by(_HINTS, lines, own) if echoes or shown else None)
        or _by(_TELLING, lines, sorted(echoes, reverse=True))
        or ("", -1)
    )


def told_in(lines: Sequence[str]) -> str:
    """The same of a log, that may speak of errors where there is none."""
    found = _by(_TELLING[:-1], lines, [at for at in range(len(lines) - 1, -1, -1) if not is_echo(lines[at])])
    return found[0] if found else ""


def _by(patterns: Sequence[re.Pattern[str]], lines: Sequence[str], numbers: Sequence[int]) -> tuple[str, int] | None:
    for pattern in patterns:
        for number in numbers:
            line = _plain(lines[number])
            if len(line) > 4 and (match := pattern.search(line)):
                return match[1], number
    return None


def all_in(lines: Sequence[str], most: int) -> list[str]:
    """What compilers and linters complain of, each once."""
    found = (_by(_COMPILED, lines, [number]) for number, line in enumerate(lines) if not is_echo(line))
    return unique((one_line(one[0], 220) for one in found if one), most)


def complaint_in(line: str) -> str:
    """Of a program that looks."""
    match = _COMPLAINTS.match(line[:LINE_CHARS])
    return match[1].strip() if match else ""
