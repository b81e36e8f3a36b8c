"""Which tests fail and why, as those runners say it that print it over several lines: jest, vitest, Maven, Gradle,
PHPUnit, .NET, CTest and RSpec."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from muster.domain.rules.text import one_line

MAX_TESTS = 12
MAX_LINES = 40
"""Of what is said of one test."""
_REASON_LINES = 4


class Told(NamedTuple):
    """A test that failed."""

    name: str
    why: str
    at: int
    """The line that names it."""
    end: int
    """The line after the last that is said of it."""
    listed: bool
    """Whether a command can name it so, or the file that it is in."""

    @property
    def what(self) -> str:
        return f"{self.name}: {self.why}" if self.why else self.name


_PASSES = re.compile(
    r"\s*(?:[✓✔√] |PASS\s+\S|\d+/\d+ Test\s+#\d+: .{1,300}? Passed\s+\d|Start\s+\d+: \S|--- PASS: "
    r"|=== (?:RUN|PAUSE|CONT) |test \S+ \.\.\. ok$|Passed \S.{0,300}\[(?:< )?\d"
    r"|\[INFO\] (?:Running \S|Tests run: .{1,80}Time elapsed))"
    r"|\S.{0,300} (?:PASSED(?:\s+\[\s*\d+%\])?|PASSED \(\d.{0,12}\))$"
)
"""A test that does not fail, or begins. They come and go, and in any order where several run at once."""


def without_passed(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not _PASSES.match(line[:400])]


_TOOK = re.compile(r"\s*[(\[](?:< )?\d[\d.,]*\s?(?:ns|us|µs|ms|s|sec|m)[)\]]$|\s+\d[\d.,]*\s?m?s$")


def without_time(name: str) -> str:
    """Of the name of a test, behind which stands how long it took."""
    return _TOOK.sub("", name)


def tests_of(lines: Sequence[str]) -> list[Told]:
    """Those that fail, each once. Nothing, where no runner names any over more lines than one."""
    for known in _RUNNERS:
        found: dict[str, Told] = {}
        for told in known(lines):
            if told.name not in found or (told.why and not found[told.name].why):
                found[told.name] = told
            if len(found) == MAX_TESTS:
                break
        if found:
            return list(found.values())
    return []


def _found(
    lines: Sequence[str],
    head: re.Pattern[str],
    why: Callable[[list[str]], str],
    *,
    ends: re.Pattern[str],
    named: Callable[[re.Match[str]], str] = lambda found: found[1],
    listed: bool = False,
) -> list[Told]:
    """What begins with the one and ends before the other, or before the next of them."""
    heads = [(n, found) for n, line in enumerate(lines) if (found := head.match(line[:400]))][: MAX_TESTS * 4]
    told = []
    for (at, found), after in zip(heads, [*(n for n, _ in heads[1:]), len(lines)], strict=False):
        until = min(after, at + MAX_LINES)
        end = next((n for n in range(at + 1, until) if ends.match(lines[n][:400])), until)
        said = [line.strip()[:400] for line in lines[at + 1 : end]]
        told.append(Told(one_line(named(found), 160), why(said), at, end, listed))
    return told


_REMARK = re.compile(r"\s*// Object\.is equality$|\s*\(compared using \S+\)$")
_STRUCTURE = re.compile(r"@@|(?:---|- Expected|\+\+\+|\+ Received)(?:\s+\S+)?(?:\s*[-+]\s*\d+)?$|[-=⎯─^|]{3,}")
_FRAME = re.compile(r"(?:at|in) \S.*[:(]|>?\s*\d+\s?\||# \S|❯ |\.{3}|\[\w+\]\s*$|↳|Require stack:|\d+\)\s")


def _first(said: list[str]) -> str:
    """What it says before the code that it stands in."""
    found: list[str] = []
    for line in said:
        if not line:
            continue
        if _FRAME.match(line):
            break
        if not _STRUCTURE.match(line) and line not in found:
            found.append(_REMARK.sub("", line))
        if len(found) == _REASON_LINES:
            break
    return ", ".join(" ".join(line.split()).rstrip(",") for line in found if line).replace(":, ", ": ")


# -- Each of them -----------------------------------------------------------------------------------------------------

_JEST = re.compile(r"\s{0,4}● (?!Console$)(\S.*?)$")
_JEST_ENDS = re.compile(r"PASS\s+\S|FAIL\s+\S|Test Suites?:|Tests:|Summary of all failing tests|Snapshot Summary")
_JEST_FILE = re.compile(r"FAIL\s+(?:\S+ )?(\S{1,300}\.\w{1,8})(?:\s\(.{1,20}\))?$")
_NO_SUITE = "Test suite failed to run"


def _jest(lines: Sequence[str]) -> list[Told]:
    begins = next((n for n, line in enumerate(lines) if line.lstrip()[:5] == "FAIL "), None)
    if begins is None:
        return []
    found = []
    for told in _found(lines, _JEST, _first, ends=_JEST_ENDS, listed=True):
        if told.at < begins:
            continue  # a remark on how it is configured
        if told.name == _NO_SUITE:
            files = (match[1] for n in range(told.at, -1, -1) if (match := _JEST_FILE.match(lines[n].strip()[:400])))
            told = told._replace(name=next(files, told.name))
        found.append(told._replace(name=without_time(told.name)))
    return found


_VITEST = re.compile(r"\s*FAIL\s+(?:\|\S{1,60}\|\s+)?(\S+ > \S.*?|\S+) *(?:\[ \S+ \])?$")
_VITEST_ENDS = re.compile(r"⎯{3}|\s*Test Files\s")


def _vitest(lines: Sequence[str]) -> list[Told]:
    """Several in a row that fail alike are told why once."""
    if not any("Failed Tests" in line or "Failed Suites" in line or " > " in line for line in lines):
        return []
    found = _found(lines, _VITEST, _first, ends=_VITEST_ENDS, listed=True)
    for n in range(len(found) - 2, -1, -1):
        if not found[n].why and found[n].end == found[n + 1].at:
            found[n] = found[n]._replace(why=found[n + 1].why)
    # Go and jest say FAIL of a file alone, and not why.
    return [told for told in found if " > " in told.name or (told.why and _ends_with_rule(lines, told))]


def _ends_with_rule(lines: Sequence[str], told: Told) -> bool:
    return told.end < len(lines) and lines[told.end].startswith("⎯⎯⎯")


_MAVEN = re.compile(
    r"(?!(?:\[ERROR\]\s+)?Tests run)(?:\[ERROR\]\s+)?(\S.{0,200}?)\s+(?:-- )?Time elapsed: "
    r"[\d.,]+ (?:s|sec|ms)\s+<<< (?:FAILURE|ERROR)!"
)
_MAVEN_ENDS = re.compile(r"$|\[(?:INFO|ERROR|WARNING)\]|\s+at \S")
_MAVEN_LISTED = re.compile(r"\[ERROR\] {2,4}(?:\w+\(.{1,200}?\) )?([\w.$]+)(?::\d+)?(?:->\S+)? (.+)$")
_JUNIT_OLD = re.compile(r"(\w+)\(([\w.$]+)\)$")


def _maven(lines: Sequence[str]) -> list[Told]:
    if found := _found(lines, _MAVEN, _first, ends=_MAVEN_ENDS, named=_junit):
        return found
    begins = next(
        (n for n, line in enumerate(lines) if line.startswith(("[ERROR] Failures:", "[ERROR] Errors:"))), None
    )
    if begins is None:
        return []
    told = _found(lines[begins:], _MAVEN_LISTED, lambda _: "", ends=_MAVEN_ENDS)
    return [one._replace(at=one.at + begins, end=one.end + begins, why=_reason(lines[one.at + begins])) for one in told]


def _reason(line: str) -> str:
    found = _MAVEN_LISTED.match(line[:400])
    return found[2].strip() if found else ""


def _junit(found: re.Match[str]) -> str:
    old = _JUNIT_OLD.match(found[1])
    return f"{old[2]}.{old[1]}" if old else found[1]


_GRADLE = re.compile(r"(?![>\s])(\S.{0,200} > \S.{0,200}) FAILED$")
_GRADLE_ENDS = re.compile(r"$|\S|\s+at \S")
_METHOD = re.compile(r"([\w.$]+) > (\w+)\(\)$")


def _gradle(lines: Sequence[str]) -> list[Told]:
    return _found(
        lines, _GRADLE, _first, ends=_GRADLE_ENDS, named=lambda found: _METHOD.sub(r"\1.\2", found[1])
    )  # fmt: skip


_PHPUNIT = re.compile(r"\d+\) ([\w\\]+::\S.*)$")
_PHPUNIT_ENDS = re.compile(r"--$|(?:FAILURES|ERRORS)!|Tests: \d|/\S{1,300}:\d+$")


def _phpunit(lines: Sequence[str]) -> list[Told]:
    return _found(lines, _PHPUNIT, _first, ends=_PHPUNIT_ENDS)


_DOTNET = re.compile(
    r"\s+Failed (\S.{0,300}?) \[(?:< )?\d[\w ,.]{0,30}\]$|\s+(\S{1,300}) \(\d[\w ,.]{0,20}\): Error Message: ?.*$"
)
_DOTNET_ENDS = re.compile(
    r"\s+Stack Trace:|\s+Standard Output Messages:|\s+(?:Passed|Skipped) \S|(?:Failed|Passed)! |$"
)


def _dotnet(lines: Sequence[str]) -> list[Told]:
    found = _found(
        lines, _DOTNET, lambda said: _first([line for line in said if line != "Error Message:"]),
        ends=_DOTNET_ENDS, named=lambda match: match[1] or match[2],
    )  # fmt: skip
    for n, told in enumerate(found):
        beside = lines[told.at][:400].partition("Error Message:")[2].strip()
        if beside:
            found[n] = told._replace(why=", ".join(filter(None, (beside, told.why))))
    return found


_CTEST = re.compile(r"\s*\d+/\d+ Test\s+#\d+: (\S{1,200}) [. ]{0,200}[\w ]{0,40}\*\*\*(\w.*?)\s+\d[\d.]* sec")
_CTEST_ENDS = re.compile(r"\s*Start\s+\d+: |\s*\d+/\d+ Test\s|\d+% tests passed|Total Test time")
_CTEST_LISTED = re.compile(r"\s+\d+ - (\S{1,200}) \((\w[\w ]{0,30})\)")
_TELLS = re.compile(r"assert|error|fail|expected|exception|abort|panic|mismatch|!=", re.IGNORECASE)


def _ctest(lines: Sequence[str]) -> list[Told]:
    if not any(line.startswith("Test project ") or "% tests passed," in line for line in lines):
        return []
    found = _found(lines, _CTEST, _asserted, ends=_CTEST_ENDS) or _found(
        lines, _CTEST_LISTED, lambda _: "", ends=_MAVEN_ENDS
    )
    return [told._replace(why=told.why or _state(lines[told.at][:400])) for told in found]


def _state(line: str) -> str:
    found = _CTEST.match(line) or _CTEST_LISTED.match(line)
    return found[2] if found else ""


def _asserted(said: list[str]) -> str:
    """Where it is told what the test printed."""
    at = next((n for n, line in enumerate(said) if _TELLS.search(line)), None)
    if at is None:
        return next(filter(None, said), "")
    # GoogleTest says only that it is one, and what of on the next lines.
    return _first(said[at:]) if said[at].endswith("Failure") else said[at]


_RSPEC = re.compile(r"  \d+\) (\S.*)$")
_RSPEC_ENDS = re.compile(r"\s+# \S|Finished in |Failed examples:|\d+ examples?,")


def _rspec(lines: Sequence[str]) -> list[Told]:
    if not any("Failure/Error:" in line for line in lines):
        return []
    found = _found(lines, _RSPEC, _compared, ends=_RSPEC_ENDS)
    return [told for told in found if any("Failure/Error:" in line for line in lines[told.at : told.end])]


def _compared(said: list[str]) -> str:
    """Below the code that failed, which ends with an empty line or with the name of an error."""
    begins = next((n for n, line in enumerate(said) if line.startswith("Failure/Error:")), 0)
    rest = said[begins + 1 :]
    empty = next((n for n, line in enumerate(rest) if not line), 0)
    return _first(rest[empty:]) or said[begins].removeprefix("Failure/Error:").strip()


_RUNNERS = (_vitest, _jest, _maven, _gradle, _phpunit, _dotnet, _ctest, _rspec)
