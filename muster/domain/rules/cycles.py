"""What failed and what became of it: which runs are the same again, which passes, and what may have mended it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import lru_cache

from muster.domain.rules import commands, hidden, hooks, outcomes, rejections
from muster.domain.rules.differences import differences
from muster.domain.rules.reading import Act
from muster.domain.rules.results import is_doubted
from muster.domain.rules.steps import steps
from muster.domain.rules.text import one_line
from muster.domain.rules.weakened import is_of_environment, weakens

ACCEPTED_CHARS = 90
failure = lru_cache(maxsize=32)(outcomes.failure)
"""Failures that are followed at once are compared with each other."""


def has_failed(act: Act) -> bool:
    """By its exit code, or by what it says."""
    return (
        act.failed
        or (act.exit_code is None and outcomes.has_trace(act.text) and not commands.only_looks(act.command)
            and not commands.shows_logs(act.command))
        or outcomes.failed(act.command, act.text)
        or rejections.is_rejected(act.command, act.text)
        or (hidden.is_hidden(act.command) and hidden.prints_failure(act.command, act.text))
    )  # fmt: skip


def fails_again(act: Act, failed: Act) -> bool:
    """Whether it says what the failed one said, where its exit code would not tell, or its agent says that it does."""
    unknown = act.exit_code is None or hidden.is_hidden(act.command)
    return is_doubted(act) or (unknown and hidden.says_again(failure(failed.text).what, act.text))


def placed(act: Act) -> str:
    """Its command, after going where it was run, where that is told."""
    payload = act.event.payload
    cwd = payload.get("cwd") if isinstance(payload, dict) else None
    return f"cd {shlex.quote(cwd)}\n{act.command}" if isinstance(cwd, str) and 0 < len(cwd) < 500 else act.command


def is_accepted(act: Act, failed: Act) -> bool:
    """Whether what was not right is handed over anew, and something is said to that, or it ends well."""
    return (
        rejections.is_rejected(failed.command, failed.text)
        and rejections.is_another_try(act.command, failed.command)
        and act.command != failed.command
        and (act.exit_code == 0 or any(map(str.isalnum, act.text)))
    )


def is_rejected_again(act: Act, failed: Act) -> bool:
    return rejections.is_rejected(act.command, act.text) and (
        rejections.is_rejected(failed.command, failed.text) and rejections.is_another_try(act.command, failed.command)
    )


@dataclass(eq=False)
class Cycle:
    """Something that failed, what was done since, and what of it passes."""

    failed: Act
    failures: list[Act] = field(default_factory=list)
    """The same again."""
    between: list[Act] = field(default_factory=list)
    """Edits, and commands that may have changed something."""
    tried: int = 0
    """How much of that was done when it failed the last time: it was no fix."""
    latest: Act | None = None
    """The last of what failed in the same place, if not the first."""
    passed: Act | None = None
    mended_as: Cycle | None = None
    """The same, where it was mended and is told. Nothing, once this failed again."""

    @property
    def every(self) -> list[Act]:
        return [self.failed, *self.failures]

    @property
    def standing(self) -> list[Act]:
        """The failures that no later one speaks for."""
        every = self.every
        return [
            act
            for n, act in enumerate(every)
            if not any(commands.covers(later.command, placed(act)) for later in every[n + 1 :])
        ]

    @property
    def is_told(self) -> bool:
        """Whether its fix is that of the same elsewhere. Where it is not known what failed, nothing else was done."""
        if self.mended_as is None:
            return False
        if _failing(self) and _failing(self.mended_as):
            return True
        return all(act in self.mended_as.fixes for act in self.fixes)

    @property
    def fixes(self) -> list[Act]:
        """What may have mended it: also what passes, where that changes something itself, or does it another way. What
        only shows something is mended by nothing: it shows something else."""
        if commands.shows(self.failed.command) and self.failed.command:
            return []
        last = self.last
        found = [act for act in self.since if _may_mend(act, last)]
        if self.passed and self.passed.command != last.command:
            found += [self.passed] if self.otherwise or _may_mend(self.passed, last) else []
        return found or ([last] if self.passed and _rewrites(last) else [])

    @property
    def itself(self) -> bool:
        """Whether nothing else mended it: it rewrote files as it failed."""
        return self.fixes == [self.last]

    @property
    def restaged(self) -> bool:
        """Whether what was rewritten was put into the commit."""
        return any(hooks.stages(act.command) for act in (*self.since, *([self.passed] if self.passed else [])))

    @property
    def otherwise(self) -> list[str]:
        """How what passes differs from what failed."""
        if self.passed and rejections.is_rejected(self.last.command, self.last.text):
            quotes = rejections.differs_in_quotes(self.passed.command, self.last.command)
            return [f"`{one_line(self.passed.command, ACCEPTED_CHARS)}`{' (other quotes)' if quotes else ''}"]
        return differences(self.passed.command, self.last.command, self.last.text) if self.passed else []

    @property
    def last(self) -> Act:
        return self.latest or self.failed

    @property
    def since(self) -> list[Act]:
        """What was done after it failed the last time."""
        return self.between[self.tried :]

    def fails(self, act: Act) -> None:
        self.failures.append(act)
        self.latest, self.tried, self.mended_as = act, len(self.between), None

    def begins_with(self, act: Act) -> None:
        """Its program is found by now. What was done before has no part in why it fails."""
        self.failures.append(self.failed)
        self.failed, self.latest, self.tried, self.mended_as = act, None, 0, None
        self.between.clear()


def is_same_failure(one: Cycle, other: Cycle) -> bool:
    """Whether some of what fails in the one fails in the other."""
    ones, others = _failing(one), _failing(other)
    if not ones or not others:
        return _fails_alike(one, other)
    return any(_is_test(test, known) for test in ones for known in others)


def is_part(one: Cycle, other: Cycle) -> bool:
    """Whether all that fails in the one fails in the other."""
    ones, others = _failing(one), _failing(other)
    if not ones or not others:
        return _fails_alike(one, other)
    return all(any(_is_test(test, known) for known in others) for test in ones)


def _failing(cycle: Cycle) -> list[str]:
    """The tests, as far as each failure names any."""
    named = [failure(act.text).tests for act in cycle.standing]
    return [test for tests in named for test in tests] if all(named) else []


def _fails_alike(one: Cycle, other: Cycle) -> bool:
    """In the same words, and in a file of the same name where any is named."""
    ones, others = (failure(cycle.standing[-1].text) for cycle in (one, other))
    places, known = ({path.rpartition("/")[2] for path in found.where} for found in (ones, others))
    return ones.what != "" and ones.what == others.what and (not places or not known or not places.isdisjoint(known))


def _is_test(one: str, other: str) -> bool:
    """The same from different folders."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def _rewrites(act: Act) -> bool:
    """Whether it is there to do so, and says that it did."""
    does = commands.is_check(act.command) or commands.commits(act.command) or hooks.fixes(act.command)
    return bool(does) and hooks.rewrote(act.text)


def _may_mend(act: Act, failed: Act) -> bool:
    """A text it never spoke of did not, and neither did a package that it did not miss."""
    spoken = f"{failed.command}\n{failed.text}"
    if is_of_environment(failure(failed.text).what):
        names = [*act.files_modified, *(commands.names(act.command) if commands.alters(act.command) else ())]
        return any(path in spoken or path.rpartition("/")[2] in spoken for path in names)
    if act.files_modified:
        return any(not _PROSE.search(path) or path.rpartition("/")[2] in spoken for path in act.files_modified)
    if not act.command:
        return bool(act.changes)
    if _unpacks(act, failed) or (hooks.fixes(act.command) and hooks.is_of_style(failed.command, failed.text)):
        return True
    return (commands.alters(act.command) or weakens(act) != "") and (
        any(word in failed.text for word in commands.names(act.command))
        or (commands.installs_all(act.command) and outcomes.misses_something(failed.text))
    )


_PROSE = re.compile(r"\.(?:md|mdx|rst|adoc)$|(?:^|/)(?!requirements|constraints|CMakeLists)[^/]*\.txt$")
_ABSENT = re.compile(r"([\w.+@-]{4,200})['\"’`]?: (?:No such file|cannot open|not found)", re.IGNORECASE)
_UNPACKS = frozenset("unzip tar gunzip bunzip2 unxz 7z 7za unrar bsdtar".split())  # noqa: SIM905


def _unpacks(act: Act, failed: Act) -> bool:
    """Whether the file that was not there is named by what was unpacked, or by what came out of it."""
    archives = [step.words[1:] for step in steps(act.command) if step.name in _UNPACKS]
    if not archives or act.failed:
        return False
    names = {word.rpartition("/")[2].partition(".")[0] for words in archives for word in words}
    absent = _ABSENT.findall(failed.text[-4000:])
    return any(name.partition(".")[0] in names or name in act.text[:20_000] for name in absent)
