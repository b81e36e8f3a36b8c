"""How Temporal is connected to."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from temporalio.envconfig import ClientConfig
from temporalio.service import GrpcCompression

from muster.payloads import data_converter
from muster.settings import Settings

_HERE = {"127.0.0.1", "[::1]", "localhost"}


def connection(settings: Settings) -> dict[str, Any]:
    """Options of `Client.connect`. TLS, API keys and profiles come from the SDK's own environment configuration."""
    options: dict[str, Any] = dict(ClientConfig.load_client_connect_config())
    options |= {
        "target_host": settings.temporal_address,
        "namespace": settings.temporal_namespace,
        "data_converter": data_converter(settings.payload_key_ring),
    }
    if (settings.temporal_address or "").rpartition(":")[0] in _HERE:
        # No network to spare: compressing costs both sides more than sending does.
        options["grpc_compression"] = GrpcCompression.NONE
    return options


def leave(code: int) -> NoReturn:
    """End at once. The client's own threads may still be handing over the last answer, and an interpreter that ends in
    good order under them may abort (temporalio/sdk-python#300)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
