"""How Temporal is connected to."""

from __future__ import annotations

import pytest
from temporalio.service import GrpcCompression

from muster.settings import Settings
from muster.temporal import connection


@pytest.mark.parametrize(
    ("address", "compresses"),
    [
        ("127.0.0.1:7233", False),
        ("localhost:7233", False),
        ("[::1]:7233", False),
        ("temporal.example:7233", True),
        ("10.0.0.7:7233", True),
    ],
)
def test_only_a_network_is_worth_compressing_for(address: str, compresses: bool) -> None:
    options = connection(Settings(_env_file=None, TEMPORAL_ADDRESS=address))
    assert options["target_host"] == address
    assert (options.get("grpc_compression", GrpcCompression.GZIP) is GrpcCompression.GZIP) == compresses


def test_the_sdks_own_configuration_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but where it is, which the settings say."""
    monkeypatch.setenv("TEMPORAL_API_KEY", "a key of a cloud")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "elsewhere")
    options = connection(Settings(_env_file=None, TEMPORAL_ADDRESS="cloud.example:7233"))
    assert (options["api_key"], options["namespace"]) == ("a key of a cloud", "elsewhere")
