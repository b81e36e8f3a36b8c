"""What a user may set, and what is refused with a sentence that helps."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from muster.services.addresses import Addresses
from muster.settings import Settings, mask


@pytest.fixture(autouse=True)
def _only_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(str(tmp_path))  # no .env either


def test_nothing_set_means_everything_is_embedded() -> None:
    settings = Settings()
    assert (settings.embeds_postgres, settings.embeds_valkey, settings.embeds_temporal) == (True, True, True)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"VALKEY_HOST": "v.example"}, "redis://v.example:6379/0"),
        ({"VALKEY_HOST": "v.example", "VALKEY_PORT": "7000"}, "redis://v.example:7000/0"),
        ({"VALKEY_HOST": "v.example", "VALKEY_PASSWORD": "p@ss/word"}, "redis://:p%40ss%2Fword@v.example:6379/0"),
        ({"VALKEY_HOST": "other", "VALKEY_URL": "rediss://v.example/1"}, "rediss://v.example/1"),
        ({"VALKEY_PORT": "7000"}, None),
        ({"VALKEY_URL": ""}, None),
    ],
)
def test_valkey_by_address_or_by_parts(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings().external_valkey_url == url


def test_beyond_loopback_needs_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_API_HOST", "192.0.2.1")
    with pytest.raises(ValidationError, match="MUSTER_ALLOW_REMOTE"):
        Settings()
    monkeypatch.setenv("MUSTER_ALLOW_REMOTE", "true")
    assert Settings().api_host == "192.0.2.1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@db.example:5433/muster?sslmode=require", "postgresql://me:***@db.example:5433/muster?sslmode=require"),
        ("redis://:secret@[::1]:6379/0", "redis://:***@[::1]:6379/0"),
        ("postgresql://muster@/muster?host=/run/x", "postgresql://muster@/muster?host=/run/x"),
        ("postgresql://db.example/muster?user=me&password=secret", "postgresql://db.example/muster?user=me&password=***"),
        ("host=db.example user=me password=secret", "host=db.example user=me password=***"),
        ("host=db.example password='very secret' user=me", "host=db.example password=*** user=me"),
        ("postgresql://me:secret@db.example:5433,other:5434/muster", "postgresql://me:***@db.example:5433,other:5434/muster"),
        ("redis://:sec/ret@db.example", "redis://:***@db.example"),
        ("postgresql://me:sec@ret@db.example:not-a-port/muster", "postgresql://me:***@db.example:not-a-port/muster"),
    ],
)  # fmt: skip
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert mask(url) == shown


def test_secrets_do_not_show_in_a_printed_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/x")
    for name in ("VALKEY_PASSWORD", "MUSTER_API_KEY"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("MUSTER_SECRET_KEY", "hunter2" * 5)
    assert "hunter2" not in repr(Settings())


def test_a_short_secret_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_SECRET_KEY", "hunter2")
    with pytest.raises(ValidationError, match="MUSTER_SECRET_KEY") as refused:
        Settings()
    assert "hunter2" not in str(refused.value)


def test_addresses_make_every_address_explicit() -> None:
    addresses = Addresses(
        temporal="127.0.0.1:1", temporal_ui="http://127.0.0.1:2", temporal_namespace="elsewhere",
        database_url="postgresql://app@/x", database_owner_url="postgresql://owner@/x", valkey_url="redis://127.0.0.1:3/0",
    )  # fmt: skip
    settings = addresses.apply(Settings())
    assert (settings.embeds_postgres, settings.embeds_valkey, settings.embeds_temporal) == (False, False, False)
    assert settings.external_valkey_url == addresses.valkey_url
    assert settings.temporal_namespace == "elsewhere"


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE_URL", "mysql://foo"), ("VALKEY_URL", "foo://bar"), ("TEMPORAL_ADDRESS", "not a host"),
     ("TEMPORAL_ADDRESS", "temporal")],
)  # fmt: skip
def test_what_is_no_address_is_said_at_once(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match="must b"):
        Settings()
