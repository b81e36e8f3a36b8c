"""How what was done is told: the words an observation of work is made of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.memory import NewObservation
from muster.domain.rules import (
    causes,
    commands,
    defined,
    differences,
    exits,
    hooks,
    outcomes,
    rejections,
    scripts,
    weakened,
)
from muster.domain.rules.called import files_named, fix_told, run_told, titled
from muster.domain.rules.cycles import Cycle, failure
from muster.domain.rules.defined import Defined
from muster.domain.rules.failing import failing
from muster.domain.rules.json import MAX_FILES
from muster.domain.rules.reading import Act
from muster.domain.rules.results import printed
from muster.domain.rules.text import concepts_of, language_of, one_line, unique

NARRATIVE_CHARS = 4000
MAX_COMPLAINTS = 6
"""That a fix names."""

_NAMES = re.compile(
    r"^[ \t]*(?:export |default |public |private |protected |static |abstract |final |async |"
    r"pub(?:\([a-z]+\))? |unsafe |override )*"
    r"(?:def|class|function\*?|fn|func(?: \([^)\n]{1,60}\))?|struct|enum|interface|trait|type|impl|module|"
    r"const|let|var|val|object|"
    r"CREATE (?:OR REPLACE )?(?:TABLE|FUNCTION|INDEX|VIEW|TYPE))\s+([A-Za-z_$][\w$.]*)",
    re.MULTILINE | re.IGNORECASE,
)
_HEADINGS = re.compile(r"^#{1,3} +(\S.{0,80})$", re.MULTILINE)
_ASSIGNED = re.compile(r"^([A-Z][A-Z0-9_]{3,})\s*(?::[^=\n]{1,40})?=", re.MULTILINE)


def mended(cycle: Cycle, passed: Act, fixes: list[Act]) -> NewObservation:
    """It failed, something was changed, it passes."""
    found = failure(cycle.last.text)
    program = failing(cycle.last.command, cycle.last.text, found.what) or "the command"
    files = _files(fixes)
    otherwise, itself = cycle.otherwise, cycle.itself
    runs = [
        *(f"`{short(act.command, 60)}`" for act in fixes if not act.files_modified and act.command
          and not (act is passed and otherwise)),
        *otherwise,
    ]  # fmt: skip
    report = outcomes.passed(passed.text)
    story = [
        f"`{short(cycle.last.command)}` failed{f': {found.what}' if found.what else ', and does not say why.'}",
        *(f"Failing: {', '.join(found.tests)}" for _ in found.tests[:1]),
        _rewrote(cycle) if itself else _story(fixes, 2000),
        f"Then `{short(passed.command)}` passed{f': {report}' if report else ''}.",
    ]
    story += [f"It printed:\n{text}" for text in [printed(passed)] if text]
    how = f" in {_named(files)}" if files else differences.told(unique(runs, 3))
    if itself:
        how, files = f": {_itself(cycle)}", hooks.rewritten(cycle.last.text)
    what = one_line(causes.bare(found.what), 110) or f"what {program} complained of"
    kind, title = "bugfix", f"Fix {what.removeprefix('fix ')}{how}"
    ways = {weakened.weakens(act) for act in fixes}
    if ways <= {weakened.REMOVED, weakened.SKIPPED}:
        kind, way = "change", "skipped" if weakened.SKIPPED in ways else "removed"
        names = _listed(weakened.tests_in(fixes))
        title = (
            f"Tests {way}{f': {names}' if names else how}, which failed with {one_line(causes.bare(found.what), 90)}"
        )
    return _from(
        [*cycle.every, *fixes, passed], kind, title, "\n".join(story),
        facts=[*(f"It failed with {what}" for what in _whats(cycle)),
               *(f"`{program}` passes: {report}" for _ in [report] if report)],
        modified=files, read=found.where, importance=0.7 if kind == "bugfix" and not itself else 0.5,
    )  # fmt: skip


def _itself(cycle: Cycle) -> str:
    """Of a run that put right what it complained of."""
    who = "its hooks" if commands.commits(cycle.last.command) else "it"
    return f"{who} rewrote the files{', which were staged again' if cycle.restaged else ''}"


def _rewrote(cycle: Cycle) -> str:
    named = ", ".join(hooks.rewritten(cycle.last.text))
    return f"As it failed, {_itself(cycle)}{f': {named}' if named else '.'}"


def _whats(cycle: Cycle) -> list[str]:
    """All that it failed with: what one compiler complains of in a run may be several things, and another run's."""
    first = failure(cycle.failed.text).what
    others = (failure(act.text).what for act in cycle.failures)
    listed = (what for act in cycle.every for what in outcomes.complaints(act.text, MAX_COMPLAINTS))
    return unique((first, *others, *listed), MAX_COMPLAINTS)


def still_broken(cycle: Cycle) -> NewObservation:
    acts = cycle.every
    if cycle.passed is None:
        return broken(acts[-1], acts)
    happened = [*(f"{_named([path])} was changed" for path in _files(cycle.since)[:3]),
                *(f"`{short(act.command, 80)}` was run" for act in cycle.since
                  if act.command and not act.files_modified and not act.failed)]  # fmt: skip
    changed_itself = scripts.script(cycle.passed.command) != scripts.script(cycle.failed.command)
    again = "Asked again, it answered" if commands.shows(cycle.failed.command) else "Run again, it passed"
    if changed_itself:
        again = "Run again with another script, it passed"
    same = differences.is_same_text(cycle.passed.command, cycle.last.command)
    if not same and not changed_itself:
        again = f"{again}, as `{short(cycle.passed.command)}`"
    later = f"{again}."
    if happened:
        later = f"{again}. In between, {', '.join(happened[:4])}."
    elif not cycle.since and same and not changed_itself and commands.is_harmless(cycle.passed.command):
        later = f"{again}; nothing was changed in between."
    text = printed(cycle.passed)
    return broken(acts[-1], [*acts, cycle.passed], later=f"{later}\nIt printed:\n{text}" if text else later)


def broken(act: Act, acts: Sequence[Act] = (), *, later: str = "") -> NewObservation:
    found = failure(act.text)
    program = failing(act.command, act.text, found.what) or act.title or "the command"
    code = f" with exit code {act.exit_code}" if act.exit_code else ""
    story = [f"`{short(act.command)}` failed{code}." if act.command else f"{program} failed{code}.", found.excerpt]
    if later:
        story.append(later)
    if meant := exits.meaning(program, act.exit_code, act.text, found.what):
        found = found._replace(what=meant)
    facts = [found.what] if found.what else []
    facts += [f"Fails: {name}" for name in found.tests]
    why = found.what or (f"exit code {act.exit_code}" if act.exit_code is not None else "it does not say why")
    title = titled(f"{program} fails", why, act.command)
    if not act.exit_code and not acts[1:] and rejections.is_rejected(act.command, act.text):
        # What was handed in says more than the one word that it is wrong.
        title = f"Run `{run_told(act.command)}`"
    if act.interrupted:
        title = f"{program} was interrupted" + (f": {found.what}" if found.what else "")
        story[0] = f"{title}."
    return _from(
        acts or [act], "error", title, "\n".join(story),
        facts=facts, read=found.where, importance=0.45 if later else 0.6,
    )  # fmt: skip


def changed(edits: list[Act], check: Act | None) -> NewObservation:
    files = _files(edits)
    come, gone = defined.added(edits), defined.removed(edits)
    added, removed = [one.name for one in come], [one.name for one in gone]
    created = [path for act in edits if act.created for path in act.files_modified[:1]]
    about = next((act.about for act in edits if act.about), "")
    renamed = len(added) == len(removed) == 1 and come[0].path == gone[0].path
    if created:
        inside = [one.name for one in come if one.path in created or not one.path]
        kind, title = "feature", f"Add {_named(created)}" + (f" with {_listed(inside)}" if inside else "")
    elif renamed:
        kind, title = "refactor", f"Rename `{removed[0]}` to `{added[0]}` in {_of(come, files)}"
    elif added:
        kind, title = "feature", f"Add {_listed(added)} to {_of(come, files)}"
    elif removed:
        kind, title = "refactor", f"Remove {_listed(removed)} from {_of(gone, files)}"
    else:
        kind, title = "change", f"Change {_named(files)}{_gist(edits)}"
    if all(path.endswith((".md", ".rst", ".txt")) for path in files):
        kind = "change"
    if re.search(r"\b(?:fix|bug|repair)", about, re.IGNORECASE):
        kind = "bugfix"
    facts = []
    story = [about, _story(edits, 2600)]
    if check is not None:
        report = outcomes.passed(check.text)
        facts.append(f"`{short(check.command)}` passes{f': {report}' if report else ''}")
        story.append(f"Then {facts[0]}.")
    return _from(
        [*edits, *([check] if check else [])], kind, about or title, "\n".join(part for part in story if part),
        subtitle=title if about else None, facts=facts, modified=files, importance=0.6 if kind != "change" else 0.5,
    )  # fmt: skip


def looked(looks: list[Act]) -> NewObservation:
    story, facts = [], []
    for act in looks:
        files = act.files_read[:8]
        if act.query:
            where = f" in {', '.join(files)}" if files else ""
            shown = outcomes.excerpt(act.text, 500)
            # A list of the files says nothing more.
            told = f": {shown}" if shown and not set(files) & set(act.text.split("\n")) else ""
            story.append(f"Looked for “{one_line(act.query, 160)}”{where}{told}")
        elif names := unique(
            (*_NAMES.findall(act.text), *_HEADINGS.findall(act.text), *_ASSIGNED.findall(act.text)), 24
        ):
            facts.append(f"{', '.join(files[:4])} {'have' if files[1:] else 'has'} {', '.join(names)}")
        elif shown := outcomes.excerpt(act.text, 400):
            story.append(f"{', '.join(files[:4])}: {shown}")
    read = unique((path for act in looks for path in act.files_read[:8]), MAX_FILES)
    return _from(looks, "discovery", _looked_title(looks), "\n".join(story) or None, facts=facts, read=read,
                 importance=0.25)  # fmt: skip


def _looked_title(looks: list[Act]) -> str:
    """Each thing that was looked for stands with the files that it was looked for in."""
    by_place: dict[str, list[str]] = {}
    for act in looks:
        if act.query:
            by_place.setdefault(_named(act.files_read) if act.files_read else "", []).append(act.query)
    sought = [
        ", ".join(f"“{one_line(query, 60)}”" for query in unique(queries, 3)) + (f" in {place}" if place else "")
        for place, queries in by_place.items()
    ]
    read = unique((path for act in looks if not act.query for path in act.files_read[:8]), MAX_FILES)
    if not sought:
        return f"Read {_named(read)}"
    return "; ".join([f"Looked for {sought[0]}", *sought[1:3], *(f"read {_named(read)}" for _ in read[:1])])


_CONVENTIONAL = re.compile(r"^(\w+)(?:\([^)\n]*\))?!?:\s*")
_COMMITS = {"fix": "bugfix", "feat": "feature", "refactor": "refactor", "perf": "feature", "revert": "change"}


def committed(act: Act, message: str) -> NewObservation:
    head = message.partition("\n")[0]
    sort = _CONVENTIONAL.match(head)
    kind = (
        _COMMITS.get(sort[1].lower(), "change") if sort else ("bugfix" if head.lower().startswith("fix") else "change")
    )
    what = head[sort.end() :] if sort else head
    title = fix_told(what) if sort and kind == "bugfix" else what[:1].upper() + what[1:]
    narrative = f"Committed: {message}\n{outcomes.excerpt(act.text, 500)}"
    return of(act, kind, title or "A commit", narrative, importance=0.6,
               subtitle="Committed", concepts=["version-control"])  # fmt: skip


# -- Parts ----------------------------------------------------------------------------------------------------------


def of(act: Act, kind: str, title: str, narrative: str, *, importance: float, subtitle: str | None = None,
        concepts: Sequence[str] = ()) -> NewObservation:  # fmt: skip
    return _from([act], kind, title, narrative, subtitle=subtitle, concepts=concepts, importance=importance,
                 read=act.files_read, modified=act.files_modified)  # fmt: skip


def _from(
    acts: Sequence[Act],
    kind: str,
    title: str,
    narrative: str | None,
    *,
    importance: float,
    subtitle: str | None = None,
    facts: Sequence[str] = (),
    concepts: Sequence[str] = (),
    read: Sequence[str] = (),
    modified: Sequence[str] = (),
) -> NewObservation:
    narrative = narrative.strip()[:NARRATIVE_CHARS] if narrative else None
    prose = f"{title}\n{narrative or ''}"
    title = one_line(title, 200) or "Something was done"
    return NewObservation(
        type=kind,
        title=title,
        subtitle=one_line(subtitle, 300) if subtitle else None,
        narrative=narrative if narrative and narrative != title else None,
        facts=unique((fact[:500] for fact in facts), 16),
        concepts=unique((*concepts, *concepts_of(prose, (*modified, *read))), 10),
        files_read=[path for path in unique(read, MAX_FILES) if path not in modified],
        files_modified=unique(modified, MAX_FILES),
        language=language_of(prose),
        importance=importance,
        occurred_at=acts[-1].event.occurred_at,
        sources=list(dict.fromkeys(act.event.id for act in acts)),
    )


def as_said(act: Act, output: str) -> str:
    return f"`{short(act.command, 400)}`\n{output}"


def short(command: str, limit: int = 160) -> str:
    return one_line(command, limit)


def _files(acts: Sequence[Act]) -> list[str]:
    return unique((path for act in acts for path in act.files_modified), MAX_FILES)


def _named(files: Sequence[str]) -> str:
    return files_named(files)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"`{name}`" for name in names[:3]) + more


def _of(names: Sequence[Defined], files: Sequence[str]) -> str:
    """Where they stand."""
    places = unique((one.path for one in names), MAX_FILES)
    return _named(places if all(one.path for one in names) else files)


def _gist(edits: Sequence[Act]) -> str:
    """The first line that is new, where it is short enough to be a title's end."""
    every = [change for act in edits for change in defined.placed(act)]
    for of_code in (True, False):
        for path, old, new in every:
            for line in new.split("\n")[:40] if defined.is_prose(path) is not of_code else ():
                bare = line.strip()
                if 6 <= len(bare) <= 70 and bare not in old and re.search(r"\w{3}", bare):
                    return f": `{bare}`"
    return ""


def _story(edits: Sequence[Act], size: int) -> str:
    """What was changed, as the lines that went and the lines that came."""
    told: list[str] = []
    for act in edits:
        if act.command:
            told.append(f"`{short(act.command)}`")
            continue
        told.append(f"{', '.join(act.files_modified[:3]) or 'A file'}{' (new)' if act.created else ''}:")
        for old, new in act.changes[:6]:
            was, now = old.split("\n"), new.split("\n")
            gone, come = set(was) - set(now), set(now) - set(was)
            told += [f"- {line.strip()[:200]}" for line in was if line in gone and line.strip()][:8]
            told += [f"+ {line.strip()[:200]}" for line in now if line in come and line.strip()][:16]
        if not act.changes and isinstance(shown := act.data.get("shown"), str):
            told += [f"  {line[:200]}" for line in shown.split("\n")[:24]]
    text = "\n".join(told)
    return text if len(text) <= size else f"{text[:size]}…"
