"""The embedded Temporal server with its Web UI: the CLI's `server start-dev`, with a file and tuned.

What the flags are for:

* WAL: about three times the throughput. `synchronous` follows MUSTER_TEMPORAL_DURABILITY.
* history.transferProcessorMaxPollRPS: removes a floor of 50 ms under every step.
* history.timerProcessorMaxTimeShift: a timer of a tenth of a second takes that long, and not one second.
* One task-queue partition: priority becomes strict, and the tail latency falls by half or more.
* WorkerCommands, CancelActivityWorkerCommand: a cancellation reaches an activity in tens of milliseconds
  instead of with its next heartbeat. A worker must connect after they are on.
* enableFairness: weighs workspaces against one another by their fairness key.
"""

from __future__ import annotations

from muster.services import binaries, probes
from muster.services.child import Program
from muster.services.home import Home

DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxTimeShift": '"50ms"',
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.enableFairness": "true",
    "system.forceSearchAttributesCacheRefreshOnRead": "false",
    "frontend.WorkerCommandsEnabled": "true",
    "system.enableCancelActivityWorkerCommand": "true",
}

SEARCH_ATTRIBUTES = {
    "MusterWorkspace": "Keyword",
    "MusterProject": "Keyword",
    "MusterRunner": "Keyword",
    "MusterTask": "Keyword",
    "MusterAttempt": "Int",
}


class Temporal:
    def __init__(
        self, home: Home, env: dict[str, str], *, port: int, ui_port: int, namespace: str, durability: str,
        codec: str | None = None,
    ) -> None:  # fmt: skip
        """`codec`: where the Web UI's pages have encrypted payloads opened."""
        self._folder = home.path / "temporal"
        self._log = home.log("temporal")
        # The binary is a client too, and reads TEMPORAL_* for addresses, keys and profiles.
        self._env = {name: value for name, value in env.items() if not name.startswith("TEMPORAL_")}
        self._port, self._ui_port = port, ui_port
        self._namespace = namespace
        self._durability = durability
        self._codec = codec
        self._binary = binaries.temporal()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self._ui_port}"

    async def prepare(self) -> Program:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        flags = {
            "--ip": ["127.0.0.1"],
            "--port": [str(self._port)],
            "--ui-port": [str(self._ui_port)],
            "--db-filename": [str(self._folder / "temporal.db")],
            "--namespace": [self._namespace],
            "--sqlite-pragma": ["journal_mode=WAL", f"synchronous={self._durability.upper()}"],
            "--dynamic-config-value": [f"{key}={value}" for key, value in DYNAMIC_CONFIG.items()],
            "--search-attribute": [f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()],
            "--ui-codec-endpoint": [self._codec] if self._codec else [],
        }
        return Program(
            name="temporal",
            title="Temporal",
            argv=[
                str(self._binary), "server", "start-dev", "--ui-disable-news-fetch",
                *(part for flag, values in flags.items() for value in values for part in (flag, value)),
            ],
            env=self._env,
            log=self._log,
            probe=lambda: probes.temporal_ui(self._ui_port, self._namespace),
            hint="see MUSTER_TEMPORAL_PORT and MUSTER_TEMPORAL_UI_PORT, or set TEMPORAL_ADDRESS to use another server",
        )  # fmt: skip
