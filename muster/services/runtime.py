"""runtime.json: what one running Muster tells the commands beside it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from muster.services.addresses import Addresses
from muster.services.errors import StartupError
from muster.services.home import Home
from muster.settings import Settings


class ChildRecord(BaseModel):
    pid: int | None
    since: str | None
    restarts: int
    hangs: bool = False


class Record(BaseModel):
    """Passwords of external servers are masked in here; whoever needs them sets the same variables."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: str  # of the process, so that a pid that was given to another one is recognised
    home: str
    since: str
    ready: bool = False
    api: str
    ports: dict[str, int] = {}
    versions: dict[str, str] = {}
    addresses: Addresses | None = None
    children: dict[str, ChildRecord] = {}

    @property
    def alive(self) -> bool:
        return process_start(self.pid) == self.started


def process_start(pid: int) -> str | None:
    """When the process began, as boot id and clock ticks; None when it is gone (or only a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def write(home: Home, record: Record) -> None:
    home.write(home.runtime_file, record.model_dump_json(indent=2))


def read(settings: Settings) -> Record | None:
    """What the file says, stale or not."""
    path = Home(settings.home).runtime_file
    try:
        return Record.model_validate(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except PermissionError:
        raise StartupError(f"cannot read {path}: it belongs to another user; set MUSTER_HOME") from None
    except (OSError, ValueError, ValidationError):  # cut short by a full disk, or written by another version
        return None


def running(settings: Settings) -> Record | None:
    record = read(settings)
    return record if record and record.alive else None


def api_url(settings: Settings) -> str:
    """Where the command line finds the API."""
    if settings.api_url:
        return settings.api_url.rstrip("/")
    record = running(settings)
    return record.api if record else f"http://127.0.0.1:{settings.api_port or 8700}"


def api_key(settings: Settings) -> str | None:
    """What the command line shows the API. The administrator's key goes to the Muster it belongs to, and to no other
    address."""
    if settings.api_key:
        return settings.api_key.get_secret_value()
    record = running(settings)
    if record is None or (settings.api_url and settings.api_url.rstrip("/") != record.api):
        return None  # whoever listens there may be anybody
    home = Home(settings.home)
    return home.read(home.admin_file)


def resolve(settings: Settings, *, needs: Collection[str] = ("temporal", "postgres", "valkey")) -> Settings:
    """The settings with every needed address explicit: what is not set comes from the Muster that runs."""
    absent = {
        "temporal": ("TEMPORAL_ADDRESS", settings.embeds_temporal),
        "postgres": ("DATABASE_URL", settings.embeds_postgres),
        "valkey": ("VALKEY_URL", settings.embeds_valkey),
    }
    record = running(settings) if settings.embeds_embedder else None
    if record and record.addresses and "embedder" in record.ports and not record.addresses.embedder_url:
        settings = settings.model_copy(update={"embeddings_url": record.addresses.embeddings_url})
    missing = {name: variable for name, (variable, is_absent) in absent.items() if is_absent and name in needs}
    home = Home(settings.home)
    if settings.secret_key is None and (secret := home.read(home.secret_file)):
        settings = settings.model_copy(update={"secret_key": SecretStr(secret)})
    if not missing:
        return settings
    record = running(settings)
    if record is None or record.addresses is None:
        raise StartupError(
            f"no Muster runs in {Home(settings.home).path}: start it with `muster start`, "
            f"or set {', '.join(missing.values())}"
        )
    found = record.addresses
    updates: dict[str, Any] = {}
    if "temporal" in missing:
        updates["temporal_address"] = found.temporal
        updates["temporal_namespace"] = found.temporal_namespace
        updates["temporal_ui_url"] = settings.temporal_ui_url or found.temporal_ui
    if "postgres" in missing:
        updates["database_url"] = _unmasked(found.database_url, "DATABASE_URL", record)
        updates["database_owner_url"] = _unmasked(found.database_owner_url, "MUSTER_DATABASE_OWNER_URL", record)
    if "valkey" in missing:
        updates["valkey_url"] = _unmasked(found.valkey_url, "VALKEY_URL", record)
    return settings.model_copy(update=updates)


def _unmasked(address: str, variable: str, record: Record) -> SecretStr:
    if "***" in address:
        raise StartupError(f"the Muster in {record.home} uses {address}, whose password is not kept; set {variable}")
    return SecretStr(address)
