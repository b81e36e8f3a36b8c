"""Export, import and forget, by command."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from .conftest import Cli

AT = "2026-01-01T00:00:00Z"


def archive(*texts: str) -> str:
    lines: list[dict[str, object]] = []
    for text in texts:
        session = str(uuid.uuid4())
        lines.append({"kind": "session", "id": session, "started_at": AT, "title": text})
        lines.append({"kind": "observation", "id": str(uuid.uuid4()), "session": session, "type": "discovery",
                      "title": text, "occurred_at": AT})  # fmt: skip
    return "\n".join(map(json.dumps, lines))


def test_a_memory_is_carried_over_and_forgotten(cli: Cli, tmp_path: Path) -> None:
    old, new = (f"p-{uuid.uuid4().hex[:8]}" for _ in range(2))
    for project in (old, new):
        assert cli("projects", "create", project).returncode == 0
    source, kept = tmp_path / "source.jsonl", tmp_path / "kept.jsonl"
    source.write_text(archive("first", "second"))
    found = cli.json("memory", "import", str(source), "--project", old)
    assert found["added"] == {"sessions": 2, "events": 0, "observations": 2}

    done = cli("memory", "export", old, "-o", str(kept))
    assert (done.returncode, f"wrote {kept.stat().st_size} bytes" in done.stderr) == (0, True), done.stderr
    assert cli("memory", "export", old).stdout.splitlines()[1:-1] == kept.read_text().splitlines()[1:-1]
    done = cli("memory", "import", str(kept), "--project", new)
    assert done.stdout.startswith("added 2 sessions, 0 events, 2 observations; known already: 0 sessions")

    lines = [json.loads(line) for line in cli("memory", "export", new).stdout.splitlines()]
    ids = {line["title"]: line["id"] for line in lines if line["kind"] == "observation"}
    done = cli("memory", "forget", "--observation", ids["first"])
    assert done.stdout.startswith("forgotten: 1 observations"), done.stdout
    assert cli("memory", "forget", "--observation", ids["first"]).returncode == 1
    for more in ((), ("--json",)):
        unasked = cli("memory", "forget", "--project", new, *more)
        assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True), "nobody is there to be asked"
    assert cli.json("memory", "forget", "--project", new, "--yes")["deleted"]["observations"] == 1
    assert cli("memory", "forget", "--project", new, "--yes").stdout == "nothing to forget\n"
    assert cli("memory", "retention", "--project", new).stdout == "nothing to forget\n"
    assert cli("projects", "delete", old).returncode == 0


def test_mistakes_are_explained(cli: Cli, tmp_path: Path) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    assert cli("projects", "create", project).returncode == 0
    bad, kept = tmp_path / "bad.jsonl", tmp_path / "none.jsonl"
    bad.write_text(archive("first") + '\n{"kind": "opinion"}\n')
    done = cli("memory", "import", str(bad), "--project", project)
    assert (done.returncode, "line 3: " in done.stderr) == (1, True), done.stderr
    assert cli("memory", "forget").returncode == 2
    assert cli("memory", "forget", "--session", "1", "--task", "2").returncode == 2
    assert cli("memory", "export", "nobodys", "-o", str(kept)).returncode == 1
    assert not kept.exists()
    nowhere = cli("memory", "export", project, "-o", str(tmp_path / "no" / "where.jsonl"))
    assert (nowhere.returncode, "cannot be written: No such file" in nowhere.stderr) == (1, True), nowhere.stderr
