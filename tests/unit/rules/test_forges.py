"""What forges send is told as a person would: runs of checks, pushes, issues, requests to merge and comments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only

REPOSITORY = {"full_name": "acme/shop"}
RUN = {"name": "CI", "conclusion": "failure", "head_branch": "main", "html_url": "https://github.com/acme/shop/runs/9",
       "run_number": 812, "display_title": "Cap retries at three"}  # fmt: skip


def ended(key: str, **more: Any) -> dict[str, Any]:
    return {"action": "completed", key: {**RUN, **more}, "repository": REPOSITORY}


def pipeline(status: str, ref: str = "main") -> dict[str, Any]:
    job = {"name": "integration", "stage": "test", "status": status, "failure_reason": "script_failure"}
    return {"object_kind": "pipeline", "object_attributes": {"status": status, "ref": ref, "iid": 7}, "builds": [job],
            "user": {"name": "Jonas"}, "project": {"path_with_namespace": "acme/billing"},
            "commit": {"message": "Round up\n"}}  # fmt: skip


def left(*sent: dict[str, Any]) -> int:
    events = [event(payload, "webhook") for payload in sent]
    (one,) = summarise(None, events, made(*events)).observations
    return sum(fact.startswith("Open: ") for fact in one.facts)


CHECKED = {"name": "lint", "run_number": None, "display_title": None, "head_branch": None,
           "check_suite": {"head_branch": "main"}, "output": {"title": "3 errors"}}  # fmt: skip
JOB = {"name": "unit (3.12)", "workflow_name": "CI", "run_number": None, "display_title": None,
       "steps": [{"name": "Set up", "conclusion": "success"},
                 {"name": "Run pytest", "conclusion": "failure"}]}  # fmt: skip


@pytest.mark.parametrize("kind", ["webhook", "ci", "event", "request", "github.workflow_run"])
@pytest.mark.parametrize(
    ("sent", "title"),
    [
        (ended("workflow_run"), "CI fails on main (#812): Cap retries at three"),
        (ended("workflow_run", conclusion="timed_out"), "CI fails on main (#812): Cap retries at three"),
        (ended("workflow_job", **JOB), "CI / unit (3.12) fails on main: Run pytest"),
        (ended("check_run", **CHECKED), "lint fails on main: 3 errors"),
        (pipeline("failed"), "acme/billing: pipeline fails on main (#7): integration (script failure)"),
        ({"object_kind": "build", "build_name": "unit", "build_status": "failed", "ref": "main", "project_name": "a/b",
          "build_id": 4, "build_failure_reason": "runner_system_failure"},
         "a/b: unit fails on main: runner system failure"),
        ({"deployment_status": {"state": "failure", "description": "No quota"}, "repository": REPOSITORY,
          "deployment": {"ref": "v2", "environment": "production"}},
         "acme/shop: deployment of v2 to production fails: No quota"),
    ],
)  # fmt: skip
def test_a_run_that_fails_is_an_error(kind: str, sent: dict[str, Any], title: str) -> None:
    for payload in (sent, json.dumps(sent)):
        one = only(event(payload, kind))
        assert (one.type, one.title) == ("error", title)


def test_it_is_over_when_the_same_passes_on_the_same_branch() -> None:
    failed, passed = ended("workflow_run"), ended("workflow_run", conclusion="success", run_number=813)
    assert only(event(passed, "webhook")).type == "discovery"
    assert left(failed) == left(passed, failed) == 1
    assert left(failed, passed) == 0
    assert left(failed, ended("workflow_run", conclusion="success", head_branch="next")) == 1
    assert left(failed, ended("workflow_run", conclusion="success", name="Docs")) == 1
    assert left(failed, {**passed, "repository": {"full_name": "acme/till"}}) == 1
    assert left(failed, ended("workflow_run", conclusion="cancelled")) == 1
    assert left(pipeline("failed"), pipeline("success")) == 0
    assert left(pipeline("failed"), pipeline("success", "next")) == 1


@pytest.mark.parametrize(
    "sent",
    [ended("workflow_run", conclusion=None), ended("workflow_run", conclusion="cancelled"), pipeline("running"),
     ended("check_run", conclusion="skipped"), {**ended("workflow_run", conclusion=None), "action": "requested"}],
)  # fmt: skip
def test_a_run_that_has_not_ended_says_nothing(sent: dict[str, Any]) -> None:
    assert made(event(sent, "webhook")) == []


COMMIT = {"id": "abcdef1234", "message": "Cap retries at three\n\nMore than that never helps.", "modified": ["a/r.py"]}
ISSUE = {"number": 12, "title": "App crashes on start", "body": "It fails always.", "labels": [{"name": "bug"}],
         "user": {"login": "bob"}, "state": "open", "html_url": "https://github.com/acme/shop/issues/12"}  # fmt: skip
SAID = {"body": "For me, upgrading the framework fixed it.", "user": {"login": "ann"},
        "html_url": "https://github.com/acme/shop/issues/12#issuecomment-1"}  # fmt: skip
MERGE = {"object_kind": "merge_request", "project": {"path_with_namespace": "acme/billing"}, "user": {"name": "Jo"}}


@pytest.mark.parametrize(
    ("sent", "type_", "title"),
    [
        ({"ref": "refs/heads/main", "before": "0", "after": "abc", "commits": [COMMIT], "repository": REPOSITORY},
         "change", "acme/shop: push to main: Cap retries at three"),
        ({"ref": "refs/heads/main", "after": "abc", "commits": [COMMIT, COMMIT], "repository": REPOSITORY},
         "change", "acme/shop: push to main: Cap retries at three (and 1 more)"),
        ({"ref": "refs/heads/old", "after": "0000", "deleted": True, "commits": [], "repository": REPOSITORY},
         "change", "acme/shop: old was deleted"),
        ({"action": "opened", "issue": ISSUE, "repository": REPOSITORY},
         "fact", "acme/shop issue #12 opened: App crashes on start"),
        (ISSUE, "fact", "acme/shop issue #12 open: App crashes on start"),
        ({"action": "created", "issue": ISSUE, "comment": SAID, "repository": REPOSITORY},
         "fact", "acme/shop issue #12: comment by ann: For me, upgrading the framework fixed it."),
        (SAID, "fact", "acme/shop issue #12: comment by ann: For me, upgrading the framework fixed it."),
        ({"action": "closed", "pull_request": {**ISSUE, "merged": True}, "repository": REPOSITORY},
         "change", "acme/shop PR #12 merged: App crashes on start"),
        ({"action": "closed", "pull_request": {**ISSUE, "merged": False}, "repository": REPOSITORY},
         "fact", "acme/shop PR #12 closed: App crashes on start"),
        ({"action": "submitted", "pull_request": ISSUE, "review": {**SAID, "state": "changes_requested"},
          "repository": REPOSITORY},
         "fact", "acme/shop PR #12: review by ann: For me, upgrading the framework fixed it."),
        ({"action": "published", "release": {"tag_name": "v2", "body": "Faster"}, "repository": REPOSITORY},
         "change", "acme/shop: release v2 published"),
        ({**MERGE, "object_attributes": {"iid": 5, "action": "open", "title": "Round up"}},
         "fact", "acme/billing PR #5 opened: Round up"),
        ({**MERGE, "object_attributes": {"iid": 5, "action": "merge", "title": "Round up"}},
         "change", "acme/billing PR #5 merged: Round up"),
        ({**MERGE, "object_kind": "note", "object_attributes": {"note": "Is it safe?"},
          "merge_request": {"iid": 5, "title": "Round up"}},
         "fact", "acme/billing PR #5: comment by Jo: Is it safe?"),
    ],
)  # fmt: skip
def test_what_happens_there_is_told_as_a_person_would(sent: dict[str, Any], type_: str, title: str) -> None:
    one = only(event(sent, "webhook"))
    assert (one.type, one.title) == (type_, title)


def test_a_push_tells_what_it_changes() -> None:
    sent = {"ref": "refs/heads/main", "after": "abc", "commits": [COMMIT], "repository": REPOSITORY}
    one = only(event(sent, "webhook"))
    assert one.files_modified == ["a/r.py"]
    assert "abcdef1 Cap retries at three" in (one.narrative or "")


def test_what_somebody_says_of_a_repository_stays_a_message() -> None:
    one = only(event({"role": "user", "text": "The shop moves to GitLab.", "repository": REPOSITORY}))
    assert one.title == "The shop moves to GitLab."


def test_broken_and_huge_ones_are_told_fast() -> None:
    began = Stopwatch()
    for key in ("workflow_run", "issue", "comment", "pull_request", "release", "review", "deployment_status"):
        for about in ({}, {"title": 5, "name": [], "body": {}}, {"title": "x" * 200_000, "body": "y " * 100_000}):
            made(event({"action": "completed", key: about, "repository": REPOSITORY}, "webhook"))
    made(event({"ref": "refs/heads/x", "after": "a", "commits": [COMMIT] * 2_000, "repository": REPOSITORY}, "webhook"))
    assert began.fair < 4
