"""Vectors of observations: made when these have been stored, and made anew when a project is to have another model's.

Nothing here is a queue of its own. What waits for a vector stands in Postgres (memory_vectors_due, filled by a
trigger), so a provider that is dead, a worker that dies or a message that is lost only delays it.

How the rest of memory uses this:

* `keep()` runs beside each worker until it is cancelled. It sees within a second or so what waits, wherever it came
  from, and does what else projects need (`errands`).
* `await reindex(workspace_id, project_id, job)` works on a job of kind `reindex` that the caller has claimed, until the
  project is searched by the new model, and answers what the job's note is to be. It raises GenerationFailed as a
  generator does; begun again, it goes on where it was. The caller heartbeats and settles the job.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from uuid import UUID

from muster.domain.errors import MusterError
from muster.domain.memory import Drained, ErrorClass, GenerationFailed
from muster.models.embeddings import Embeddings
from muster.models.wire import TextRefused
from muster.storage import embeddings as store
from muster.storage.database import Database
from muster.storage.embeddings import Errand, Text

log = logging.getLogger(__name__)

_AT_A_TIME = 64
_SECONDS = 45.0
"""For one project, before others have their turn."""
_CALL_SECONDS = 60.0
_PAUSE_SECONDS = 10.0
"""After a provider's failure, where it does not say how long."""
_LONGEST_PAUSE_SECONDS = 600.0
_LOOK_SECONDS = 1.0
_PROJECTS_AT_ONCE = 2
_RESTS = 3.0
"""Times as long as a batch took, while jobs are worked on: these take a third longer beside the encoding of texts and
the index of vectors, and what they make is found by its words meanwhile."""
_LONGEST_REST_SECONDS = 5.0
_NOTE_SECONDS = 1.0
_REFUSALS = 3
"""Texts refused one after the other: it is not the texts."""


class VectorActivities:
    def __init__(
        self, db: Database, embeddings: Embeddings, poke: Callable[[UUID, UUID, UUID | None], None] | None = None
    ) -> None:
        """`poke` wakes whoever works on a project's jobs."""
        self._db, self._embeddings, self._poke = db, embeddings, poke
        self.busy: Callable[[], bool] = lambda: False
        """Whether jobs are worked on beside it."""
        self._default = embeddings.model

    async def embed(self, workspace_id: UUID, project_id: UUID) -> Drained:
        """Make the vectors a project waits for. `left` and `wait_seconds` say what could not be done, and when it may
        be tried again; it does not fail for a provider's sake."""
        if not self._embeddings.enabled:
            return Drained()
        work = _Work(self._db, self._embeddings, workspace_id, project_id)
        # Two, so that one stores while the other's texts are encoded.
        await asyncio.gather(work.line(self.busy, first=True), work.line(self.busy))
        left, seconds = await store.waiting(self._db, workspace_id, project_id)
        pause = work.pause if work.failure else seconds
        return Drained(observations=work.stored, left=left, wait_seconds=pause if left else None)

    async def reindex(self, workspace_id: UUID, project_id: UUID, job: str) -> str:
        """Vectors of another model beside those that are searched, until it can take their place."""
        db, default = self._db, self._default
        model = await store.job_model(db, workspace_id, job)
        if model is None:
            return "the job is gone"
        if not self._embeddings.enabled:
            raise GenerationFailed(ErrorClass.REFUSED, "there are no embeddings: MUSTER_EMBEDDINGS_URL says so")
        if not await store.want(db, workspace_id, project_id, model, default):
            return "another model was asked for since"
        work = _Work(db, self._embeddings, workspace_id, project_id)
        progress = _Progress(db, workspace_id, project_id, job, default)
        while True:
            if not await self._pass(work, model, progress):
                await store.unwant(db, workspace_id, project_id, model)
                await self._prune(workspace_id, project_id)
                return "it was cancelled"
            switched = await store.switch(db, workspace_id, project_id, model, default, list(work.refused))
            if switched.switched or not switched.wanted:
                break
            await asyncio.sleep(0.2)  # what came meanwhile
        gone = await self._prune(workspace_id, project_id)
        if not switched.switched:
            return "another model was asked for since"
        refused = f"; {len(work.refused)} texts were refused" if work.refused else ""
        return f"searched by {model} now; {gone} old vectors are removed{refused}"

    async def _pass(self, work: _Work, model: str, progress: _Progress) -> bool:
        """Once through all observations. False: nobody wants it any more."""
        after = store.FIRST
        while True:
            if not await progress.tell():
                return False
            taken = await store.missing(
                self._db, work.workspace_id, work.project_id, model, self._default, after=after, limit=_AT_A_TIME
            )
            if not taken.taken or taken.last is None:
                return True
            after = taken.last
            texts = [text for text in taken.texts if text.id not in work.refused]
            if texts:
                try:
                    await work.some(model, texts)
                except GenerationFailed as failure:
                    if failure.kind != ErrorClass.MALFORMED:
                        raise
                    # A gateway's page, half an answer: not for ever, most likely.
                    raise GenerationFailed(ErrorClass.UNAVAILABLE, failure.message) from None

    async def _prune(self, workspace_id: UUID, project_id: UUID) -> int:
        total = 0
        while gone := await store.prune(self._db, workspace_id, project_id, self._default):
            total += gone
        return total

    async def failed(self, workspace_id: UUID, project_id: UUID, job: str) -> None:
        """Whether for good, or to be tried again. Then the project stays with what it has, but for the instance's own
        model: that is wanted still."""
        if await store.job_model(self._db, workspace_id, job) != self._default:
            await store.unwant_failed(self._db, workspace_id, project_id, job)

    async def keep(self, *, look_seconds: float = _LOOK_SECONDS) -> None:
        """Until cancelled: see to it that nothing waits for long."""
        gate = asyncio.Semaphore(_PROJECTS_AT_ONCE)
        while self._embeddings.enabled:
            try:
                found = await store.errands(self._db, self._default)
                await asyncio.gather(*(self._run_errand(errand, gate) for errand in found))
            except (MusterError, OSError) as error:
                log.debug("no look at vectors: %s", error)
            except Exception:
                log.exception("the look at vectors failed")
            await asyncio.sleep(look_seconds)

    async def _run_errand(self, errand: Errand, gate: asyncio.Semaphore) -> None:
        if errand.needs == "reindex":
            # At once: behind a long errand of another project's, it might be about what is done already.
            if errand.model:
                # The instance has another model than before. Until its vectors are there, the old ones are searched.
                log.info("project %s is reindexed from %s to %s", errand.project_id, errand.model, self._default)
                job = await store.reindex(self._db, errand.workspace_id, errand.project_id, self._default, errand.model)
                if job:  # nobody asked for it, so nobody would ask again
                    await store.persist(self._db, errand.workspace_id, job)
                if self._poke:
                    self._poke(errand.workspace_id, errand.project_id, None)
            return
        async with gate:
            if errand.needs == "embed":
                await self.embed(errand.workspace_id, errand.project_id)
            else:
                await store.prune(self._db, errand.workspace_id, errand.project_id, self._default)


class _Work:
    """One project's, by one attempt."""

    def __init__(self, db: Database, embeddings: Embeddings, workspace_id: UUID, project_id: UUID) -> None:
        self.workspace_id, self.project_id = workspace_id, project_id
        self.stored = 0
        self.failure: GenerationFailed | None = None
        self.refused: dict[UUID, str] = {}
        self._db, self._embeddings = db, embeddings
        self._until = time.monotonic() + _SECONDS
        self._taking = asyncio.Lock()

    @property
    def pause(self) -> float:
        said = self.failure.retry_after if self.failure else None
        return min(_PAUSE_SECONDS if said is None else max(said, 1.0), _LONGEST_PAUSE_SECONDS)

    async def line(self, busy: Callable[[], bool], *, first: bool = False) -> None:
        """Take some, embed them, store them, until there are none. While others are busy the first line goes on alone,
        and rests in between."""
        while self.failure is None and time.monotonic() < self._until:
            if busy() and not first:
                return
            began = time.monotonic()
            # One after the other: of two at once, each would get some of the same rows, one perhaps a single text, and
            # a single text is refused for its own sake.
            async with self._taking:
                taken = await store.take(
                    self._db, self.workspace_id, self.project_id, self._embeddings.model, limit=_AT_A_TIME
                )
            if not taken.taken:
                return
            if taken.texts:
                await self._give(taken.model, taken.texts)
            if busy():
                await asyncio.sleep(min(_RESTS * (time.monotonic() - began), _LONGEST_REST_SECONDS))

    async def _give(self, model: str, texts: Sequence[Text]) -> None:
        """Either they have vectors afterwards, or they wait again."""
        before = set(self.refused)
        try:
            await self.some(model, texts)
        except GenerationFailed as failure:
            if self.failure is None:
                log.warning("no vectors for project %s: %s: %s", self.project_id, failure.kind, failure.message)
            self.failure = failure
            await self._back(texts, self.pause, failure.message)
        except BaseException:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await asyncio.shield(self._back(texts, 0))
            raise
        for refused in set(self.refused) - before:
            await store.refuse(self._db, self.workspace_id, self.project_id, refused, self.refused[refused])

    async def _back(self, texts: Sequence[Text], seconds: float, error: str | None = None) -> None:
        ids = [text.id for text in texts]
        await store.put_back(self._db, self.workspace_id, self.project_id, ids, seconds, error)

    async def some(self, model: str, texts: Sequence[Text]) -> None:
        """Those whose text the provider refuses are noted; raises GenerationFailed when it is not their texts."""
        try:
            await self._embed(model, texts)
            return
        except TextRefused as refusal:
            if len(texts) == 1:
                self.refused[texts[0].id] = refusal.message
                return
            last = refusal
        in_a_row = 0
        for text in texts:
            try:
                await self._embed(model, [text])
                in_a_row = 0
            except TextRefused as refusal:
                self.refused[text.id] = refusal.message
                in_a_row += 1
                last = refusal
            if in_a_row == _REFUSALS:
                for one in texts:
                    self.refused.pop(one.id, None)
                raise GenerationFailed(last.kind, f"{in_a_row} texts one after the other were refused: {last.message}")

    async def _embed(self, model: str, texts: Sequence[Text]) -> None:
        vectors = await self._embeddings.named(model).embed([text.content for text in texts], seconds=_CALL_SECONDS)
        stored = await store.put(
            self._db, self.workspace_id, self.project_id, model, self._embeddings.model, texts, vectors
        )
        self.stored += stored  # not before the other line had its say


class _Progress:
    """How far a reindex is, in the job's note."""

    def __init__(self, db: Database, workspace_id: UUID, project_id: UUID, job: str, default: str) -> None:
        self._db, self._job, self._default = db, job, default
        self._workspace_id, self._project_id = workspace_id, project_id
        self._next = 0.0

    async def tell(self) -> bool:
        """Now and then; False when the job is nobody's any more."""
        if time.monotonic() < self._next:
            return True
        found = await store.progress(self._db, self._workspace_id, self._project_id, self._default)
        self._next = time.monotonic() + _NOTE_SECONDS
        return await store.note(
            self._db, self._workspace_id, self._job,
            f"{found['next_vectors']} of {found['observations']} have vectors of {found['next_model']}",
        )  # fmt: skip
