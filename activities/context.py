"""What an agent is told of what its project remembers: a file that only its user can read, gone when the agent is."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from muster.domain.memory import GenerationFailed
from muster.domain.tasks import MemoryWish
from muster.models.embeddings import Embeddings
from muster.storage import context
from muster.storage.database import Database

log = logging.getLogger(__name__)

VARIABLE = "MUSTER_CONTEXT_FILE"
_PREFIX = "muster-context-"
_WAIT_SECONDS = 1.0
"""An agent starts without what could not be found by then."""
_EMBED_SECONDS = 0.5
"""Words alone find the rest when no vector is there by then."""
_QUESTION_LENGTH = 8_000
_SETTLED_SECONDS = 10.0
"""A folder as young as this may be one whose worker has not locked it yet."""

Tell = Callable[[UUID, UUID, str, int], Awaitable[str]]
"""(workspace, project, what the task is, tokens at most) → Markdown; empty when there is nothing to tell."""


def teller(db: Database, embeddings: Embeddings) -> Tell:
    """What memory knows."""

    async def tell(workspace_id: UUID, project_id: UUID, question: str, budget: int) -> str:
        async def embed(text: str, model: str | None) -> list[float] | None:
            try:
                return (await embeddings.named(model).embed([text], seconds=_EMBED_SECONDS))[0]
            except GenerationFailed:
                return None

        told = await context.context_for(
            db, workspace_id, project_id, question, budget_tokens=budget,
            embed=embed if embeddings.enabled else None, model=embeddings.model,
        )  # fmt: skip
        return told.markdown

    return tell


class Contexts:
    """The files of this worker's agents, in one private folder."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._folder: Path | None = None
        self._lock: int | None = None
        self._late: set[asyncio.Task[str]] = set()
        _sweep()

    async def write(self, workspace_id: UUID, agent_id: UUID, job: dict[str, Any]) -> Path | None:
        """The file, for an agent whose task wants one and where there is something to tell. Never fails."""
        wish = MemoryWish.model_validate(job["memory"] or {})
        if self._tell is None or not job["project_id"] or not wish.inject:
            return None
        try:
            text = await self._told(workspace_id, UUID(job["project_id"]), _question(job), wish.budget_tokens)
            # Without an await between this and the agent's life, nothing can leave the file behind.
            return self._write(agent_id, text) if text.strip() else None
        except Exception:
            log.exception("agent %s starts without its context", agent_id)
            return None

    def remove(self, path: Path | None) -> None:
        if path is not None:
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self._folder = self._lock = None

    async def _told(self, workspace_id: UUID, project_id: UUID, question: str, budget: int) -> str:
        assert self._tell is not None  # noqa: S101 - whoever calls has looked
        asking = asyncio.create_task(_awaited(self._tell(workspace_id, project_id, question, budget)))
        # Left to end by itself: in the middle of a query, a cancellation costs a connection.
        self._late.add(asking)
        asking.add_done_callback(self._forget)
        if not (await asyncio.wait({asking}, timeout=_WAIT_SECONDS))[0]:
            log.warning("the context of an agent was not there within %g s; it starts without", _WAIT_SECONDS)
            return ""
        return asking.result()

    def _forget(self, asking: asyncio.Task[str]) -> None:
        self._late.discard(asking)
        if not asking.cancelled():
            asking.exception()  # whoever waited has seen it

    def _write(self, agent_id: UUID, text: str) -> Path:
        if self._folder is None or not self._folder.is_dir():  # somebody cleans temporary folders
            self.close()
            self._folder, self._lock = _own_folder()
        path = self._folder / f"{agent_id}.md"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path


async def _awaited(telling: Awaitable[str]) -> str:
    return await telling


def _question(job: dict[str, Any]) -> str:
    """What it is about. A title that is the command itself, as one is that nobody gave, says how and not what."""
    title, prompt = job["title"], job["prompt"]
    if prompt and title and _is_command(title, (job.get("runner") or {}).get("argv") or []):
        title = None
    return "\n".join(part for part in (title, prompt) if part)[:_QUESTION_LENGTH]


def _is_command(title: str, argv: list[str]) -> bool:
    said = " ".join(title.split()).removesuffix("…").rstrip()
    return bool(argv and said) and " ".join(shlex.join(argv).split()).startswith(said)


def _own_folder() -> tuple[Path, int]:
    """A folder that nobody else may look into, and the lock that says that its worker lives."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    return folder, _locked(folder)


def _locked(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep() -> None:
    """What workers left that were killed: what they were told stays on no disk for longer than it takes to look."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _SETTLED_SECONDS:
                continue
            lock = _locked(folder)  # held by a worker that lives
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
