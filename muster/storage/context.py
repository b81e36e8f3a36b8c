"""What matters for a task: found by what it says and by its files, with what was decided and done lately."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import zip_longest
from uuid import UUID

from muster.domain import context, words
from muster.domain.context import Told
from muster.domain.search import Query, repeats
from muster.storage import observations, search
from muster.storage.database import Database, Who
from muster.storage.observations import Where
from muster.storage.search import Embed, Row

_FOUND, _MOST_FOUND, _PER_FILE, _FILES, _RECENT = 24, 100, 4, 8, 3
_ITEM_TOKENS = 80
"""What one of them takes, about: a larger budget has room for more."""
_ANYHOW, _ANYHOW_TOKENS, _WORTH = 8, 150, 0.08
"""The first are told anyhow, where each has so much room; of what comes after, what has not this share of the best
one's score has little to do with the task."""


async def context_for(
    db: Database,
    who: Who,
    project: UUID | str,
    task: str,
    *,
    files: Sequence[str] = (),
    budget_tokens: int = 2000,
    embed: Embed | None = None,
    model: str | None = None,
) -> Told:
    """`embed` makes the vector of a query; without it, words alone find. Nothing known: an empty text."""
    here = str(project)
    query = Query(query=task.strip()[:8_000] or here)  # a task may be called nothing
    limit = min(_MOST_FOUND, max(_FOUND, budget_tokens // _ITEM_TOKENS))
    found, about, summaries, decisions = await asyncio.gather(
        search.search(db, who, [here], query, embed, model=model, limit=limit),
        _about(db, who, here, files),
        observations.page(db, who, Where(project=here, summary=True), limit=_RECENT),
        observations.page(db, who, Where(project=here, type=["decision"]), limit=_RECENT),
    )
    anyhow = min(_ANYHOW, budget_tokens // _ANYHOW_TOKENS)
    # That it was asked for before, in these words, tells nothing.
    asked = words.wanted(query.query)
    told = [item for item in found.items if not repeats(asked, item["type"], item["narrative"] or item["title"])]
    best = told[0]["score"] if told else 0.0
    told.sort(key=lambda item: context.group_of(item) in context.ASKED)  # what is known comes first
    relevant = [item for place, item in enumerate(told) if place < anyhow or item["score"] >= _WORTH * best]
    ids = {item["id"] for item in about} & {item["id"] for item in relevant}
    both = [(context.group_of(item), item) for item in relevant if item["id"] in ids]
    of_files = [(context.FILES, item) for item in about if item["id"] not in ids]
    of_task = [(context.group_of(item), item) for item in relevant if item["id"] not in ids]
    recent = [(context.SUMMARIES, item) for item in summaries[0]]
    # What is about the files was asked for by name; what is about the task was found.
    chosen = both + [pair for pairs in zip_longest(of_files, of_task) for pair in pairs if pair is not None]
    # The last summary says where things stand: it comes early.
    chosen[5:5] = recent[:1]
    chosen += recent[1:] + [(context.DECISIONS, item) for item in decisions[0]]
    return context.tell(chosen, budget_tokens)


async def _about(db: Database, who: Who, project: str, files: Sequence[str]) -> list[Row]:
    """The newest and most telling of each file, in turns."""
    asked = [file for file in dict.fromkeys(files) if file.strip()][:_FILES]
    found = await asyncio.gather(
        *(search.search(db, who, [project], Query(query=file, file=file), limit=_PER_FILE) for file in asked)
    )
    turns = zip_longest(*(one.items for one in found))
    return [item for turn in turns for item in turn if item is not None]
