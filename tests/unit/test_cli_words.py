"""What the commands say and send, beside an API that gives canned answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from muster.cli import cli, follow
from muster.cli.spawn import _follow

SESSION = "01a2068e-64aa-7b72-8fd8-641dbf630c7d"
OBSERVATION = "01a206a3-c048-7b72-8fd8-111111111111"
TASK = {
    "id": "t", "status": "completed", "priority": 5, "attempts": 2, "retry": {"max_attempts": 1},
    "created_at": None, "title": "again",
}  # fmt: skip
ANSWERS = {
    "/v1/sessions": {"items": [{"id": SESSION}], "next_cursor": None},
    "/v1/observations": {"items": [{"id": OBSERVATION}], "next_cursor": None},
    "/v1/tasks": {"id": "made", "items": [TASK], "next_cursor": None},
    "/v1/memory/timeline": {"items": []},
    "/v1/memory/search": {"items": [], "mode": "hybrid"},
    "/v1/memory/context": {"detail": "body.project: name a project"},
    "/v1/projects/apollo/memory": {"exclude_paths": [], "retain_days": None},
}
REFUSED = {"/v1/memory/context"}


@dataclass
class Canned:
    url: str
    home: Path
    asked: list[str] = field(default_factory=list)
    """Each request: its method, path and body."""

    def __call__(self, *arguments: str) -> Result:
        env = {"MUSTER_URL": self.url, "MUSTER_HOME": str(self.home)}
        return CliRunner().invoke(cli, arguments, prog_name="muster", env=env)


@pytest.fixture
def muster(tmp_path: Path) -> Iterator[Canned]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            canned.asked.append(f"{self.command} {self.path} {body}")
            path = self.path.partition("?")[0]
            answer = json.dumps(ANSWERS.get(path, {"id": "made"})).encode()
            self.send_response(422 if path in REFUSED else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    canned = Canned(f"http://127.0.0.1:{server.server_port}", tmp_path)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield canned
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("command", "sent"),
    [
        (("memory", "timeline", "--session", SESSION[:11]), f"session={SESSION}"),
        (("memory", "timeline", "--around", OBSERVATION[-8:]), f"around={OBSERVATION}"),
        (("memory", "search", "x", "--session", SESSION[-6:]), SESSION),
        (("memory", "settings", "apollo", "--set", "exclude_paths=.env*"), '{"exclude_paths":[".env*"]}'),
        (("spawn", "--queue", "--task-timeout", "9", "--", "true"), '"timeout_seconds":9.0'),
    ],
)
def test_what_is_sent(muster: Canned, command: tuple[str, ...], sent: str) -> None:
    done = muster(*command)
    assert sent in muster.asked[-1], (done.output, muster.asked)


@pytest.mark.parametrize(
    ("command", "code", "word"),
    [
        (("memory", "context", "x"), 1, "muster: --project: name a project"),
        (("memory", "timeline", "--session", "ffff"), 1, "no session among the latest"),
        (("memory", "settings", "apollo", "--set", "retain_days="), 1, "--set retain_days=null"),
        (("memory", "forget", "--observation", OBSERVATION[-8:]), 2, "say --yes"),
        (("projects", "create", "My Project"), 1, "my-project, with --name 'My Project'"),
        (("spawn", "--priority", "high", "--", "true"), 2, "'high' is not a whole number in the range 1<=x<=10"),
        (("events", "--limit", "x"), 2, "is not a whole number in the range x>=0"),
        (("tasks",), 0, "t   completed  5     2                  again"),
    ],
)
def test_what_is_said(muster: Canned, command: tuple[str, ...], code: int, word: str) -> None:
    done = muster(*command)
    assert (done.exit_code, word in done.output) == (code, True), done.output


def test_a_lost_attempt_is_told_when_the_next_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lived(_api: Any, _task: str, told: follow.Followed) -> dict[str, Any]:
        first = {"id": "a", "attempt": 1, "status": "failed", "reason": "lost", "error": None}
        told.spawned(first)
        told.ended(first, {"retry": {"max_attempts": 1}})
        told.spawned({"id": "b", "attempt": 2})
        return {"status": "completed"}

    monkeypatch.setattr(follow, "task", lived)
    nobody: Any = None
    assert _follow(nobody, "t", as_json=False) == 0
    assert "attempt 1 failed (lost); attempt 2 begins" in capsys.readouterr().err
