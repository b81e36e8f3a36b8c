"""What went wrong on the way of a session, and was got past: it is open no more, though nobody did the same again.

What was checked (tests, a build, a deployment) is only settled by a check that is as wide, and words do not suffice.
What was merely tried (a search, a page, a line of code to look at something) is, once the work went on well without it.
What an agent said in the middle of the work was about the work, unless it says that it is for later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto

from muster.domain.memory import NewObservation
from muster.domain.rules import commands, outcomes
from muster.domain.rules.cycles import has_failed
from muster.domain.rules.labels import label_of
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.sentences import sentences
from muster.domain.rules.steps import Step, steps
from muster.domain.rules.talk import is_of_agent

WENT_ON = 8
"""Uses of tools that went well: so many show that what failed before them was no obstacle."""
READ_CHARS = 12_000
"""Of a message."""
OUTPUT_CHARS = 60_000


class _Weight(Enum):
    LOOK = auto()
    """It only looked."""
    TRY = auto()
    DEED = auto()
    """It was to change something that others depend on."""
    CHECK = auto()


_TESTS = re.compile(
    r"\b(?:pytest|py\.test|unittest|jest|vitest|mocha|ava|cypress|playwright|karma|rspec|phpunit|ctest|gotestsum|"
    r"tests?|spec)\b"
)
_LINTS = re.compile(
    r"\b(?:ruff|mypy|pyright|flake8|pylint|eslint|biome|prettier|black|tsc|clippy|vet|lint|stylelint|rubocop|phpstan|"
    r"shellcheck|typecheck|codespell|pre-commit|golangci-lint|format|fmt|static)\b"
)
_RUNS_ALL = re.compile(r"\b(?:tox|nox|check|verify|ci)\b")
_PLANS = re.compile(r"(?:terraform|tofu|pulumi|helm|ansible-playbook|kustomize|packer)\b")
_DEED = re.compile(
    r"\b(?:deploy\w{0,10}|publish|release|upload|migrate|upgrade|rollback|restore|backup|install|apply|destroy|push|"
    r"pack|package|bundle|build|up|start|restart|serve|run_server|runserver|merge|rebase|sync|import|export|send)\b"
)
_ONE_LINER = re.compile(r"(?:python[\d.]{0,5}|node|ruby|perl|php|deno|bun|psql|sqlite3|mysql)\b")
_STOPS = frozenset(["kill", "pkill", "killall", "fuser", "lsof"])
_EVALUATES = frozenset(["-c", "-e", "-p", "-r", "--eval", "--print", "eval"])
_NEVER_BEGAN = re.compile(
    r"^\s{0,9}(?:usage:|Usage:)|\bno such (?:sub)?command\b|\b(?:unknown|unrecognized|invalid|illegal) "
    r"(?:sub)?(?:command|option|argument|flag)s?\b|\bcommand not found\b|\bis not recognized as\b|"
    r"\balready exists\b|\bis not installed\b|\bcannot remove\b|\bnot found: \S{1,80}$|"
    r"\bRead-only file system\b|\bOperation not permitted\b.{0,80}\bsandbox\b",
    re.MULTILINE | re.IGNORECASE,
)
"""What it was told to do was never begun: that says nothing of how things stand."""
_PASSED = re.compile(
    r"\b\d{1,7} (?:tests? )?pass(?:ed|ing)\b|\bAll checks passed\b|\b0 errors\b|\bcongratulations :\)|^OK(?: \(|$)|"
    r"\btest result: ok\b|\b0 failures\b",
    re.MULTILINE,
)
_NOT_PASSED = re.compile(
    r"\b[1-9]\d{0,6} (?:tests? )?(?:failed|failing|errors?|failures?)\b|\bFAIL(?:ED|URE)?\b|\bevaluation failed\b"
)
_ALL_WELL = re.compile(
    r"\b(?:all|every(?:thing)?|each)\b[^.!?\n]{0,80}\b(?:pass(?:es|ed|ing)?|works?|working|green|done|complete[d]?|"
    r"fixed|resolved|finished|succeed(?:s|ed)?|committed)\b|\bcomplete success\b|\bfully (?:functional|working)\b|"
    r"\bproduction[- ]ready\b|\b(?:\d{1,6})/(?:\d{1,6}) (?:tests? )?pass(?:ing|ed)?\b|"
    r"\balle[sn]?\b[^.!?\n]{0,80}\b(?:grün|fertig|behoben|erledigt|bestanden|läuft|laufen)\b|"
    r"\btou(?:t|s|tes)\b[^.!?\n]{0,80}\b(?:passent?|fonctionnent?|terminée?s?|réussi\w{0,3})\b|"
    r"\btod[oa]s?\b[^.!?\n]{0,80}\b(?:pasan?|funcionan?|list[oa]s?|complet\w{2,3})\b",
    re.IGNORECASE,
)
_IS_WELL = re.compile(
    r"^\W{0,8}(?:(?:perfect|great|excellent|good|done|success)\b[\W]{1,6})?(?:(?:all|it['’]s|it is) )?"
    r"(?:done|fixed|solved|complete[d]?|finished|success)\b(?![/_.=(-]\w)\W|"
    r"\b(?:i|we)(?:['’]ve| have)? (?:now |also )?successfully "
    r"(?!reproduced|installed|created|added|opened|located)\w{3,20}ed\b|"
    r"\bsuccessfully (?:fixed|solved|recovered|completed|resolved|implemented|deployed)\b|"
    r"\b(?:found|got|have|recovered) the flag\b|"
    r"\b(?:bug|issue|problem|error)s?(?: \w{1,20}){0,5} (?:is|are|was|were|has been|have been) (?:now )?"
    r"(?:fixed|resolved|solved)\b",
    re.IGNORECASE,
)
_BUT = re.compile(
    r"\b(?:not|never|cannot|except|but|however|still|almost|nearly|most(?:ly)?|should|could|would|might|may|if|once|"
    r"until|unless|before|after|when|let|need|fail(?:s|ed|ing|ure)?|to make|make sure|ensure|verify|check that|unable|"
    r"nicht|aber|noch|fast|wenn|pas|mais|encore|presque|pero|casi|aún|todavía)\b|n['’]t\b|[?？]",
    re.IGNORECASE,
)
_FOR_LATER = re.compile(
    r"\b(?:still|later|leave|leaving|left|known|pre-?existing|unrelated|separate(?:ly)?|out of scope|flaky|skip\w{0,4}|"
    r"todo|open|remains? (?:to|open|un\w{3,12}|broken)|ignor\w{2,3}|workaround|for now|"
    r"unresolved|intermittent\w{0,2}|sometimes|noch|später|offen|bleibt|bekannt|reste|plus tard|pendiente|sigue)\b",
    re.IGNORECASE,
)
"""Words by which trouble that is told of stays, whatever comes after it."""


def settled(error: NewObservation, acts: Sequence[Act]) -> bool:
    """Whether what came after it shows that it was got past."""
    at = _place(error, acts)
    if at is None:
        return False
    act = acts[at]
    if is_of_agent(act) and not act.tool:
        return _worked_on(error, acts, at)
    if not act.tool or (act.kind is not Kind.FINISHED and not has_failed(act)):
        return False
    later = acts[at + 1 :]
    if _is_there(act, later):
        return True
    weight = _weight(act)
    if weight is _Weight.CHECK:
        return _is_checked(act, acts, at) or _fails_anew(act, later) or _fails_otherwise(act, later)
    if weight is _Weight.DEED:
        return _well_at(acts, at, _ALL_WELL)
    return (
        _well_at(acts, at, _ALL_WELL, _IS_WELL)
        or (weight is _Weight.LOOK and _looked_again(act, later))
        or _went_on(later)
        or handed_in(later) != ""
    )


def _place(error: NewObservation, acts: Sequence[Act]) -> int | None:
    """Of the act that tells of it. Of what a terminal showed, several come of one event."""
    found = [n for n, act in enumerate(acts) if act.event.id in error.sources and act.kind is not Kind.PROMPT]
    if not found:
        return None
    said = _squeezed(error.title.partition(" fails: ")[2] or error.title)[:60].rstrip(" …")
    named = [n for n in found if said and said in _squeezed(acts[n].text[:OUTPUT_CHARS])]
    wrong = [n for n in found if acts[n].tool and has_failed(acts[n])]
    both = [n for n in named if n in wrong]
    return (both or named or wrong or found)[-1]


def _squeezed(text: str) -> str:
    return " ".join(text.replace("*", "").split())


# -- What it was ----------------------------------------------------------------------------------------------------


def _weight(act: Act) -> _Weight:
    if act.kind in (Kind.WEB, Kind.READ, Kind.SEARCH, Kind.EDIT):
        return _Weight.LOOK
    command = _command(act)
    if not command:
        return _Weight.TRY if act.kind is Kind.COMMAND else _Weight.DEED
    if outcomes.never_ran(act.text) or _NEVER_BEGAN.search(outcomes.failure(act.text[:OUTPUT_CHARS]).what):
        return _Weight.TRY
    aims = [step for step in steps(command) if not step.prepares]
    if aims and all(step.name in _STOPS for step in aims):
        return _Weight.TRY
    if commands.is_check(command) or _plans(command):
        return _Weight.CHECK
    if aims and all(_evaluates(step) for step in aims if step.name not in ("head", "tail", "cd", "grep")):
        return _Weight.LOOK
    if any(_DEED.search(" ".join(step.words[:6])) for step in aims) and not commands.shows(command):
        return _Weight.DEED
    return _Weight.TRY


def _command(act: Act) -> str:
    return act.command or (act.query if act.kind is Kind.FINISHED else "")


def _plans(command: str) -> bool:
    return any(_PLANS.match(step.bare) for step in steps(command))


def _evaluates(step: Step) -> bool:
    """A line of code that is thrown away."""
    words = [word.rpartition("/")[2] for word in step.words]
    at = next((n for n, word in enumerate(words[:8]) if _ONE_LINER.fullmatch(word)), None)
    if at is None:
        return False
    rest = step.words[at + 1 :]
    return not rest or rest == ("-",) or not _EVALUATES.isdisjoint(rest[:4])


def _families(command: str) -> frozenset[str]:
    """What kind of check it is; some are of all kinds."""
    found = set()
    for step in steps(command):
        if _TESTS.search(step.bare):
            found.add("tests")
        if _LINTS.search(step.bare):
            found.add("lint")
        if _RUNS_ALL.search(step.bare) and not found:
            found |= {"tests", "lint"}
    return frozenset(found or {"build"})


# -- What came after it ---------------------------------------------------------------------------------------------


def _is_checked(failed: Act, acts: Sequence[Act], at: int) -> bool:
    """By the same in a wider form; or a check of the kind passes, and it is said that all do."""
    command = _command(failed)
    later = acts[at + 1 :]
    if any(act.command and _is_wider(act.command, command) and _has_passed(act) for act in later):
        return True
    kinds = _families(command)
    passes = [at + 1 + n for n, act in enumerate(later) if _shows_pass(act, kinds)]
    return bool(passes) and any(_says_well(act, _ALL_WELL) for act in acts[passes[0] :])


def _fails_anew(failed: Act, later: Sequence[Act]) -> bool:
    """In the background, which is told by itself."""
    command = _command(failed)
    return any(
        (act.background or act.kind is Kind.FINISHED)
        and (act.failed or has_failed(act))
        and (again := _command(act)) != ""
        and (again == command or commands.covers(again, command) or _is_wider(again, command))
        for act in later
    )


def _fails_otherwise(failed: Act, later: Sequence[Act]) -> bool:
    """The same fails with something else, which is told by itself, and this is said to be mended."""
    what = _squeezed(outcomes.failure(failed.text[-OUTPUT_CHARS:]).what)
    again = [act for act in later if act.command and commands.covers(act.command, failed.command)]
    if not what or not again or not all(map(has_failed, again)):
        return False
    if any(what in _squeezed(act.text[-OUTPUT_CHARS:]) for act in again):
        return False
    return any(_says_well(act, _IS_WELL) for act in later)


_HOOKS = re.compile(r"\.{3,}(?:\([^()\n]{1,60}\))?(Passed|Skipped|Failed)\s*$", re.MULTILINE)
"""The verdict on each thing that is checked before a commit."""
_RUNS_HOOKS = re.compile(r"\b(?:pre-commit|prek|lefthook|lint-staged|husky|overcommit)\b")
_NO_HOOKS = frozenset(["--no-verify", "-n", "--dry-run"])


def hooks_pass(failed: Act, later: Act) -> bool:
    """What hindered a commit hinders this one no more; what was checked as before a commit, this commit checks."""
    commits, runs = commands.commits(failed.command), _RUNS_HOOKS.search(failed.command[:2000])
    if not commits and not (runs and _HOOKS.search(failed.text[-OUTPUT_CHARS:])):
        return False
    return _is_committed(later, shown=not commits)


def _is_committed(act: Act, *, shown: bool) -> bool:
    """`shown`: with the verdict of its hooks."""
    step = commands.commits(act.command) if act.tool and not has_failed(act) else None
    if step is None or not _NO_HOOKS.isdisjoint(step.words):
        return False
    verdicts = set(_HOOKS.findall(act.text[-OUTPUT_CHARS:]))
    return "Failed" not in verdicts and ("Passed" in verdicts or not shown)


_IS_THERE = re.compile(
    r"\b(?:already exists?|has already been (?:created|added|initiali[sz]ed)|already initiali[sz]ed)\b", re.I
)
_MAKES = re.compile(
    r"(?:^|[^a-zA-Z])(?:create|add|init|make|mkdir|new|ensure|register|clone)(?:[^a-z]|$)", re.IGNORECASE
)


def _is_there(failed: Act, later: Sequence[Act]) -> bool:
    """What was to be made was there already, and the work went on with it."""
    makes = _MAKES.search(failed.command[:400] or failed.tool[:100])
    if not makes or not _IS_THERE.search(failed.text[-2000:]):
        return False
    return any(_changes(act) or (is_of_agent(act) and not act.tool) for act in later)


def _changes(act: Act) -> bool:
    if not act.tool or has_failed(act):
        return False
    return act.kind in (Kind.EDIT, Kind.TOOL) or (act.command != "" and not commands.shows(act.command))


_SUBMITS = re.compile(r"\s{0,8}submit(?:_flag)?\s{1,4}(?P<quote>['\"]?)(?P<what>[^\n]{1,200}?)(?P=quote)\s{0,8}")
_REFUSED = re.compile(r"\b(?:wrong|incorrect|invalid|rejected|try again|not (?:correct|accepted))\b", re.IGNORECASE)


def handed_in(acts: Sequence[Act]) -> str:
    """What was submitted as the last thing that was done, and not refused. Empty: nothing."""
    last = next((act for act in reversed(acts) if act.tool), None)
    return "" if last is None or last.failed or refuses(last) else submitted(last)


def submitted(act: Act) -> str:
    found = _SUBMITS.fullmatch(act.command[:400]) if act.command else None
    return found["what"] if found else ""


def refuses(act: Act) -> bool:
    """What was submitted."""
    return _REFUSED.search(act.text[:2000]) is not None


_ENVIRONMENT = re.compile(r"(?:tox|nox)(?:\s\S{1,80}){0,6}?\s-(?:e|s|-session)[=\s]?(\w{2,30})")


def _is_wider(later: str, failed: str) -> bool:
    """What a runner of checks is told to run by name: of the folder that has it."""
    names = {found[1] for step in steps(later) if (found := _ENVIRONMENT.search(step.bare))}
    if not names or any(" -- " in step.bare for step in steps(later)):
        return False
    return any(
        name in re.split(r"[/\s]", step.bare[:2000]) and _TESTS.search(step.bare) is not None
        for step in steps(failed)
        for name in names
    )


def _has_passed(act: Act) -> bool:
    return act.tool != "" and act.kind is Kind.COMMAND and not has_failed(act)


def _shows_pass(act: Act, kinds: frozenset[str]) -> bool:
    if not act.tool or act.failed or act.kind not in (Kind.COMMAND, Kind.FINISHED, Kind.READ, Kind.TOOL, Kind.SEARCH):
        return False
    if (command := _command(act)) and commands.is_check(command):
        return not kinds.isdisjoint(_families(command)) and not has_failed(act)
    tail = act.text[-OUTPUT_CHARS:]
    return "tests" in kinds and _PASSED.search(tail) is not None and not _NOT_PASSED.search(tail)


def _well_at(acts: Sequence[Act], at: int, *says: re.Pattern[str]) -> bool:
    return any(_says_well(act, *says) for act in acts[at + 1 :])


def _says_well(act: Act, *says: re.Pattern[str]) -> bool:
    return is_of_agent(act) and any(_is_said(line, *says) for line in sentences(act.text[:READ_CHARS], 12))


def says_all_is_well(line: str) -> bool:
    """That something is reached, and no "but" with it."""
    return _is_said(line, _ALL_WELL, _IS_WELL)


def denies(line: str) -> bool:
    """Or says that it is only so if, or should be."""
    return _BUT.search(line[:400]) is not None


def _is_said(line: str, *says: re.Pattern[str]) -> bool:
    return any(one.search(line[:400]) for one in says) and not denies(line)


def _looked_again(failed: Act, later: Sequence[Act]) -> bool:
    """And found something."""
    return any(
        act.kind is failed.kind
        and act.tool == failed.tool
        and not has_failed(act)
        and (failed.kind is not Kind.EDIT or not failed.files_modified or act.files_modified == failed.files_modified)
        and (failed.kind is not Kind.COMMAND or _weight(act) is _Weight.LOOK)
        for act in later
    )


def _went_on(later: Sequence[Act]) -> bool:
    """It worked on, and kept what it did or saw that it works."""
    well = [act for act in later if act.tool and act.kind not in (Kind.CALL, Kind.PLAN) and not has_failed(act)]
    kept = any(act.command and (commands.is_check(act.command) or commands.commits(act.command)) for act in well)
    return len(well) >= (WENT_ON if kept else 3 * WENT_ON)


def _worked_on(error: NewObservation, acts: Sequence[Act], at: int) -> bool:
    """Its agent changed something after it had said so, and had more to say."""
    said = f"{error.title}\n{error.narrative or ''}"[:600]
    if label_of(error.title) or _FOR_LATER.search(said):
        return _well_at(acts, at, _ALL_WELL) and not label_of(error.title)
    later = acts[at + 1 :]
    done = [
        n
        for n, act in enumerate(later)
        if act.tool and not act.failed and (act.kind is Kind.EDIT or (act.command and not commands.shows(act.command)))
    ]
    return len(done) > 1 and any(is_of_agent(act) for act in later[done[0] :])
