"""Ports: claimed before anything starts, so that a taken one leaves nothing half-started behind."""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

from muster.services.errors import StartupError


def _outside_ephemeral_range() -> range:
    """Ports the kernel does not hand to outgoing connections.

    A server that restarts must find its port free: one from the ephemeral range can be taken, while the
    server is down, by any client on the machine.
    """
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = 32768
    return range(10_000, low) if low > 12_000 else range(20_000, 65_536)


def _refusal(port: int, host: str) -> OSError | None:
    """Why nobody could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is no listener
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    return _refusal(port, host) is None


def free_port(host: str = "127.0.0.1", *, besides: set[int] | None = None) -> int:
    candidates = _outside_ephemeral_range()
    for _ in range(200):
        port = random.choice(candidates)  # noqa: S311 - not a secret
        if port not in (besides or ()) and is_free(port, host):
            return port
    raise StartupError(f"no free port between {candidates.start} and {candidates.stop} on {host}")


class Claims:
    """The ports of one runtime, none given twice."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def claim(self, port: int | None, setting: str, *, preferred: int = 0, host: str = "127.0.0.1") -> int:
        """`port` as set; 0 for any free one; None for the preferred one, or any free one when it is taken."""
        if port is None:
            port = preferred if preferred not in self._taken and is_free(preferred, host) else 0
        if port == 0:
            port = free_port(host, besides=self._taken)
        elif port in self._taken:
            raise StartupError(f"{setting}={port} is the port of another part of this Muster; set it to another one")
        elif refusal := _refusal(port, host):
            why = "that port is taken" if refusal.errno == errno.EADDRINUSE else (refusal.strerror or str(refusal))
            raise StartupError(f"{setting}={port}: {why} on {host}; set it to another one, or to 0 for any free one")
        self._taken.add(port)
        return port
