"""Generation: observations of events, by rules or by a model, as the project wants it and within what it may spend."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from muster.domain import privacy
from muster.domain.errors import Unavailable
from muster.domain.memory import ErrorClass, Event, GenerationFailed, Made, NewObservation
from muster.domain.rules import observing, summary
from muster.models.chat import Asked, Chat, Spent, most_tokens
from muster.models.remembering import (
    OBSERVE,
    SUMMARISE,
    VERSION,
    Observed,
    Summarised,
    observations_of,
    retold,
    summary_of,
    told,
)
from muster.storage import memory_usage
from muster.storage.database import Database

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)

_LEAST_TOKENS = 200
"""For what is asked about. A cap that leaves less leaves no room for a call."""
_EVENT_TOKENS = 600
"""At most; with less of it, an event is not told well."""
_LOOK_SECONDS = 0.25
_MUCH_BYTES = 30_000
"""Of events, which the rules read in a tenth of a second or so."""


@dataclass(frozen=True)
class Caps:
    """In tokens, of input and output together. None: no cap. No call is made that might exceed one: its input counts as
    the most it can come to, and the provider is told how much it may answer."""

    call: int = 48_000
    output: int = 4_000
    workspace_day: int | None = None
    project_day: int | None = None


class Generation:
    def __init__(
        self, db: Database, *, generator: str = "rules", chat: Chat | None = None, caps: Caps | None = None
    ) -> None:
        """`generator` is what projects get that choose none. Without `chat` there is no model to choose."""
        self._db, self._default, self._chat = db, generator, chat
        self._caps = caps or Caps()
        self._much = asyncio.Semaphore()

    @classmethod
    def of(
        cls,
        db: Database,
        *,
        generator: str,
        model: str | None,
        url: str | None,
        key: str | None,
        seconds: float,
        caps: Caps,
    ) -> Generation:
        return cls(
            db, generator=generator, chat=Chat(model, url=url, key=key, seconds=seconds) if model else None, caps=caps
        )

    async def close(self) -> None:
        if self._chat:
            await self._chat.close()

    async def make(
        self, workspace_id: UUID, project_id: UUID, events: Sequence[Event], earlier: Sequence[Event] = ()
    ) -> Made:
        """`earlier`: what came right before, and was made something of already. Raises GenerationFailed."""
        if await self._generator(workspace_id, project_id) == "rules":
            return await self._read(events, partial(observing.observe, events, earlier))
        readable = [event for event in events if observing.worth_reading(event)]
        if not readable:
            return Made(note="there are no words in it, or all of them were taken out as private", generator=self._name)
        asks = _Asks(self, workspace_id, project_id)
        made: list[NewObservation] = []
        notes: list[str] = []
        for part in self._parts([*observing.called_before(earlier, readable), *readable]):
            answer = await asks.ask(OBSERVE, partial(told, part), Observed)
            made += observations_of(answer, part)
            notes += [answer.nothing] if answer.nothing and not answer.observations else []
        note = None if made else " ".join("; ".join(notes).split())[:500] or "the model found nothing worth keeping"
        return asks.made(made, note)

    async def summarise(
        self,
        workspace_id: UUID,
        project_id: UUID,
        session: Mapping[str, Any] | None,
        events: Sequence[Event],
        observations: Sequence[NewObservation],
    ) -> Made:
        """Of what is new in a session: all that was made of it, and the latest `events`. Raises GenerationFailed."""
        about = session or {}
        title = about.get("title") if isinstance(about.get("title"), str) else None
        basis = await self._read(events, partial(
            summary.summarise, title, events, observations,
            ended=about.get("ended_at") is not None, count=about.get("until", 0) - about.get("since", 0),
        ))  # fmt: skip
        if not basis.observations or await self._generator(workspace_id, project_id) == "rules":
            return basis
        asks = _Asks(self, workspace_id, project_id)
        answer = await asks.ask(SUMMARISE, partial(retold, title, events, observations), Summarised)
        return asks.made([summary_of(answer, events, observations, basis.observations[0])], None)

    async def _read(self, events: Sequence[Event], read: Callable[[], Made]) -> Made:
        """Much takes seconds, which heartbeats and kills do not wait for."""
        if sum(len(privacy.as_json(event.payload)) for event in events) < _MUCH_BYTES:
            return read()
        async with self._much:
            return await asyncio.to_thread(read)

    async def _generator(self, workspace_id: UUID, project_id: UUID) -> str:
        chosen = await memory_usage.generator_of(self._db, workspace_id, project_id)
        chosen = self._default if chosen == "default" else chosen
        if chosen == "llm" and self._chat is None:
            raise GenerationFailed(
                ErrorClass.UNSET, "the project wants the llm generator, and MUSTER_MEMORY_MODEL names no model"
            )
        return chosen

    @property
    def _name(self) -> str:
        return f"llm/{VERSION} {self._chat.name if self._chat else ''}".strip()[:200]

    def _room(self, instructions: str, form: type[BaseModel]) -> int:
        """Tokens of material that fit into one call with all the rest."""
        fixed = Asked(instructions, "", form, self._caps.output).tokens
        room = self._caps.call - self._caps.output - fixed
        if room < _LEAST_TOKENS:
            raise GenerationFailed(
                ErrorClass.REFUSED,
                f"MUSTER_MEMORY_CALL_TOKENS leaves no room: {fixed + self._caps.output} go to the form",
            )
        return room

    def _parts(self, events: Sequence[Event]) -> list[Sequence[Event]]:
        """As many events in a call as can be told well in it."""
        most = max(1, self._room(OBSERVE, Observed) // _EVENT_TOKENS)
        return [events[at : at + most] for at in range(0, len(events), most)]


class _Asks:
    """The calls that one batch takes, and what they came to."""

    def __init__(self, room: Generation, workspace_id: UUID, project_id: UUID) -> None:
        self._room, self._workspace_id, self._project_id = room, workspace_id, project_id
        self._spent = Spent()

    def made(self, observations: list[NewObservation], note: str | None) -> Made:
        return Made(
            observations=[kept for one in observations if (kept := _without_secrets(one))],
            note=note,
            generator=self._room._name,
            input_tokens=self._spent.input_tokens,
            output_tokens=self._spent.output_tokens,
        )

    async def ask(self, instructions: str, tell: Callable[[int], str], form: type[T]) -> T:
        """`tell` writes the material down in so many characters. Malformed once, the model is told why; malformed
        again, that is how it fails."""
        try:
            return await self._call(instructions, tell, form)
        except GenerationFailed as failed:
            if failed.kind != ErrorClass.MALFORMED:
                raise
            why = f"{instructions}\nYour last answer could not be used: {failed.message}. Answer anew, in this form."
            return await self._call(why, tell, form)

    async def _call(self, instructions: str, tell: Callable[[int], str], form: type[T]) -> T:
        room, chat = self._room, self._room._chat
        assert chat is not None  # noqa: S101 - _generator has looked
        most = room._room(instructions, form)
        asked = Asked(instructions, _told_in(tell, most), form, room._caps.output)
        least = Asked(instructions, "", form, room._caps.output).tokens + asked.max_output_tokens + _LEAST_TOKENS
        held = await self._reserve(asked.tokens + asked.max_output_tokens, least)
        spent = Spent()
        try:
            return await chat.ask(asked, spent)
        finally:
            self._spent.calls += spent.calls
            self._spent.input_tokens += spent.input_tokens
            self._spent.output_tokens += spent.output_tokens
            await asyncio.shield(self._settle(held, spent))

    async def _reserve(self, tokens: int, least: int) -> memory_usage.Reservation:
        """Raises GenerationFailed where there is no such room; `least` is what a call takes that asks of little."""
        caps, chat = self._room._caps, self._room._chat
        assert chat is not None  # noqa: S101 - _generator has looked
        until = time.monotonic() + chat.seconds
        while True:
            held = await memory_usage.reserve(
                self._room._db, self._workspace_id, self._project_id, tokens,
                workspace_cap=caps.workspace_day, project_cap=caps.project_day,
            )  # fmt: skip
            if isinstance(held, memory_usage.Reservation):
                return held
            # Calls under way hold the most they may use, and give back most of that.
            if held.used - held.reserved + tokens > held.cap or time.monotonic() > until:
                raise GenerationFailed(
                    ErrorClass.BUDGET,
                    f"the {held.of} may use {held.cap} tokens a day; {held.used} are used, "
                    f"and a call may take {tokens}",
                    less_would_do=held.used + least <= held.cap,
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _settle(self, held: memory_usage.Reservation, spent: Spent) -> None:
        try:
            await memory_usage.settle(
                self._room._db, held,
                calls=spent.calls, input_tokens=spent.input_tokens, output_tokens=spent.output_tokens,
            )  # fmt: skip
        except Unavailable as error:
            # What was reserved stays reserved: too much is counted for this day, never too little.
            log.warning("a call's %d tokens could not be settled: %s", held.tokens, error)


def _without_secrets(observation: NewObservation) -> NewObservation | None:
    """What a model says is looked through as what it was told: it may know some, or make some up."""
    texts, removed = privacy.scrub(observation.model_dump(include=_TEXTS))
    if not removed.kinds:
        return observation
    return observation.model_copy(update=texts) if texts["title"].strip() else None


_TEXTS = {"title", "subtitle", "narrative", "facts", "concepts", "files_read", "files_modified"}


def _told_in(tell: Callable[[int], str], tokens: int) -> str:
    """As much as fits: a letter is one to four bytes."""
    letters = tokens
    while True:
        text = tell(letters)
        came_to = most_tokens(text)
        if came_to <= tokens:
            return text
        letters = min(letters - 1, len(text) * tokens // came_to * 19 // 20)
        if letters < 40:
            return text[: tokens // 4]
