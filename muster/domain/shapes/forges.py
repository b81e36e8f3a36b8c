"""What GitHub and GitLab send: runs of their checks, pushes, issues, requests to merge, and what is said of these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from muster.domain.rules.fields import FAILS, WELL
from muster.domain.rules.json import line_of, text_of
from muster.domain.shapes.parts import Part, listed, mapping, record

MAX_COMMITS = 20
MAX_FAILED = 4
"""Of a pipeline's jobs, that its title names."""

_FAILED = frozenset({"failure", "failed", "timed_out", "startup_failure", "error"})
_PASSED = frozenset({"success", "passed", "succeeded"})
_FORGE = re.compile(
    r"https?://[\w.-]{1,80}/(?:repos/)?([\w.-]{1,100}/[\w.-]{1,100})(?:/-)?/"
    r"(issues|pulls?|merge_requests)/(\d+)"
)
_SAID_CHARS = 200


def forge(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """None: it is nothing of these."""
    if "role" in document or "tool_name" in document:
        return None
    if isinstance(document.get("object_kind"), str) and ("project" in document or "object_attributes" in document
                                                         or "build_id" in document or "commits" in document
                                                         or "environment" in document):  # fmt: skip
        return _gitlab(document["object_kind"], document)
    where = line_of(mapping(document.get("repository")), "full_name")
    if where:
        return _github(where, document)
    return _alone(document)


# -- GitHub ----------------------------------------------------------------------------------------------------------

_RUNS = ("workflow_run", "workflow_job", "check_run", "check_suite")


def _github(where: str, document: dict[str, Any]) -> list[Part] | None:
    for key in _RUNS:
        if isinstance(run := document.get(key), dict):
            return _ran(where, key, run, document)
    action = line_of(document, "action").replace("_", " ")
    change, about = mapping(document.get("pull_request")), mapping(document.get("issue"))
    if state := mapping(document.get("deployment_status")):
        return _deployed(where, state, mapping(document.get("deployment")))
    if said := mapping(document.get("comment")):
        return _commented(_called(where, about or change, bool(change)), about or change, said)
    if said := mapping(document.get("review")):
        verdict = line_of(said, "state").replace("_", " ").lower()
        return _commented(_called(where, change, True), change, said, verdict)
    if release := mapping(document.get("release")):
        return _released(where, release, line_of(release, "name", "tag_name"), action or "published")
    if change:
        done = "merged" if action == "closed" and change.get("merged") is True else action
        return _item(_called(where, change, True), change, done, merged=done == "merged")
    if about:
        return _item(_called(where, about), about, action)
    if isinstance(document.get("ref"), str) and ("commits" in document or "after" in document):
        return _pushed(where, document)
    return None


def _ran(where: str, key: str, run: dict[str, Any], document: dict[str, Any]) -> list[Part]:
    """What passes or fails. What only begins, or was called off, says nothing of that."""
    ended = line_of(run, "conclusion").lower()
    suite = mapping(run.get("check_suite"))
    flow = line_of(run, "workflow_name") or line_of(mapping(document.get("workflow")), "name")
    name = line_of(run, "name") or line_of(mapping(run.get("app")), "name") or flow or "The checks"
    if key == "workflow_job" and flow and flow != name:
        name = f"{flow} / {name}"
    branch = line_of(run, "head_branch") or line_of(suite, "head_branch")
    standing = FAILS if ended in _FAILED else WELL if ended in _PASSED else ""
    if not standing:
        return []
    number = run.get("run_number")
    about = line_of(run, "display_title") or line_of(mapping(run.get("head_commit")), "message")
    output = mapping(run.get("output"))
    about = about or (line_of(output, "title") if standing == FAILS else "")
    steps = [line_of(step, "name") for step in listed(run.get("steps")) if step.get("conclusion") in _FAILED]
    if key == "workflow_job" and standing == FAILS and steps:
        about = f"{steps[0]}{f' ({about})' if about else ''}"
    return record(
        _headed(f"{name} {'fails' if standing == FAILS else 'passes'}{_at(branch)}{_numbered(number)}", about),
        "\n".join(part for part in (text_of(output.get("summary")), text_of(output.get("text"))) if part),
        standing=standing, same=("ci", where, key, name, branch),
        facts=(("repository", where), ("branch", branch), ("conclusion", ended),
               ("commit", line_of(run, "head_sha")[:12]), ("event", line_of(run, "event")),
               ("by", line_of(mapping(run.get("actor")), "login")),
               ("url", line_of(run, "html_url"))),
    )  # fmt: skip


def _deployed(where: str, status: dict[str, Any], deployment: dict[str, Any]) -> list[Part]:
    state, place = (
        line_of(status, "state").lower(),
        line_of(status, "environment") or line_of(deployment, "environment"),
    )
    if state not in _FAILED | _PASSED:
        return []
    ref = line_of(deployment, "ref")
    title = f"{where}: deployment{f' of {ref}' if ref else ''}{f' to {place}' if place else ''}"
    standing = FAILS if state in _FAILED else WELL
    return record(
        _headed(f"{title} {'fails' if standing == FAILS else 'succeeded'}", line_of(status, "description")),
        standing=standing, same=("deployment", where, place), kind="" if standing == FAILS else "change",
        facts=(("repository", where), ("environment", place), ("ref", ref), ("url", line_of(status, "target_url"))),
    )  # fmt: skip


def _called(where: str, about: dict[str, Any], merges: bool = False) -> str:
    merges = merges or isinstance(about.get("pull_request"), dict)
    return f"{where} {'PR' if merges else 'issue'}{f' #{number}' if (number := about.get('number')) else ''}"


def _item(called: str, about: dict[str, Any], action: str, *, merged: bool = False) -> list[Part]:
    branch = line_of(mapping(about.get("head")), "ref")
    labels = ", ".join(name for label in listed(about.get("labels")) if (name := line_of(label, "name", "title")))
    return record(
        _headed(f"{called} {action}".strip(), line_of(about, "title")), text_of(about.get("body")),
        kind="change" if merged else "fact", importance=0.0 if action not in _MOVES else 0.3,
        facts=(("state", line_of(about, "state")), ("labels", labels), ("branch", branch), ("by", _person(about)),
               ("url", line_of(about, "html_url", "url"))),
    )  # fmt: skip


_MOVES = frozenset(
    {
        "labeled",
        "unlabeled",
        "assigned",
        "unassigned",
        "synchronize",
        "edited",
        "subscribed",
        "review requested",
        "update",
    }
)
"""What is done to an issue that says little of it."""


def _commented(called: str, about: dict[str, Any], said: dict[str, Any], verdict: str = "") -> list[Part]:
    who, words = _person(said), text_of(said.get("body"))
    what = "review" if verdict else "comment"
    first = line_of({"said": words.strip().partition("\n")[0]}, "said")[:_SAID_CHARS] or verdict
    return record(
        _headed(f"{called}: {what}{f' by {who}' if who else ''}", first), words, kind="fact",
        facts=(("title", line_of(about, "title")), ("verdict", verdict), ("file", line_of(said, "path")),
               ("url", line_of(said, "html_url"))),
    )  # fmt: skip


def _released(where: str, release: dict[str, Any], name: str, action: str) -> list[Part]:
    if action in ("edited", "deleted", "unpublished", "created"):
        return record(f"{where}: release {name} {action}", kind="fact", importance=0.3)
    return record(f"{where}: release {name} {action}", text_of(release.get("body") or release.get("description")),
                  kind="change",
                  facts=(("tag", line_of(release, "tag_name", "tag")), ("by", _person(release))))  # fmt: skip


def _pushed(where: str, document: dict[str, Any]) -> list[Part]:
    ref = line_of(document, "ref")
    name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    what = f"tag {name}" if ref.startswith("refs/tags/") else name
    commits = listed(document.get("commits"), MAX_COMMITS)
    if document.get("deleted") is True or set(line_of(document, "after")) == {"0"}:
        return record(f"{where}: {what} was deleted", kind="change", importance=0.3)
    last = mapping(document.get("head_commit")) or (commits[-1] if commits else {})
    more = f" (and {len(commits) - 1} more)" if len(commits) > 1 else ""
    subject = text_of(last.get("message")).partition("\n")[0].strip()
    told = "\n".join(f"{line_of(commit, 'id')[:7]} {text_of(commit.get('message'), 1000)}" for commit in commits)
    who = line_of(mapping(document.get("pusher")), "name") or line_of(document, "user_name", "user_username")
    return record(
        _headed(f"{where}: push to {what}", f"{subject}{more}" if subject else ""), told, kind="change",
        facts=(("repository", where), ("branch", name), ("by", who)), files=_files(commits),
    )  # fmt: skip


def _files(commits: list[dict[str, Any]]) -> Iterator[str]:
    for commit in commits:
        for key in ("added", "modified", "removed"):
            if isinstance(paths := commit.get(key), list):
                yield from (path[:1000] for path in paths[:100] if isinstance(path, str) and path.strip())


def _person(about: dict[str, Any]) -> str:
    return line_of(mapping(about.get("user")) or mapping(about.get("author")), "login", "username", "name")


def _alone(document: dict[str, Any]) -> list[Part] | None:
    """An issue, a request to merge or a comment as they are asked for."""
    link = line_of(document, "html_url", "web_url")
    if not (found := _FORGE.match(link)) or "action" in document:
        return None
    called = f"{found[1]} {'issue' if found[2] == 'issues' else 'PR'} #{found[3]}"
    if isinstance(document.get("title"), str) and isinstance(document.get("state"), str):
        merged = document.get("merged") is True or document.get("state") == "merged"
        return _item(called, document, "merged" if merged else document["state"], merged=merged)
    if isinstance(document.get("body"), str) and (mapping(document.get("user")) or mapping(document.get("author"))):
        return _commented(called, {}, document)
    return None


# -- GitLab ----------------------------------------------------------------------------------------------------------

_ACTED = {"open": "opened", "close": "closed", "reopen": "reopened", "merge": "merged", "approved": "approved",
          "unapproved": "unapproved"}  # fmt: skip


def _gitlab(kind: str, document: dict[str, Any]) -> list[Part] | None:
    about, project = mapping(document.get("object_attributes")), mapping(document.get("project"))
    where = line_of(project, "path_with_namespace", "name") or line_of(document, "project_name")
    if kind == "pipeline":
        return _pipeline(where, about, document)
    if kind in ("build", "job"):
        return _built(where, document)
    if kind in ("push", "tag_push"):
        return _pushed(where, document)
    if kind == "deployment":
        status = {"state": line_of(document, "status"), "environment": line_of(document, "environment")}
        return _deployed(where, status, {"ref": line_of(document, "ref")})
    if kind == "release":
        return _released(where, document, line_of(document, "name", "tag"), line_of(document, "action") + "d")
    action = line_of(about, "action")
    item = {"number": about.get("iid"), "user": document.get("user"), "title": about.get("title"),
            "html_url": about.get("url"), "body": about.get("description"), "state": about.get("state"),
            "labels": document.get("labels"),
            "head": {"ref": about.get("source_branch")}}  # fmt: skip
    if kind == "merge_request":
        done = _ACTED.get(action, action)
        return _item(_called(where, item, True), item, done, merged=done == "merged")
    if kind in ("issue", "work_item", "incident"):
        return _item(_called(where, item), item, _ACTED.get(action, action))
    if kind == "note":
        on = mapping(document.get("merge_request")) or mapping(document.get("issue"))
        said = {"body": about.get("note"), "user": document.get("user"), "html_url": about.get("url")}
        number = {"number": on.get("iid"), "title": on.get("title")}
        called = (
            _called(where, number, "merge_request" in document) if on else f"{where} {line_of(about, 'noteable_type')}"
        )
        return _commented(called.strip(), number, said)
    return None


def _pipeline(where: str, about: dict[str, Any], document: dict[str, Any]) -> list[Part]:
    state, branch = line_of(about, "status").lower(), line_of(about, "ref")
    if state not in _FAILED | _PASSED:
        return []
    standing = FAILS if state in _FAILED else WELL
    failed = [job for job in listed(document.get("builds"), 200) if job.get("status") == "failed"
              and job.get("allow_failure") is not True][:MAX_FAILED]  # fmt: skip
    named = ", ".join(
        f"{line_of(job, 'name')}{f' ({_plain(why)})' if (why := line_of(job, 'failure_reason')) else ''}"
        for job in failed
    )
    commit = text_of(mapping(document.get("commit")).get("message")).partition("\n")[0]
    number = _numbered(about.get("iid") or about.get("id"))
    title = f"{where}: pipeline {'fails' if standing == FAILS else 'passes'}{_at(branch)}{number}"
    return record(
        _headed(title, named if standing == FAILS and named else commit), commit if named else "",
        standing=standing, same=("ci", where, "pipeline", branch),
        facts=(("repository", where), ("branch", branch), ("commit", line_of(about, "sha")[:12]),
               *(("failed", f"{line_of(job, 'stage')} / {line_of(job, 'name')}") for job in failed),
               ("by", line_of(mapping(document.get("user")), "name", "username")), ("url", line_of(about, "url"))),
    )  # fmt: skip


def _built(where: str, document: dict[str, Any]) -> list[Part]:
    state, branch = line_of(document, "build_status", "status").lower(), line_of(document, "ref")
    if state not in _FAILED | _PASSED or (state in _FAILED and document.get("build_allow_failure") is True):
        return []
    name, standing = line_of(document, "build_name", "name"), FAILS if state in _FAILED else WELL
    why = _plain(line_of(document, "build_failure_reason")) if standing == FAILS else ""
    title = f"{where}: {name} {'fails' if standing == FAILS else 'passes'}{_at(branch)}"
    return record(
        _headed(title, "" if why == "unknown failure" else why),
        standing=standing, same=("ci", where, "job", name, branch),
        facts=(("repository", where), ("branch", branch), ("stage", line_of(document, "build_stage"))),
    )  # fmt: skip


# -- Words -----------------------------------------------------------------------------------------------------------


def _headed(head: str, words: str) -> str:
    return f"{head}: {words}" if words else head


def _at(branch: str) -> str:
    return f" on {branch}" if branch else ""


def _numbered(number: Any) -> str:
    return f" (#{number})" if isinstance(number, int) and number else ""


def _plain(name: str) -> str:
    return name.replace("_", " ")
