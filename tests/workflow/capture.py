"""Record the histories that replay is tested with: `python tests/workflow/capture.py [--accept] [scenario …]`.

Do it for a scenario that is new, or whose old histories may go: no run that began under the old code is left
anywhere. `--accept` also writes the fingerprints.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.workflow.harness import FINGERPRINTS, HISTORIES, Play, make_worker, server
from tests.workflow.scenarios import SCENARIOS, fingerprint, histories, squeeze
from tests.workflow.stand_in import Activities


async def main(arguments: list[str]) -> None:
    wanted = [name for name in arguments if not name.startswith("-")] or list(SCENARIOS)
    known: dict[str, list[str]] = json.loads(FINGERPRINTS.read_text()) if FINGERPRINTS.exists() else {}
    HISTORIES.mkdir(exist_ok=True)
    activities = Activities()
    async with server() as environment, make_worker(environment.client, activities):
        with environment.with_time_skipping_disabled():
            for name in wanted:
                world = Play(environment.client)
                activities.worlds[world.workspace] = world
                for stale in [*HISTORIES.glob(f"{name}.*.json")]:
                    known.pop(stale.stem, None)
                    stale.unlink()
                for label, history in (await histories(SCENARIOS[name], world)).items():
                    (HISTORIES / f"{label}.json").write_text(_anonymous(history.to_json()) + "\n")
                    known[label] = squeeze(fingerprint(history))
                    print(label, known[label])
    if "--accept" in arguments:
        FINGERPRINTS.write_text(json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False) + "\n")


def _anonymous(history: str) -> str:
    """Whose machine it was, and where its files are, is of no interest."""
    for identity in set(re.findall(r'"identity": ?"([^"]+)"', history)):
        history = history.replace(identity, "capture")

    def without_traces(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_traces(item) for key, item in value.items() if key != "stackTrace"}
        return [without_traces(item) for item in value] if isinstance(value, list) else value

    return json.dumps(without_traces(json.loads(history)), separators=(",", ":"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
