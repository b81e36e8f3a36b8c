"""What was done with tools, as observations: a cycle of edits and checks is one, and so is a row of looks."""

from __future__ import annotations

from muster.domain import rules_commands as commands
from muster.domain.memory import NewObservation
from muster.domain.rules_reading import Act, Kind
from muster.domain.rules_stories import (
    Cycle,
    as_said,
    changed,
    committed,
    looked,
    mended,
    of,
    short,
    still_broken,
)
from muster.domain.rules_text import one_line

MAX_LOOKS = 8
"""Reads and searches that one observation speaks of."""


class Work:
    """The tool uses of one session, in their order, become observations."""

    def __init__(self) -> None:
        self.made: list[NewObservation] = []
        self._cycle = Cycle()
        self._looks: list[Act] = []

    def take(self, act: Act) -> None:
        match act.kind:
            case Kind.EDIT:
                self._edit(act)
            case Kind.COMMAND:
                self._command(act)
            case Kind.READ | Kind.SEARCH:
                self._look(act)
            case Kind.WEB | Kind.TOOL | Kind.DELEGATION:
                self._use(act)
            case Kind.PLAN:
                self._plan(act)

    def end(self) -> list[NewObservation]:
        self._end_looks()
        self._end_cycle()
        return self.made

    # -- Edits and checks ---------------------------------------------------------------------------------------

    def _edit(self, act: Act) -> None:
        if act.failed:
            act.note = "an edit that did not apply"
            return
        if not act.files_modified and not act.changes:
            act.note = "an edit that names no file"
            return
        self._cycle.edits.append(act)
        if len(self._cycle.edits) >= 12:
            self._end_cycle()

    def _command(self, act: Act) -> None:
        output = act.text
        failed = (
            act.failed
            or (act.exit_code is None and commands.has_trace(output) and not commands.only_looks(act.command))
            or commands.failed(act.command, output)
        )
        program = commands.program(act.command)
        if failed and commands.only_looks(act.command):
            if complaint := commands.complaint(output):
                self.made.append(
                    of(act, "error", f"{program} fails: {complaint}", as_said(act, output), importance=0.3)
                )
                return
            if act.exit_code == 1:
                act.note = f"{program or 'a search'} found nothing"
                return
        cycle = self._cycle
        if failed:
            act.failed = True
            if cycle.failed is None:
                # What was changed before is told for itself: it may or may not be why this fails.
                self._end_cycle()
                self._cycle.failed = act
            else:
                cycle.failures.append(act)
                if len(cycle.failures) >= 8:
                    self._end_cycle()
        elif self._passes(act):
            cycle.passed = act
            self._end_cycle()
        else:
            self._succeeded(act, program)

    def _passes(self, act: Act) -> bool:
        """What failed before, or what was changed."""
        cycle = self._cycle
        if cycle.failed is None:
            return bool(cycle.edits) and commands.is_check(act.command)
        return commands.covers(act.command, cycle.failed.command) or (
            bool(cycle.edits) and commands.narrows(act.command, cycle.failed.command)
        )

    def _end_cycle(self) -> None:
        cycle, self._cycle = self._cycle, Cycle()
        if cycle.failed is not None:
            self.made.append(mended(cycle) if cycle.passed and cycle.edits else still_broken(cycle))
            if cycle.edits and not cycle.passed:
                self.made.append(changed(cycle.edits, None))
        elif cycle.edits:
            self.made.append(changed(cycle.edits, cycle.passed))

    # -- Other commands -----------------------------------------------------------------------------------------

    def _succeeded(self, act: Act, program: str) -> None:
        command, output = act.command, commands.excerpt(act.text)
        if message := commands.commit_message(command):
            self.made.append(committed(act, message))
        elif names := commands.installs(command):
            self.made.append(of(act, "change", f"Install {names}", f"`{short(command)}`", importance=0.45,
                                 concepts=["dependencies"]))  # fmt: skip
        elif files := commands.reads(command):
            act.files_read = files
            self._look(act)
        elif query := commands.searches(command):
            act.query = query
            self._look(act)
        elif commands.only_looks(command):
            act.note = f"{program or 'a command'} only looks around"
        elif not output and not commands.mutates(command):
            act.note = f"{program or 'a command'} said nothing"
        elif report := commands.passed(output):
            self.made.append(of(act, "discovery", f"{program} passes: {report}", as_said(act, output), importance=0.3))
        else:
            title = act.about or f"Run `{short(command, 90)}`"
            kind = "change" if commands.mutates(command) else "discovery"
            self.made.append(of(act, kind, title, as_said(act, output), importance=0.4 if kind == "change" else 0.3))

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
        self._looks.append(act)
        if len(self._looks) >= MAX_LOOKS:
            self._end_looks()

    def _end_looks(self) -> None:
        looks, self._looks = self._looks, []
        if looks:
            self.made.append(looked(looks))

    # -- Others -------------------------------------------------------------------------------------------------

    def _use(self, act: Act) -> None:
        said = commands.excerpt(act.text, 2400)
        if act.failed:
            found = commands.failure(act.text)
            self.made.append(of(act, "error", f"{act.tool} fails: {found.what or 'it does not say why'}",
                                 f"{act.query}\n{found.excerpt}", importance=0.5))  # fmt: skip
        elif act.kind is Kind.WEB:
            title = f"Searched the web: {act.query}" if "search" in act.tool.lower() else f"Read {act.query}"
            self.made.append(of(act, "discovery", title, f"{act.about}\n{said}", importance=0.45))
        elif act.kind is Kind.DELEGATION:
            title = act.about or one_line(act.query) or f"{act.tool} was used"
            self.made.append(of(act, "discovery", title, f"{act.query}\n\n{said}", importance=0.5))
        elif not said and not act.query:
            act.note = f"{act.tool} said nothing"
        else:
            title = act.about or f"{act.tool}: {one_line(act.query, 90)}" if act.query else f"{act.tool} was used"
            self.made.append(of(act, "discovery", title, f"{act.query}\n{said}", importance=0.35))

    def _plan(self, act: Act) -> None:
        if not act.items and not act.text:
            act.note = "a plan with nothing in it"
            return
        if act.items and all(state in ("completed", "done") for _, state in act.items):
            title = f"Finished: {act.items[-1][0]}"
        else:
            title = f"Plan: {act.items[0][0] if act.items else one_line(act.text)}"
        lines = [f"- [{'x' if state in ('completed', 'done') else ' '}] {what}" for what, state in act.items]
        self.made.append(of(act, "plan", title, "\n".join(lines) or act.text, importance=0.45))
