"""Where `muster demo` plays: it hears every event, shows the fleet as it changes, and notes what came true."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from muster.cli.client import Api, Failure
from muster.cli.events import newest
from muster.cli.tables import STYLES, clean, clock

if TYPE_CHECKING:
    from rich.console import RenderableType

RECENT_EVENTS = 7
AGENT_EVENTS = {"agent.spawned": "spawning"}
SCENE_PAUSE = 1.2


class Stage:
    """In a terminal a block at the bottom shows the fleet and the latest events; elsewhere events are lines."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.failed: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.fleet: dict[str, dict[str, Any]] = {}
        self._began = newest(api)
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT_EVENTS)
        self._news = threading.Condition()
        self._over = False
        self._broken: Exception | None = None
        self._live: Any = None
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Stage:
        self._listener.start()
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(highlight=False)
            self._live = Live(get_renderable=self._picture, console=console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over = True
        if self._live:
            self._live.stop()

    # -- What is said -------------------------------------------------------------------------------------------

    def scene(self, title: str, *explanation: str) -> None:
        with self._news:
            self.fleet.clear()
        self._print("")
        self._print(title, "bold")
        for line in explanation:
            self._print(f"  {line}", "dim")
        if self._live:
            time.sleep(SCENE_PAUSE)

    def expect(self, came_true: bool, claim: str, otherwise: object = "") -> None:
        if came_true:
            self._print(f"  ✓ {claim}", "green")
        else:
            self.failed.append(claim)
            self._print(f"  ✗ NOT SO: {claim} {otherwise}".rstrip(), "bold red")

    def _print(self, text: str, style: str = "") -> None:
        if self._live:
            from rich.text import Text

            self._live.console.print(Text(text, style=style))
        else:
            click.echo(text)

    # -- What is played -----------------------------------------------------------------------------------------

    def task(self, title: str, script: str | None = None, **options: Any) -> str:
        """Hand a task over. Its script is a bash script, to be read by whoever looks it up later."""
        # The limit is for a show that is broken off: nothing of it should stay.
        spec: dict[str, Any] = {"title": title, "labels": ["demo"], "timeout_seconds": 30, **options}
        if script is not None:
            spec["runner"] = {"kind": "command", "argv": ["bash", "-c", script]}
        made: dict[str, Any] = self.api.post("/v1/tasks", spec)
        with self._news:
            row = self.fleet.setdefault(made["id"], {"status": made["status"], "attempt": 0})
            row["title"] = title
        return str(made["id"])

    def get(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/v1/tasks/{task_id}")
        return found

    def until(self, event_type: str, task_id: str, *, attempt: int = 0, seconds: float = 20.0) -> dict[str, Any]:
        """Wait for an event; what it says."""
        deadline = time.monotonic() + seconds

        def heard() -> dict[str, Any] | None:
            for event in self.events:
                if event["type"] == event_type and event["task_id"] == task_id and event["attempt"] >= attempt:
                    return event
            return None

        event: dict[str, Any] = self._wait(heard, deadline, f"{event_type} of task {task_id}")
        return event

    def until_over(self, task_ids: list[str], seconds: float = 25.0) -> list[dict[str, Any]]:
        deadline = time.monotonic() + seconds

        def over() -> bool | None:
            ends = {event["task_id"] for event in self.events if event["type"] in {"task.completed", "task.failed"}}
            return ends.issuperset(task_ids) or None

        self._wait(over, deadline, f"the end of {len(task_ids)} tasks")
        return [self.get(task_id) for task_id in task_ids]

    def _wait(self, look: Callable[[], Any], deadline: float, what: str) -> Any:
        with self._news:
            while (found := look()) is None:
                left = deadline - time.monotonic()
                if self._broken:
                    raise Failure(f"the event stream broke: {self._broken}")
                if left <= 0:
                    raise Failure(f"{what} did not come in time")
                self._news.wait(left)
            return found

    # -- What is heard ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            with Api() as api:
                for message in api.stream("/v1/events", self._began):
                    if message.data is not None:
                        self._hear(json.loads(message.data))
        except Exception as error:  # told to whoever waits, unless the show is over
            with self._news:
                self._broken = error
                self._news.notify_all()

    def _hear(self, event: dict[str, Any]) -> None:
        with self._news:
            self.events.append(event)
            self._recent.append(event)
            row = self.fleet.setdefault(event["task_id"], {"attempt": 0, "title": event["data"].get("title", "")})
            row["status"] = AGENT_EVENTS.get(event["type"], event["type"].partition(".")[2])
            row["attempt"] = max(row["attempt"], event["attempt"])
            self._news.notify_all()
        if not self._live and not self._over:
            click.echo(f"    {_line(event)}")

    def gapless(self) -> bool:
        with self._news:
            positions = [event["position"] for event in self.events]
        return positions == list(range(self._began + 1, self._began + 1 + len(positions)))

    # -- What is seen -------------------------------------------------------------------------------------------

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        with self._news:
            fleet, recent = [dict(row) for row in self.fleet.values()], list(self._recent)
        table = Table.grid(padding=(0, 2))
        for row in fleet[-10:]:
            tries = f"attempt {row['attempt']}" if row["attempt"] > 1 else ""
            status = Text(row["status"], style=STYLES.get(row["status"], {}).get("fg", ""))
            table.add_row("  ", status, Text(clean(row["title"])), tries)
        more = [Text(f"  … and {len(fleet) - 10} more", style="dim")] if len(fleet) > 10 else []
        lines = [Text(f"  {_line(event)}", style="dim", no_wrap=True, overflow="ellipsis") for event in recent]
        return Group(Text(""), *more, table, Text("  events, live", style="dim italic"), *lines)


def _line(event: dict[str, Any]) -> str:
    data = event["data"]
    why = f" ({data['reason']})" if data.get("reason") else ""
    attempt = f", attempt {event['attempt']}" if event["attempt"] > 1 else ""
    return f"{clock(event['at'])}  {event['type']:<15}  {clean(data.get('title', ''))}{attempt}{why}"
