"""What matters for a task: found by what it says and by its files, with what was decided and done lately."""

from __future__ import annotations

import asyncio
import re
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
_SUMMARIES = 20
"""The latest, among which one is looked for that has to do with the task."""
_EARLY, _WANTED, _SAYS_SOMETHING = 3, 2, 20
_FITS = 0.34
"""Of the words of a task, in a summary that has to do with it; and at least two."""
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
    found, about, summaries, decisions, wanted = await asyncio.gather(
        search.search(db, who, [here], query, embed, model=model, limit=limit),
        _about(db, who, here, files),
        observations.page(db, who, Where(project=here, summary=True), limit=_SUMMARIES),
        observations.page(db, who, Where(project=here, type=["decision"]), limit=_RECENT),
        observations.page(db, who, Where(project=here, type=["preference"]), limit=_RECENT),
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
    # A summary that search found is among those; of the others, the one that has to do with the task is told.
    newest = summaries[0]
    fitting = max(newest, key=lambda item: _fits(item, query.query), default=None)
    fitting = fitting if fitting and _fits(fitting, query.query) else None
    here_now = [(context.SUMMARIES, fitting)] if fitting else []
    if newest and newest[0] is not fitting and (context.is_open(newest[0]) or not fitting):
        here_now.append((context.OPEN if context.is_open(newest[0]) else context.SUMMARIES, newest[0]))
    # What is about the files was asked for by name; what is about the task was found.
    chosen = both + [pair for pairs in zip_longest(of_files, of_task) for pair in pairs if pair is not None]
    # How people want things done holds whatever the task is; a summary says where things stand: both come early.
    liked = [(context.PREFERENCES, item) for item in wanted[0] if len(item["title"]) >= _SAYS_SOMETHING]
    chosen[_EARLY:_EARLY] = [*here_now, *liked[:_WANTED]]
    chosen += [(context.SUMMARIES, item) for item in newest[:_RECENT]]
    chosen += [(context.DECISIONS, item) for item in decisions[0]]
    return context.tell(chosen, budget_tokens)


def _fits(summary: Row, task: str) -> int:
    """How many words of the task are in it. None: it has little to do with it."""
    wanted = _words(task[:2_000])
    shared = len(wanted & _words(f"{summary['title']} {summary['narrative'] or ''}"[:8_000]))
    return shared if shared >= max(2, _FITS * len(wanted)) else 0


def _words(text: str) -> set[str]:
    """The beginnings of its longer words."""
    return {word[:6] for word in re.findall(r"\w{4,60}", text.casefold())} - _COMMON


_COMMON = frozenset(
    """
    with from that this have into when then than them they what which where there their your other another again make
    some should would could will about after before under over only also work does done need needs please summar
    """.split()  # noqa: SIM905
)


async def _about(db: Database, who: Who, project: str, files: Sequence[str]) -> list[Row]:
    """The newest and most telling of each file, in turns."""
    asked = [file for file in dict.fromkeys(files) if file.strip()][:_FILES]
    found = await asyncio.gather(
        *(search.search(db, who, [project], Query(query=file, file=file), limit=_PER_FILE) for file in asked)
    )
    turns = zip_longest(*(one.items for one in found))
    return [item for turn in turns for item in turn if item is not None]
