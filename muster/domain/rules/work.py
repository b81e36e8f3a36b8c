"""What was done with tools, as observations: a cycle of edits and checks is one, and so is a row of looks."""

from __future__ import annotations

from dataclasses import replace

from muster.domain.memory import NewObservation
from muster.domain.rules import commands, found, hidden, hooks, outcomes, plans, queries, rejections, verdicts
from muster.domain.rules.called import asked_told, run_told, titled, used
from muster.domain.rules.cycles import (
    Cycle,
    fails_again,
    has_failed,
    is_accepted,
    is_part,
    is_rejected_again,
    is_same_failure,
    placed,
)  # fmt: skip
from muster.domain.rules.differences import filters
from muster.domain.rules.json import line_of
from muster.domain.rules.looks import found_in, names_a_file
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.results import is_answer, is_doubted, output_of
from muster.domain.rules.steps import steps
from muster.domain.rules.stories import as_said, changed, committed, looked, mended, of, short, still_broken
from muster.domain.rules.text import one_line
from muster.domain.rules.touched import copied, told_once, without_removed

MAX_LOOKS = 8
"""Reads and searches that one observation speaks of."""
MAX_EDITS = 12
MAX_COPIED = 40
MAX_FAILURES = 8
"""That one observation speaks of, of the same; and things that are followed at once."""


class Work:
    """The tool uses of one session, in their order, become observations."""

    def __init__(self) -> None:
        self.made: list[NewObservation] = []
        self._open: list[Cycle] = []
        """What fails: each until it passes."""
        self._edits: list[Act] = []
        """Those that are not told yet."""
        self._looks: list[Act] = []
        self._copied: list[str] = []
        self._planned: list[tuple[str, str]] = []

    def take(self, act: Act) -> None:
        match act.kind:
            case Kind.EDIT:
                self._edit(act)
            case Kind.COMMAND:
                self._command(act)
            case Kind.BEGUN:
                self._begin(act)
            case Kind.FINISHED:
                self._finish(act)
            case Kind.READ | Kind.SEARCH:
                self._look(act)
            case Kind.WEB | Kind.TOOL | Kind.DELEGATION:
                self._use(act)
                if act.kind is not Kind.WEB:
                    # Nobody knows what it changed.
                    self._happened(act)
            case Kind.PLAN:
                self._plan(act)

    def turn(self) -> None:
        """Something was said: what is looked at from here on is looked at for that."""
        self._end_looks()

    def end(self) -> list[NewObservation]:
        self._end_looks()
        self._end_all()
        return self.made

    # -- Edits and checks ---------------------------------------------------------------------------------------

    def _edit(self, act: Act) -> None:
        if act.failed:
            act.note = "an edit that did not apply"
            return
        if not act.files_modified and not act.changes:
            act.note = "an edit that names no file"
            return
        self._edits.append(act)
        self._happened(act)
        if len(self._edits) >= MAX_EDITS:
            self._end_all()

    def _happened(self, act: Act) -> None:
        for cycle in self._open:
            cycle.between.append(act)

    def _command(self, act: Act) -> None:
        program = commands.program(act.command)
        if program == "git commit" and outcomes.nothing_to_commit(act.text):
            act.note = "there was nothing to commit"
            return
        if not act.failed:
            self._copied += copied(act.command)
            self._edits = without_removed(self._edits, act.command, self._copied[-MAX_COPIED:])
        doubted = is_doubted(act)
        failed = has_failed(act) or (
            not doubted and any(_mends(act, one) and fails_again(act, one.every[-1]) for one in self._open)
        )
        if failed and verdicts.found_nothing(act.command, act.text) and act.exit_code in (None, 1):
            act.note = f"{program or 'a search'} found nothing"
            return
        if failed and commands.only_looks(act.command):
            if complaint := verdicts.complaint(act.command, act.text):
                self.made.append(
                    of(act, "error", f"{program} fails: {complaint}", as_said(act, act.text), importance=0.3)
                )
                return
            if act.exit_code == 1 or (act.exit_code is None and verdicts.answers(act.command)):
                if title := verdicts.difference(act.command, act.text):
                    told = as_said(act, outcomes.excerpt(act.text))
                    self.made.append(of(act, "discovery", title, told, importance=0.35))
                act.note = f"{program or 'a search'} found nothing"
                return
        if failed:
            act.failed = True
            self._fails(act)
        elif doubted or hidden.is_silenced(act.command, act.text) or not self._passes(act):
            self._succeeded(act, program)
        elif (message := outcomes.message(act.command, act.text)) and outcomes.is_committed(act.command, act.text):
            self.made.append(committed(act, message))
        if act.files_modified:
            return
        harmless = commands.is_harmless(act.command) and not hooks.fixes(act.command)
        for cycle in self._open:
            matters = not harmless or (hooks.stages(act.command) and commands.commits(cycle.failed.command))
            if matters and act is not cycle.failed and act not in cycle.failures:
                cycle.between.append(act)

    def _fails(self, act: Act) -> None:
        for cycle in self._open:
            if (
                commands.is_same(act.command, placed(cycle.failed))
                or commands.is_same(placed(act), placed(cycle.failed))
                or is_rejected_again(act, cycle.failed)
            ):
                if outcomes.never_ran(cycle.failed.text) and not outcomes.never_ran(act.text):
                    cycle.begins_with(act)
                else:
                    cycle.fails(act)
                if len(cycle.failures) >= MAX_FAILURES:
                    self._end(cycle)
                return
        # What was changed before is told for itself: it may or may not be why this fails.
        self._tell_edits()
        self._open.append(Cycle(act))
        if len(self._open) > MAX_FAILURES:
            self._end(self._open[0])

    def _passes(self, act: Act) -> bool:
        """What failed before, or what was changed."""
        over = [cycle for cycle in self._open if _mends(act, cycle)]
        ended = _folded([cycle for cycle in over if not cycle.is_told])
        self._open = [cycle for cycle in self._open if cycle not in over or cycle in ended]
        for cycle in ended:
            cycle.passed = act
            self._end(cycle)
        if ended or self._open or not self._edits or not commands.is_check(act.command):
            return bool(ended)
        self._tell_edits(act)
        return True

    def _end(self, cycle: Cycle) -> None:
        self._open.remove(cycle)
        fixes = cycle.fixes
        if cycle.passed and fixes:
            for other in self._open:
                if other.fixes and is_part(other, cycle):
                    other.mended_as = cycle
                    cycle.failures += other.every
            self.made.append(mended(cycle, cycle.passed, fixes))
            self._edits = [act for act in self._edits if act not in fixes]
        else:
            self.made.append(still_broken(cycle))
        self._tell_edits()

    def _tell_edits(self, check: Act | None = None) -> None:
        """But for those that may yet mend something."""
        awaited = [act for cycle in self._open for act in cycle.between]
        told = [act for act in self._edits if act not in awaited]
        self._edits = [act for act in self._edits if act in awaited]
        if told:
            self.made.append(changed(told_once(told), check))

    def _end_all(self) -> None:
        while self._open:
            self._end(self._open[0])
        self._tell_edits()

    # -- Other commands -----------------------------------------------------------------------------------------

    def _succeeded(self, act: Act, program: str) -> None:
        command, output = act.command, output_of(act)
        if (message := outcomes.message(command, act.text)) and outcomes.is_committed(command, act.text):
            self.made.append(committed(act, message))
        elif names := commands.installs(command):
            self.made.append(of(act, "change", f"Install {names}", f"`{short(command)}`", importance=0.45,
                                 concepts=["dependencies"]))  # fmt: skip
        elif files := commands.edits(command):
            act.files_modified = files
            self._edit(act)
        elif looks := _looks(act):
            for look in looks:
                self._look(look)
        elif commands.only_looks(command) and not is_answer(act, output):
            act.note = f"{program or 'a command'} only looks around"
        elif not output and act.exit_code == 0 and commands.is_check(command) and not is_doubted(act):
            self.made.append(of(act, "discovery", f"{program} passes", as_said(act, output), importance=0.3))
        elif not output and not (
            commands.mutates(command) or commands.commit_message(command) or rejections.hands_in(command)
        ):
            act.note = f"{program or 'a command'} said nothing"
        elif report := outcomes.passed(output):
            self.made.append(
                of(act, "discovery", titled(f"{program} passes", report, command), as_said(act, output), importance=0.3)
            )
        else:
            title = act.about or _asked(command, output) or f"Run `{run_told(command)}`"
            kind = "change" if commands.mutates(command) and not commands.asks_page(command, act.text) else "discovery"
            weight = 0.4 if kind == "change" else 0.3
            if commands.shows_logs(command) and (told := outcomes.told_in(act.text)):
                title, weight = f"{one_line(title, 90)}: {told}", 0.45
            self.made.append(of(act, kind, title, as_said(act, output), importance=weight))

    def _begin(self, act: Act) -> None:
        """In the background: nobody knows how it ends."""
        if commands.only_looks(act.query):
            act.note = "a look that is not over"
            return
        title = f"Start in the background: {act.about or f'`{short(act.query, 90)}`'}"
        known = f" as {act.background}" if act.background else ""
        self.made.append(
            of(act, "discovery", title, f"`{short(act.query, 400)}` was started in the background{known}.",
               importance=0.25)
        )  # fmt: skip
        if not commands.is_harmless(act.query):
            self._happened(act)

    def _finish(self, act: Act) -> None:
        """What was started before anything that is known. How it went is told of its name."""
        if act.query:
            act.command = act.query
            self._command(act)
            return
        title = f"The background run {act.background}".rstrip()
        found, report = outcomes.failure(act.text), outcomes.passed(outcomes.excerpt(act.text))
        story = f"{act.about}\n{found.excerpt if act.failed else outcomes.excerpt(act.text)}".strip()
        if act.failed or outcomes.fails(act.text):
            why = found.what or act.about or f"exit code {act.exit_code or 1}"
            self.made.append(of(act, "error", f"{title} failed: {why}", story, importance=0.5))
        elif report:
            self.made.append(of(act, "discovery", f"{title} passes: {report}", story, importance=0.3))
        else:
            act.note = "a run in the background that ended well"

    # -- Looks --------------------------------------------------------------------------------------------------

    def _look(self, act: Act) -> None:
        if act.failed and act.kind is Kind.READ:
            act.note = "a file that could not be read"
            return
        if not act.files_read and not act.query:
            act.note = "a look at nothing in particular"
            return
        if act.kind is Kind.SEARCH and not act.files_read and not act.text:
            act.note = "a search that found nothing"
            return
        if act.kind is Kind.SEARCH and not act.files_read:
            path = line_of(act.data, "path", "file_path")
            act.files_read = [path] if path != act.query and names_a_file(path) else found_in(act.text)
        self._looks.append(act)
        if len(self._looks) >= MAX_LOOKS:
            self._end_looks()

    def _end_looks(self) -> None:
        looks, self._looks = self._looks, []
        if looks and (made := found.told(looks, looked(looks))):
            self.made.append(made)

    # -- Others -------------------------------------------------------------------------------------------------

    def _use(self, act: Act) -> None:
        said = outcomes.excerpt(act.text, 2400)
        if act.failed:
            failure = outcomes.failure(act.text)
            self.made.append(of(act, "error", used(act.tool, failure.what or "it does not say why", act.data),
                                 f"{act.query}\n{failure.excerpt}", importance=0.5))  # fmt: skip
        elif act.kind is Kind.WEB:
            title = f"Searched the web: {act.query}" if "search" in act.tool.lower() else f"Read {act.query}"
            self.made.append(of(act, "discovery", title, f"{act.about}\n{said}", importance=0.45))
        elif act.kind is Kind.DELEGATION:
            title = act.about or one_line(act.query) or f"{act.tool} was used"
            weight = 0.5 if said else 0.25  # nobody knows what came of it
            self.made.append(of(act, "discovery", title, f"{act.query}\n\n{said}", importance=weight))
        elif not said and not act.query:
            act.note = f"{act.tool} said nothing"
        else:
            title = act.about or asked_told(act.tool, act.query, said)
            self.made.append(of(act, "discovery", title, f"{act.query}\n{said}", importance=0.35))

    def _plan(self, act: Act) -> None:
        if not act.items and not act.text:
            act.note = "a plan with nothing in it"
            return
        if act.items and act.items == self._planned:
            act.note = "the plan as it was"
            return
        weight, self._planned = plans.weight(act.items, self._planned), act.items
        title = plans.titled(act.items, one_line(act.text))
        lines = [f"- [{'x' if plans.is_done(state) else ' '}] {what}" for what, state in act.items]
        self.made.append(of(act, "plan", title, "\n".join(lines) or act.text, importance=weight))


def _asked(command: str, output: str) -> str:
    """Of a database, with the beginning of its answer: several are often asked for the same."""
    query = queries.asked(steps(command))
    return f"{query}: {one_line(output.partition(chr(10))[0], 70)}" if query and output else query


def _looks(act: Act) -> list[Act]:
    """Of a command that only looks: one for the files that it shows, and one for each thing that it looks for. Where
    there are several, nobody knows which of them showed what."""
    if not commands.only_looks(act.command):
        return []
    files, sought = commands.reads(act.command), commands.searches(act.command)
    text = act.text if len(sought) + bool(files) == 1 else ""
    found = [replace(act, files_read=files, text=text)] if files else []
    return found + [replace(act, query=one.query, files_read=one.files or found_in(text), text=text) for one in sought]


def _folded(cycles: list[Cycle]) -> list[Cycle]:
    """Those that fail of the same are one, where what was done since may have mended each."""
    found: list[Cycle] = []
    for cycle in cycles:
        same = next((one for one in found if one.fixes and cycle.fixes and is_same_failure(one, cycle)), None)
        if same is None:
            found.append(cycle)
        else:
            same.failures += cycle.every
    return found


def _mends(act: Act, cycle: Cycle) -> bool:
    """Whether it passes where each of the failures was."""
    if is_accepted(act, cycle.last):
        return True
    for failed in cycle.standing:
        if not commands.is_check(act.command) and filters(act.command) != filters(failed.command):
            return False
        if commands.covers(act.command, placed(failed)) or commands.covers(placed(act), placed(failed)):
            continue
        if commands.program(act.command) != commands.program(failed.command) or not cycle.fixes:
            return False
        if not commands.picks(act.command, placed(failed), outcomes.failure(failed.text).listed, failed.text):
            return False
    return True
