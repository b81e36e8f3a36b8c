"""The embedded Valkey: the live picture and the event bus. Loopback only, append-only file on."""

from __future__ import annotations

from muster.services import binaries, probes
from muster.services.child import Program
from muster.services.home import Home


class Valkey:
    def __init__(self, home: Home, env: dict[str, str], port: int) -> None:
        self._folder = home.path / "valkey"
        self._log = home.log("valkey")
        self._env = env
        self._port = port
        self._binary = binaries.valkey_server()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def prepare(self) -> Program:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return Program(
            name="valkey",
            title="Valkey",
            argv=[
                str(self._binary), "--bind", "127.0.0.1", "--port", str(self._port),
                "--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                # Dropping keys under memory pressure would make the live picture lie.
                "--maxmemory-policy", "noeviction", "--daemonize", "no",
            ],
            env=self._env,
            log=self._log,
            probe=lambda: probes.ping_valkey("127.0.0.1", self._port),
            hint="see MUSTER_VALKEY_PORT, or set VALKEY_URL to use another server",
        )  # fmt: skip
