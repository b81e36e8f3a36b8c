"""What a tool did to which files, by what came before it and by what it printed."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from muster.domain.rules import commands, spurious
from muster.domain.rules.acts import Act, Kind
from muster.domain.rules.edits import changes_of, patched
from muster.domain.rules.known import Known, perhaps_before
from muster.domain.rules.steps import steps
from muster.domain.rules.windows import Seen, Window

_HANDED_IN = "Submit: change "


def was_there(act: Act, known: Known) -> None:
    """A file that was read or written before is not new when it is written again."""
    if act.failed:
        return
    if act.kind is Kind.READ:
        part = any(act.data.get(key) for key in ("offset", "limit", "start_line", "view_range", "command"))
        for path in act.files_read:
            known.add(path, "" if part or act.files_read[1:] else act.text)
    elif act.kind is Kind.COMMAND:
        payload = act.event.payload
        cwd = payload.get("cwd") if isinstance(payload, dict) else None
        place = cwd if isinstance(cwd, str) and len(cwd) < 500 else ""
        for step in steps(act.command):
            if step.name in ("cd", "pushd") and step.words[1:]:
                place = posixpath.join(place, step.words[1])
        gone = [word for step in steps(act.command) if step.name == "rm" for word in step.words[1:]]
        known.drop(posixpath.normpath(posixpath.join(place, word)) for word in gone)
        for path in (*commands.reads(act.command), *commands.edits(act.command)):
            known.add(posixpath.normpath(posixpath.join(place, path)), "")
    elif act.kind is Kind.EDIT and act.files_modified:
        path = act.files_modified[0]
        if act.created and not act.files_modified[1:]:
            after = act.changes[0][1] if act.changes else ""
            if known.found(path):
                act.created = False
                act.changes = [(known.before(path, after), after)] if after else []
            known.add(path, after)
            return
        for one in act.files_modified:
            known.change(one, act.changes if not act.files_modified[1:] else [("", "")])


def stood(act: Act, seen: Seen) -> None:
    """What an edit of some lines changed, as far as they were shown before it."""
    path = act.files_modified[0] if act.files_modified else act.files_read[0] if act.files_read else ""
    if act.kind is Kind.EDIT and not act.failed and act.changes and not act.changes[0][0]:
        before, after = seen.before(path, act.command), act.changes[0][1]
        act.changes = [(perhaps_before(after) if before is None else before, after)]
    if act.kind in (Kind.READ, Kind.EDIT) and not act.failed:
        seen.show(path, act.window)
    if act.kind is Kind.EDIT:
        act.command = ""


def through(act: Act, found: Window, command: str) -> Act:
    """What was done with a file through a window."""
    act.kind = Kind.READ if found.kind == "read" else Kind.EDIT
    act.window = act.text
    act.text = found.text if found.kind == "read" else act.text
    if found.kind == "read":
        act.files_read = found.files
    elif found.kind == "submit":
        act.files_modified, act.changes, *_ = patched(found.patch)
        names = ", ".join(path.rpartition("/")[2] for path in act.files_modified[:3])
        act.about, act.window = f"{_HANDED_IN}{names}", ""
    else:
        act.files_modified, act.command = found.files, command
        act.changes = found.changes or changes_of(act.data)
        act.created, act.failed = found.kind == "create", act.failed or found.kind == "refused"
    return act


def copied(command: str) -> list[str]:
    """Files that are somewhere else too from then on."""
    found = (step for step in steps(command) if step.name in _COPIES or step.words[:2] == ("git", "add"))
    return [posixpath.normpath(word) for step in found for word in step.words[1:] if word[:1] != "-"]


_COPIES = frozenset("cp mv ln scp rsync install tar zip".split())  # noqa: SIM905


def without_removed(edits: Sequence[Act], command: str, kept: Sequence[str] = ()) -> list[Act]:
    """A file that was only there for a while is nothing that was added. `kept`: those that were put elsewhere."""
    removed = [posixpath.normpath(word) for step in steps(command) if step.name == "rm" for word in step.words[1:]]
    made = [path for act in edits if act.created for path in act.files_modified]
    gone = [
        word
        for word in removed
        if any(is_same_file(path, word) for path in made) and not any(is_same_file(one, word) for one in kept)
    ]
    return [act for act in edits if not (gone and act.files_modified and _are_all(act.files_modified, gone))]


def _are_all(paths: Sequence[str], among: Sequence[str]) -> bool:
    return all(any(is_same_file(path, one) for one in among) for path in paths)


def told_once(edits: list[Act]) -> list[Act]:
    """What is handed in at the end is what was edited before, which tells more of it."""
    rest = [act for act in edits if not act.about.startswith(_HANDED_IN)]
    files = [path for act in rest for path in act.files_modified]
    handed = [path for act in edits if act not in rest for path in act.files_modified]
    return rest if _are_all(handed, files) else edits


def is_same_file(one: str, other: str) -> bool:
    """Named from different folders."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def judge(act: Act) -> None:
    """What says that it failed may not be the command."""
    if not act.failed:
        return
    own = spurious.without_shell(act.text)
    if spurious.was_stopped(act.text):
        act.kind, act.note = Kind.NOTHING, "it was stopped before it printed anything"
    elif spurious.is_there(act.command, act.text):
        act.kind, act.note = Kind.NOTHING, "what it was to make was there already"
    elif own != act.text or spurious.has_committed(act.command, own):
        act.text, act.failed, act.exit_code = own, False, None
