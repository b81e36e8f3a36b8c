"""Keys, workspaces, members and the activity log, by command."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from muster.services.home import Home

from .conftest import Cli, Done

As = Callable[..., Done]


@pytest.fixture
def with_key(cli: Cli) -> As:
    """A command as somebody who has only this key, or means this workspace."""

    def run(*arguments: str, key: str = "", workspace: str = "") -> Done:
        other = Cli(cli.home)
        other.env = cli.env | {
            name: value for name, value in (("MUSTER_API_KEY", key), ("MUSTER_WORKSPACE", workspace)) if value
        }
        done: Done = other(*arguments)
        return done

    return run


def in_json(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(cli: Cli, name: str, *options: str) -> list[dict[str, Any]]:
    return [key for key in cli.json("keys", "list", *options) if key["name"] == name]


def test_a_keys_life(cli: Cli, with_key: As) -> None:
    name = f"ci-{uuid.uuid4().hex[:6]}"
    made = cli("keys", "create", name, "--scope", "tasks:read", "--scope", "tasks:write", "--expires", "30d")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert key.startswith("mst_")
    assert len(made.stdout.splitlines()) == 1
    assert "shown this once" in made.stderr
    assert with_key("tasks", key=key).returncode == 0
    refused = with_key("ps", key=key)
    assert (refused.returncode, "agents:read" in refused.stderr) == (1, True)

    (found,) = listed(cli, name)
    assert (found["scopes"], found["role"]) == (["tasks:read", "tasks:write"], "member")
    table = cli("keys", "list").stdout
    columns = ["ID", "STATUS", "ROLE", "SCOPES", "PROJECT", "USED", "EXPIRES", "CREATED", "NAME"]
    assert table.splitlines()[0].split() == columns
    assert key.rpartition("_")[2] not in table

    rotated = cli("keys", "rotate", found["id"], "--overlap", "1h")
    new = rotated.stdout.strip()
    assert (rotated.returncode, new != key) == (0, True)
    assert with_key("tasks", key=new).returncode == 0
    assert with_key("tasks", key=key).returncode == 0

    latest = listed(cli, name)[0]["id"]
    done = cli("keys", "revoke", latest[-10:])
    assert (done.returncode, done.stdout) == (0, f"key {name} ({latest}) revoked\n")
    ended = with_key("tasks", key=new)
    assert (ended.returncode, "revoked" in ended.stderr) == (1, True)
    assert [key["id"] for key in listed(cli, name)] == [found["id"]]
    assert [key["id"] for key in listed(cli, name, "--all")] == [latest, found["id"]]
    assert " revoked " in cli("keys", "list", "--all").stdout


def test_a_key_of_a_project(cli: Cli, with_key: As) -> None:
    slug = f"p-{uuid.uuid4().hex[:6]}"
    cli("projects", "create", slug)
    key = in_json(cli("keys", "create", slug, "--scope", "all", "--project", slug, "--json"))
    assert [project["slug"] for project in in_json(with_key("projects", "list", "--json", key=key["key"]))] == [slug]
    (row,) = [line for line in cli("keys", "list").stdout.splitlines() if line.startswith(key["id"])]
    assert f" {key['project_id']} " in row
    refused = with_key("keys", "list", key=key["key"])
    assert (refused.returncode, "one project only" in refused.stderr) == (1, True)


def test_what_makes_no_key(cli: Cli) -> None:
    for options, code, word in (
        ((), 2, "--scope"),
        (("--scope", "everything"), 2, "everything"),
        (("--scope", "tasks:read", "--expires", "soon"), 2, "span of time"),
        (("--scope", "tasks:read", "--project", "no-such"), 1, "no project"),
        (("--scope", "tasks:read", "--user", "nobody@example.org"), 1, "nobody@example.org"),
    ):
        done = cli("keys", "create", "k", *options)
        assert (done.returncode, done.stdout, word in done.stderr) == (code, "", True), done.stderr


def test_bootstrap_opens_everything(cli: Cli, with_key: As) -> None:
    done = cli("keys", "bootstrap", "--name", "first")
    assert done.returncode == 0, done.stderr
    key = done.stdout.strip()
    assert in_json(with_key("keys", "list", "--json", key=key))[0]["name"] == "first"
    assert key != Home(cli.home).read(Home(cli.home).admin_file)
    assert with_key("workspaces", "list", key=key).returncode == 0


def test_a_workspace_and_its_people(cli: Cli, with_key: As) -> None:
    slug, owner = f"w-{uuid.uuid4().hex[:6]}", f"{uuid.uuid4().hex}@example.org"
    made = cli("workspaces", "create", slug, "--owner", owner, "--max-concurrent-agents", "2", "--weight", "3")
    assert (made.returncode, made.stdout) == (0, f"workspace {slug} created\n"), made.stderr
    shown = in_json(cli("workspaces", "show", slug, "--json"))
    assert (shown["max_concurrent_agents"], shown["weight"], shown["name"]) == (2, 3, slug)
    changed = cli("workspaces", "set", slug, "--name", "Research", "--daily-agent-seconds", "3600")
    assert (changed.returncode, changed.stdout) == (0, f"workspace {slug} changed\n"), changed.stderr
    lines = cli("workspaces", "show", slug).stdout.splitlines()
    assert ["name", "Research"] in [line.split() for line in lines]
    assert "daily agent seconds    3600" in lines
    freed = in_json(cli("workspaces", "set", slug, "--daily-agent-seconds", "none", "--json"))
    assert freed["daily_agent_seconds"] is None
    assert slug in cli("workspaces", "list").stdout
    for options in ((), ("--weight", "heavy"), ("--weight", "none")):
        assert cli("workspaces", "set", slug, *options).returncode == 2

    ada = f"{uuid.uuid4().hex}@example.org"
    added = with_key("members", "add", ada, "--name", "Ada", workspace=slug)
    assert (added.returncode, added.stdout) == (0, f"member {ada} is member\n"), added.stderr
    raised = with_key("members", "set", ada, "--role", "admin", workspace=slug)
    assert raised.stdout == f"member {ada} is admin\n"
    table = with_key("members", "list", workspace=slug).stdout.splitlines()
    assert table[0].split() == ["EMAIL", "ROLE", "USER", "SINCE", "NAME"]
    assert [line.split()[:2] for line in table[1:]] == [[ada, "admin"], [owner, "owner"]]

    key = in_json(with_key("keys", "create", "hers", "--scope", "admin", "--user", ada, "--json", workspace=slug))[
        "key"
    ]
    refused = with_key("workspaces", "set", slug, "--weight", "9", key=key)
    assert (refused.returncode, "administrator" in refused.stderr) == (1, True)
    last = with_key("members", "remove", owner, workspace=slug)
    assert (last.returncode, "last owner" in last.stderr) == (1, True)
    removed = with_key("members", "remove", ada, workspace=slug)
    assert removed.stdout == f"member {ada} removed\n"
    assert with_key("workspaces", "list", key=key).returncode == 1

    actions = [line.split()[2] for line in with_key("activity", workspace=slug).stdout.splitlines()[1:]]
    assert actions[:3] == ["member_deleted", "key_revoked", "key_created"] or actions[:3] == [
        "key_revoked", "member_deleted", "key_created",
    ]  # fmt: skip
    found = in_json(with_key("activity", "--action", "member_updated", "--since", "1h", "--json", workspace=slug))
    assert [item["detail"] for item in found] == [{"before": {"role": "member"}, "after": {"role": "admin"}}]
    assert with_key("activity", "--until", "1h", workspace=slug).stdout == ""
    assert cli("activity", "--since", "yesterday").returncode == 2
