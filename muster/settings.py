"""Every knob Muster has, read once at the door (CLI, API, worker) and passed on.

Setting an address (`DATABASE_URL`, `VALKEY_URL` or `VALKEY_HOST`, `TEMPORAL_ADDRESS`) means that service
and no other. Without one, the embedded service under `MUSTER_HOME` is meant.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The field order is the order of `.env.example`; a test compares the two."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    home: Path = Field(
        default=Path(".muster"),
        alias="MUSTER_HOME",
        description="Where the embedded services keep their state, logs and runtime.json.",
    )

    api_host: str = Field(
        default="127.0.0.1",
        alias="MUSTER_API_HOST",
        description="Address the API listens on. Anything but loopback also needs MUSTER_ALLOW_REMOTE=true.",
    )
    api_port: Port = Field(
        default=8700,
        alias="MUSTER_API_PORT",
        description="Port of the HTTP API; 0 takes any free one.",
    )
    allow_remote: bool = Field(
        default=False,
        alias="MUSTER_ALLOW_REMOTE",
        description="Allow the API, which knows no keys yet, to listen beyond loopback. Put a proxy that "
        "authenticates in front of it.",
    )
    allowed_hosts: str | None = Field(
        default=None,
        alias="MUSTER_ALLOWED_HOSTS",
        description="With MUSTER_ALLOW_REMOTE: names, separated by commas, that a request's Host header may have; "
        "others are refused, which keeps web pages from reaching the API under a name of theirs. Default: any.",
    )
    api_url: str | None = Field(
        default=None,
        alias="MUSTER_URL",
        description="API that the command line talks to. Default: the one in MUSTER_HOME/runtime.json, "
        "else http://127.0.0.1:8700.",
    )

    temporal_address: str | None = Field(
        default=None,
        alias="TEMPORAL_ADDRESS",
        description="host:port of a Temporal frontend to use instead of the embedded server. TLS and API keys "
        "are read from the Temporal SDK's own variables (TEMPORAL_TLS…, TEMPORAL_API_KEY, TEMPORAL_PROFILE).",
    )
    temporal_namespace: str = Field(
        default="default",
        alias="TEMPORAL_NAMESPACE",
        description="Temporal namespace.",
    )
    temporal_task_queue: str = Field(
        default="muster",
        alias="MUSTER_TASK_QUEUE",
        description="Temporal task queue that workers poll.",
    )
    temporal_port: Port = Field(
        default=7233,
        alias="MUSTER_TEMPORAL_PORT",
        description="Port of the embedded Temporal server; 0 takes any free one.",
    )
    temporal_ui_port: Port = Field(
        default=8233,
        alias="MUSTER_TEMPORAL_UI_PORT",
        description="Port of the embedded Temporal Web UI; 0 takes any free one.",
    )
    temporal_ui_url: str | None = Field(
        default=None,
        alias="MUSTER_TEMPORAL_UI_URL",
        description="Base URL of the Temporal Web UI that answers link to, when it is not the embedded one.",
    )
    temporal_durability: Literal["full", "normal"] = Field(
        default="full",
        alias="MUSTER_TEMPORAL_DURABILITY",
        description="SQLite synchronous mode of the embedded Temporal server. `full`: a power cut loses nothing. "
        "`normal`: quicker; a power cut (not a crash) may lose the last moments of workflow history.",
    )

    database_url: SecretStr | None = Field(
        default=None,
        alias="DATABASE_URL",
        description="PostgreSQL 17+ with pgvector to use instead of the embedded one.",
    )
    database_owner_url: SecretStr | None = Field(
        default=None,
        alias="MUSTER_DATABASE_OWNER_URL",
        description="The same database as the role that runs migrations, when DATABASE_URL's may not.",
    )
    database_pool_size: int = Field(
        default=8,
        ge=1,
        le=200,
        alias="MUSTER_DATABASE_POOL_SIZE",
        description="Postgres connections held by one API or worker process.",
    )

    valkey_url: SecretStr | None = Field(
        default=None,
        alias="VALKEY_URL",
        description="redis:// or rediss:// address of a Valkey to use instead of the embedded one.",
    )
    valkey_host: str | None = Field(
        default=None,
        alias="VALKEY_HOST",
        description="The same by parts: host (VALKEY_URL wins).",
    )
    valkey_port: Port = Field(
        default=6379,
        alias="VALKEY_PORT",
        description="Port that goes with VALKEY_HOST.",
    )
    valkey_password: SecretStr | None = Field(
        default=None,
        alias="VALKEY_PASSWORD",
        description="Password that goes with VALKEY_HOST.",
    )
    embedded_valkey_port: Port | None = Field(
        default=None,
        alias="MUSTER_VALKEY_PORT",
        description="Port of the embedded Valkey; 0 takes any free one. Default: 6379, or any free one when taken.",
    )
    terminal_ttl_seconds: int = Field(
        default=86_400,
        ge=1,
        alias="MUSTER_TERMINAL_TTL_SECONDS",
        description="How long Valkey keeps the live key of a finished task or agent.",
    )

    max_concurrent_agents: int = Field(
        default=20,
        ge=1,
        le=10_000,
        alias="MAX_CONCURRENT_AGENTS",
        description="Agents the default workspace may run at once; tasks beyond that wait in its queue.",
    )
    worker_max_agents: int = Field(
        default=200,
        ge=1,
        le=10_000,
        alias="MUSTER_WORKER_MAX_AGENTS",
        description="Agents one worker process runs at once.",
    )
    heartbeat_timeout_seconds: float = Field(
        default=20.0,
        ge=2,
        le=600,
        alias="MUSTER_HEARTBEAT_TIMEOUT_SECONDS",
        description="Silence after which an agent's worker counts as lost and the task is tried elsewhere.",
    )
    sweep_seconds: float = Field(
        default=15.0,
        ge=0.5,
        le=3600,
        alias="MUSTER_SWEEP_SECONDS",
        description="How often a worker looks for work that a lost message left behind.",
    )
    max_output_bytes: int = Field(
        default=10 * 1024 * 1024,
        ge=1024,
        alias="MUSTER_MAX_OUTPUT_BYTES",
        description="Output kept per agent; what comes after is dropped with a marker.",
    )
    max_body_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=1536 * 1024,  # Temporal refuses a payload of 2 MiB
        alias="MUSTER_MAX_BODY_BYTES",
        description="Largest request body the API reads.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        alias="MUSTER_LOG_LEVEL",
        description="How much the processes log.",
    )

    @model_validator(mode="after")
    def _loopback_until_keys_exist(self) -> Self:
        if self.api_host not in {"127.0.0.1", "::1", "localhost"} and not self.allow_remote:
            raise ValueError(
                f"MUSTER_API_HOST={self.api_host} would offer an API without keys to the network; "
                "set MUSTER_ALLOW_REMOTE=true if something in front of it authenticates"
            )
        return self

    @property
    def external_valkey_url(self) -> str | None:
        if self.valkey_url:
            return self.valkey_url.get_secret_value()
        if self.valkey_host:
            auth = f":{quote(self.valkey_password.get_secret_value(), safe='')}@" if self.valkey_password else ""
            return f"redis://{auth}{self.valkey_host}:{self.valkey_port}/0"
        return None

    @property
    def embeds_postgres(self) -> bool:
        return self.database_url is None

    @property
    def embeds_valkey(self) -> bool:
        return self.external_valkey_url is None

    @property
    def embeds_temporal(self) -> bool:
        return self.temporal_address is None


def mask(url: str) -> str:
    """The address without its password, fit for logs and error messages.

    By pattern rather than by parsing: what libpq accepts (several hosts, key=value strings) and what people
    mistype must not get past it either.
    """
    url = re.sub(r"([a-z+]+://[^/?#:@\s]*):\S*@", r"\1:***@", url, flags=re.IGNORECASE)
    return re.sub(r"(\bpassword\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", r"\1***", url, flags=re.IGNORECASE)
